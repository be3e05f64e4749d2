//! Everything that one place in the file makes of messages.

use super::{BodyEditors, EditStats, HeaderEditors, Respond};
use std::sync::Arc;
use stitch_config::model::Policies;

/// The edits and the fallback of a service, or of a route to a service.
#[derive(Debug)]
pub(crate) struct Edits {
    /// `headers`.
    pub headers: HeaderEditors,
    /// `body`.
    pub bodies: BodyEditors,
    /// `fallback`.
    pub fallback: Option<Respond>,
}

impl Edits {
    /// Prepares what these policies say, those of a route over those of its service; `None` if that
    /// is nothing. `stats` are the service's.
    pub fn new(policies: &Policies, stats: &Arc<EditStats>) -> Option<Box<Self>> {
        let headers = policies.headers.get().map(HeaderEditors::new).unwrap_or_default();
        let bodies = policies.body.get().map(|edits| BodyEditors::new(edits, stats));
        let bodies = bodies.unwrap_or_default();
        let fallback = policies.fallback.get().map(Respond::new);
        let any = headers.request.is_some()
            || headers.response.is_some()
            || bodies.request.is_some()
            || bodies.response.is_some()
            || fallback.is_some();
        any.then(|| Box::new(Self { headers, bodies, fallback }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;
    use stitch_config::model::{self, HeaderEdit, HeaderEdits, Setting};

    #[test]
    fn what_changes_nothing_is_nothing() {
        let stats = Arc::default();
        let nothing = Policies {
            headers: Setting::On(HeaderEdits::default()),
            fallback: Setting::Off,
            ..Policies::default()
        };
        assert!(Edits::new(&nothing, &stats).is_none());
        let response =
            HeaderEdit { remove: vec![HeaderName::from_static("server")], ..HeaderEdit::default() };
        let headers = HeaderEdits { response, ..HeaderEdits::default() };
        let some = Policies { headers: Setting::On(headers), ..Policies::default() };
        let edits = Edits::new(&some, &stats).unwrap();
        assert!(edits.headers.response.is_some() && edits.headers.request.is_none());
        let answer = model::Respond { status: 200, headers: vec![], body: None };
        let fallback = Policies { fallback: Setting::On(answer), ..Policies::default() };
        assert!(Edits::new(&fallback, &stats).unwrap().fallback.is_some());
    }
}
