//! A relayed connection's line in the access log.

use super::outcome::Outcome;
use crate::access_log::printable;
use crate::shown::rfc3339;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use stitch_config::model::AccessLogFormat;

/// What is known about a connection that is over.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(super) at: SystemTime,
    pub(super) peer: SocketAddr,
    pub(super) service: String,
    /// Empty when none was reached.
    pub(super) endpoint: String,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) took: Duration,
    pub(super) outcome: Outcome,
    /// What went wrong, in words.
    pub(super) error: Option<String>,
}

impl Line {
    /// The line as the file wants it.
    pub(crate) fn render(&self, format: AccessLogFormat) -> String {
        let at = rfc3339(self.at);
        let millis = self.took.as_secs_f64() * 1000.0;
        match format {
            AccessLogFormat::Json => {
                let mut json = serde_json::json!({
                    "time": at,
                    "peer": self.peer.to_string(),
                    "protocol": "tcp",
                    "service": self.service,
                    "endpoint": self.endpoint,
                    "bytes_in": self.bytes_in,
                    "bytes_out": self.bytes_out,
                    "ms": (millis * 1000.0).round() / 1000.0,
                    "result": self.outcome.as_str(),
                    "error": self.error,
                });
                if let Some(object) = json.as_object_mut() {
                    object.retain(|_, value| !value.is_null() && value != "");
                }
                format!("{json}\n")
            }
            AccessLogFormat::Text => {
                let Self { peer, service, bytes_in, bytes_out, outcome, .. } = self;
                let mut text = format!("{at} {peer} TCP {service}");
                if !self.endpoint.is_empty() {
                    let _ = write!(text, " {}", printable(&self.endpoint));
                }
                let _ = write!(text, " in={bytes_in} out={bytes_out} {millis:.1}ms {outcome}");
                if let Some(error) = &self.error {
                    let _ = write!(text, ": {}", printable(error));
                }
                text.push('\n');
                text
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stitch_net::Reason;

    fn line() -> Line {
        Line {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(951_827_696_789),
            peer: "127.0.0.1:5".parse().unwrap(),
            service: "db".into(),
            endpoint: "localhost:5432".into(),
            bytes_in: 12,
            bytes_out: 34,
            took: Duration::from_micros(1234),
            outcome: Outcome::Closed,
            error: None,
        }
    }

    #[test]
    fn text_is_one_line() {
        assert_eq!(
            line().render(AccessLogFormat::Text),
            "2000-02-29T12:34:56.789Z 127.0.0.1:5 TCP db localhost:5432 in=12 out=34 1.2ms closed\n"
        );
        let failed = Line {
            outcome: Outcome::Failed(Reason::ConnectDns),
            endpoint: String::new(),
            error: Some("the name\ndoes not resolve".into()),
            ..line()
        };
        let text = failed.render(AccessLogFormat::Text);
        assert!(text.ends_with("1.2ms connect_dns: the name\\ndoes not resolve\n"), "{text}");
    }

    #[test]
    fn json_is_one_object_without_empty_fields() {
        let json: serde_json::Value =
            serde_json::from_str(&line().render(AccessLogFormat::Json)).unwrap();
        assert_eq!(json["protocol"], "tcp");
        assert_eq!((&json["bytes_in"], &json["bytes_out"]), (&12.into(), &34.into()));
        assert_eq!(json["result"], "closed");
        assert!(json.get("error").is_none());
    }
}
