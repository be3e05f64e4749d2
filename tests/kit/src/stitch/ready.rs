//! The `ready` line: where everything listens.

use serde_json::Value;
use std::net::SocketAddr;

/// What `stitch` says, as one line of JSON, when everything is bound.
#[derive(Clone, Debug)]
pub struct Ready(Value);

impl Ready {
    /// Accepts the line whose `event` is `ready`.
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        (value["event"] == "ready").then_some(Self(value))
    }

    /// The whole line.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// The URL under a top-level key such as `proxy` or `admin`.
    #[must_use]
    pub fn url(&self, key: &str) -> Option<&str> {
        self.0[key].as_str()
    }

    /// The URLs of a service.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<Vec<&str>> {
        let services = self.0["services"].as_array()?;
        let service = services.iter().find(|service| service["name"] == name)?;
        Some(service["urls"].as_array()?.iter().filter_map(Value::as_str).collect())
    }
}

/// The address in `http://ADDR:PORT` with or without a path.
pub(crate) fn address_of(url: &str) -> Option<SocketAddr> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"event":"ready","proxy":"http://127.0.0.1:8080","admin":"http://[::1]:9900",
        "services":[{"name":"users","kind":"http","urls":["http://127.0.0.1:8001"]}]}"#;

    #[test]
    fn only_the_ready_event_is_ready() {
        assert!(Ready::from_line(r#"{"event":"starting"}"#).is_none());
        assert!(Ready::from_line("ready").is_none());
        assert!(Ready::from_line(LINE).is_some());
    }

    #[test]
    fn addresses_are_found_by_name() {
        let ready = Ready::from_line(LINE).unwrap();
        assert_eq!(ready.url("proxy").and_then(address_of), "127.0.0.1:8080".parse().ok());
        assert_eq!(ready.url("admin").and_then(address_of), "[::1]:9900".parse().ok());
        assert_eq!(ready.service("users").unwrap(), ["http://127.0.0.1:8001"]);
        assert_eq!(ready.service("orders"), None);
        assert_eq!(ready.json()["event"], "ready");
    }

    #[test]
    fn a_path_is_no_part_of_the_address() {
        assert_eq!(address_of("http://127.0.0.1:1/x"), "127.0.0.1:1".parse().ok());
        assert_eq!(address_of("127.0.0.1:1"), "127.0.0.1:1".parse().ok());
        assert_eq!(address_of("http://localhost:1"), None);
    }
}
