//! One JSON object per line: what programs that start `stitch` read.

use super::{Listening, ProblemLine, Reloaded};
use serde::Serialize;

/// What happened. The names and fields are a promise.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// Everything is bound.
    Ready(&'a Listening),
    /// A changed file is in force.
    Reloaded(&'a Reloaded<'a>),
    /// A changed file was refused; the one before stays in force.
    ReloadFailed {
        /// Everything that is wrong with it.
        problems: &'a [ProblemLine],
    },
    /// No new work is taken; work in flight is waited for.
    Draining,
    /// The end.
    Stopped,
}

impl Event<'_> {
    /// The line, without its end.
    pub(crate) fn to_line(&self) -> String {
        serde_json::to_string(self).expect("events hold only strings, numbers and lists of them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ServiceLine;
    use crate::serve::Dropped;

    fn users() -> ServiceLine {
        ServiceLine {
            name: "users".into(),
            kind: "mock",
            mode: Some("mock"),
            urls: vec!["http://127.0.0.1:8001".into()],
        }
    }

    #[test]
    fn ready_says_where_everything_listens() {
        let listening = Listening {
            proxy: Some("http://127.0.0.1:8080".into()),
            admin: Some("http://127.0.0.1:9900".into()),
            seed: Some(42),
            services: vec![users()],
            ..Listening::default()
        };
        assert_eq!(
            Event::Ready(&listening).to_line(),
            r#"{"event":"ready","proxy":"http://127.0.0.1:8080","admin":"http://127.0.0.1:9900","seed":42,"services":[{"name":"users","kind":"mock","mode":"mock","urls":["http://127.0.0.1:8001"]}]}"#
        );
    }

    #[test]
    fn every_event_has_its_name() {
        let infra = ServiceLine { kind: "infra", mode: None, urls: vec![], ..users() };
        assert_eq!(
            Event::Reloaded(&Reloaded { services: &[infra], ..Reloaded::default() }).to_line(),
            r#"{"event":"reloaded","services":[{"name":"users","kind":"infra","urls":[]}]}"#
        );
        let dropped = Dropped { service: "users".into(), key: "mode".into(), why: "so".into() };
        let overlay = Some("stitch.overlay.yaml");
        assert_eq!(
            Event::Reloaded(&Reloaded { overlay, services: &[], dropped: &[dropped] }).to_line(),
            r#"{"event":"reloaded","overlay":"stitch.overlay.yaml","services":[],"dropped":[{"service":"users","key":"mode","why":"so"}]}"#
        );
        assert_eq!(
            Event::ReloadFailed { problems: &[] }.to_line(),
            r#"{"event":"reload_failed","problems":[]}"#
        );
        assert_eq!(Event::Draining.to_line(), r#"{"event":"draining"}"#);
        assert_eq!(Event::Stopped.to_line(), r#"{"event":"stopped"}"#);
    }
}
