//! `proxy:` as typed.

use super::RawServerTls;
use crate::decode::{
    At, Capability, FromScalar, Many, NetRule, NonEmpty, ShortOr, Size, SizeOrNone, Word, Wrong,
    choice, record, scalars,
};
use crate::model::{AccessLogFormat, AccessLogOnly, ListenAddress, Workers};
use serde_json::{Number, Value as Json, json};
use std::net::SocketAddr;
use std::time::Duration;

record! {
    /// The proxy's own listeners and limits.
    RawProxy("proxy") {
        /// Reverse and HTTP_PROXY traffic on one port: an address or unix:/path; a list is fine.
        /// Default 127.0.0.1:8080.
        "listen" => listen: NonEmpty<Many<At<ListenAddress>>>,
        /// Where connections arrive that iptables redirected: an address, or a list.
        "transparent" => transparent: NonEmpty<Many<At<SocketAddr>>>,
        /// Certificates, so that `listen` and service ports take TLS beside plain connections.
        "tls" => tls: At<RawServerTls>,
        /// Whether every connection to `listen` and service ports begins with a PROXY header.
        /// Default false.
        "proxy_protocol" => proxy_protocol: bool,
        /// The admin API, as an address or a map. Default 127.0.0.1:9900.
        "admin" => admin: ShortOr<At<SocketAddr>, RawAdmin>,
        /// Worker threads: `auto` (one per core) or a number. Default auto.
        "workers" => workers: WorkersChoice,
        /// What HTTP_PROXY clients may reach beyond declared services.
        "forward" => forward: RawForward,
        /// Who may set x-forwarded-*, forwarded and x-stitch-* headers: classes and address
        /// ranges. Default [loopback].
        "trust" => trust: Many<At<NetRule>>,
        /// Which requests are logged, how and where.
        "access_log" => access_log: RawAccessLog,
        /// Bounds on what clients may send.
        "limits" => limits: RawLimits,
        /// How long requests in flight may take after a stop was asked for. Default 10s.
        "drain" => drain: Duration,
    }
    later: &[("inject", Capability::Faults)]
}

record! {
    /// The admin listener.
    RawAdmin("proxy.admin") {
        /// Where it listens. Default 127.0.0.1:9900.
        "listen" => listen: At<SocketAddr>,
        /// Bearer token; required unless it listens on loopback.
        "token" => token: At<Word>,
    }
}

record! {
    /// What HTTP_PROXY clients may reach beyond declared services.
    RawForward("proxy.forward") {
        /// Classes (loopback, private, public), address ranges and host globs. Default: all
        /// classes when every listener is on loopback, nothing otherwise.
        "allow" => allow: Many<NetRule>,
        /// Ports that CONNECT may reach; loopback ports always may. Default [443, 8443].
        "connect_ports" => connect_ports: Many<At<u16>>,
        /// Whether TLS inside CONNECT is terminated here, with a CA of this installation, so that
        /// HTTPS can be routed and mocked. Default false.
        "intercept_tls" => intercept_tls: bool,
    }
}

record! {
    /// Which requests are logged, how and where.
    RawAccessLog("proxy.access_log") {
        /// `text` or `json`. Default text.
        "format" => format: AccessLogFormat,
        /// `stderr`, `stdout` or a file to append to. Default stderr.
        "to" => to: At<Word>,
        /// `errors`, `all` or "status >= 500". Default errors.
        "only" => only: OnlyChoice,
    }
}

record! {
    /// Bounds on what clients may send.
    RawLimits("proxy.limits") {
        /// Size of a header section, from 8KiB to 16MiB. Default 64KiB.
        "header_bytes" => header_bytes: At<Size>,
        /// Size of a request body, or `none`. Default none.
        "body" => body: SizeOrNone,
        /// Client connections held at once. Default 10000.
        "connections" => connections: At<u32>,
        /// Time to finish a header section. Default 10s.
        "header_timeout" => header_timeout: At<Duration>,
        /// How long a client connection may idle between requests. Default 75s.
        "idle" => idle: At<Duration>,
    }
}

/// `workers:`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkersChoice(pub(crate) Workers);

impl FromScalar for WorkersChoice {
    const WHAT: &'static str = "auto or a number from 1 to 256";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        match text {
            "auto" => Ok(Self(Workers::Auto)),
            _ => Err(Wrong::new(format!("expected {}, found {text:?}", Self::WHAT))),
        }
    }

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        let count = number.as_u64().and_then(|count| usize::try_from(count).ok());
        match count.filter(|count| (1..=256).contains(count)) {
            Some(count) => Ok(Self(Workers::Count(count))),
            None => Err(Wrong::new(format!("expected {}, found {text}", Self::WHAT))),
        }
    }

    fn json_schema() -> Json {
        json!({ "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 256 }] })
    }
}
scalars!(WorkersChoice);

choice!(AccessLogFormat, "log format", {
    "text" => AccessLogFormat::Text,
    "json" => AccessLogFormat::Json,
});

/// `only:`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnlyChoice(pub(crate) AccessLogOnly);

impl FromScalar for OnlyChoice {
    const WHAT: &'static str = "errors, all or \"status >= 500\"";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        match text {
            "errors" => return Ok(Self(AccessLogOnly::Errors)),
            "all" => return Ok(Self(AccessLogOnly::All)),
            _ => {}
        }
        let from = text.strip_prefix("status").map(str::trim_start);
        let from = from.and_then(|text| text.strip_prefix(">=")).map(str::trim);
        match from.and_then(|status| status.parse::<u16>().ok()) {
            Some(status) if (100..600).contains(&status) => {
                Ok(Self(AccessLogOnly::StatusFrom(status)))
            }
            _ => Err(Wrong::new(format!("{text:?} does not say which requests to log"))
                .hint("write errors, all or \"status >= 500\"")),
        }
    }

    fn json_schema() -> Json {
        let status = json!({ "type": "string", "pattern": "^status *>= *[1-5][0-9]{2}$" });
        json!({ "anyOf": [{ "enum": ["errors", "all"] }, status] })
    }
}
scalars!(OnlyChoice);
