//! Where everything listens, as plain data for the table and the `ready` line.

use crate::serve::Dropped;
use serde::Serialize;
use stitch_config::model::{Kind, Mode, Service};

/// What a process listens on, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Listening {
    /// The proxy's URL, the first if it listens on several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy: Option<String>,
    /// The proxy's other URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) also: Vec<String>,
    /// Where redirected connections arrive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) transparent: Vec<String>,
    /// The mock daemon's URL, where it runs apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mockd: Option<String>,
    /// The admin API's URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin: Option<String>,
    /// Where events travel: `in-process` or a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<String>,
    /// The seed of all randomness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
    /// The name of the overlay file, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) overlay: Option<String>,
    /// Every service, in file order.
    pub(crate) services: Vec<ServiceLine>,
}

/// What a reload has put in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Reloaded<'a> {
    /// The name of the overlay file, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) overlay: Option<&'a str>,
    /// Every service as it is now.
    pub(crate) services: &'a [ServiceLine],
    /// Changes at run time that it has ended.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) dropped: &'a [Dropped],
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ServiceLine {
    /// Its name.
    pub(crate) name: String,
    /// `real`, `mock`, `mixed`, `tcp` or `infra`.
    pub(crate) kind: &'static str,
    /// Its mode in force; none for infrastructure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<&'static str>,
    /// Its own listeners.
    pub(crate) urls: Vec<String>,
}

impl ServiceLine {
    /// The line of a declared service that is in this mode and listens at these URLs.
    pub(crate) fn new(service: &Service, mode: Mode, urls: Vec<String>) -> Self {
        let http = service.kind == Kind::Http;
        Self {
            name: service.name.to_string(),
            kind: kind_of(service),
            mode: http.then(|| mode.as_str()),
            urls,
        }
    }
}

/// What a service is made of, in one word.
pub(crate) fn kind_of(service: &Service) -> &'static str {
    match (service.kind, service.upstreams.is_empty(), service.endpoints.is_empty()) {
        (Kind::Infra, ..) => "infra",
        (Kind::Tcp, ..) => "tcp",
        (Kind::Http, true, _) => "mock",
        (Kind::Http, false, true) => "real",
        (Kind::Http, false, false) => "mixed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_service_is_called_what_it_is_made_of() {
        let config = testing::config(
            "services:
  a: { url: 'http://h:1' }
  b: { endpoints: [ { path: /x } ] }
  c: { url: 'http://h:2', endpoints: [ { path: /x } ] }
  d: { type: infra, image: 'nats:2' }
",
        );
        let lines = config.services.iter().map(|service| {
            let line = ServiceLine::new(service, service.mode, Vec::new());
            (line.name, line.kind, line.mode)
        });
        let expected = [
            ("a", "real", Some("real")),
            ("b", "mock", Some("mock")),
            ("c", "mixed", Some("mock-then-real")),
            ("d", "infra", None),
        ];
        let expected = expected.map(|(name, kind, mode)| (name.to_owned(), kind, mode));
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }
}
