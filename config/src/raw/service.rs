//! A service as typed.

use super::{RawClientTls, RawEndpoint, RawHealth, RawSubscription, with_policies};
use crate::data::Data;
use crate::decode::{
    AnyText, At, Capability, Decode, Defs, FromScalar, Many, Named, NonEmpty, ShortOr, Status, Url,
    Word, Wrong, choice, record, scalars,
};
use crate::model::{HostPattern, Mode, ProxyProtocol};
use crate::problem::Report;
use crate::yaml::{Node, Value};
use serde_json::{Number, Value as Json, json};
use std::time::Duration;

with_policies! {
    /// One service: real (`url`), mocked (`endpoints`), both, any bytes (`type: tcp`), or
    /// infrastructure (`type: infra`).
    RawService("a service") {
        /// `tcp`: its bytes are passed on as they are. `infra`: a container that compose starts.
        /// `mock` and `http` are accepted and mean nothing.
        "type" => kind: At<ServiceType>,
        /// Where the real service is: http://, https:// or h2c://HOST:PORT, perhaps with a path
        /// before every request's; unix:/path; with type: tcp also tcp:// or tls://HOST:PORT.
        "url" => url: At<Url>,
        /// Several real endpoints, each a URL or a map with a weight.
        "urls" => urls: At<NonEmpty<Vec<ShortOr<At<Url>, RawUpstream>>>>,
        /// How https:// and tls:// endpoints are connected to.
        "tls" => tls: At<RawClientTls>,
        /// Begins connections to the real service with a PROXY header: v1 or v2.
        "proxy_protocol" => proxy_protocol: At<ProxyProtocol>,
        /// An extra listener for this service alone, on the IP of `listen`; 0 picks a free port.
        "port" => port: At<u16>,
        /// Hosts that mean this service. Default: its name and NAME.localhost.
        "hosts" => hosts: At<Many<At<HostPattern>>>,
        /// Whether the client's Host header goes upstream. Default false.
        "preserve_host" => preserve_host: At<bool>,
        /// Who answers: mock-then-real, real-then-mock, real or mock. Default by what is declared.
        "mode" => mode: At<Mode>,
        /// Statuses of the real service that let the mock answer in real-then-mock. Default [501].
        "mock_on" => mock_on: At<Many<Status>>,
        /// How long to wait: a duration for the whole request, or a map.
        "timeout" => timeout: At<ShortOr<At<Duration>, RawTimeout>>,
        /// The mock: what is answered to which request.
        "endpoints" => endpoints: At<Vec<At<RawEndpoint>>>,
        /// What the service does when an event arrives.
        "nats_subscribe" => nats_subscribe: At<Many<At<RawSubscription>>>,
        /// A program that `stitch up` starts, split into words as a shell would.
        "command" => command: At<Word>,
        /// Environment of the command and of the container.
        "env" => env: At<Named<AnyText>>,
        /// Gives the command HTTP_PROXY and friends, so that its calls pass through. Default false.
        "proxied" => proxied: At<bool>,
        /// Container image, for compose.
        "image" => image: At<Word>,
        /// Build context, for compose, as Compose writes it.
        "build" => build: At<Data>,
        /// Published ports of the container, for compose.
        "ports" => ports: At<Many<AnyText>>,
        /// Volumes of the container, for compose.
        "volumes" => volumes: At<Many<AnyText>>,
        /// Environment of the container as Compose writes it, map or list.
        "environment" => environment: At<Environment>,
        /// Services that this one calls; they start first.
        "depends_on" => depends_on: At<Many<At<Word>>>,
        /// What start order waits for, and what endpoints are asked all the time.
        "health" => health: At<RawHealth>,
    }
    later: super::later::POLICIES, &[
        ("state_by", Capability::MockDepth),
        ("tables", Capability::MockDepth),
        ("openapi", Capability::MockDepth),
        ("proto", Capability::MockDepth),
        ("schedule", Capability::MockDepth),
        ("validate", Capability::MockDepth),
    ]
}

record! {
    /// One real endpoint among several.
    RawUpstream("an entry of urls") {
        /// Where it is.
        "url" required => url: At<Url>,
        /// Its share of requests relative to its siblings, at least 1. Default 1.
        "weight" => weight: At<u32>,
        /// Used only when no endpoint of a lower tier is fit. Default 1.
        "tier" => tier: At<u8>,
    }
    later: &[]
}

record! {
    /// The timers of one request.
    RawTimeout("timeout") {
        /// To connect, name resolution included. Default 2s.
        "connect" => connect: At<Duration>,
        /// From having a connection to the response headers of one attempt. Default: none.
        "first_byte" => first_byte: At<Duration>,
        /// One attempt until its response headers, connecting included. Default: none.
        "per_try" => per_try: At<Duration>,
        /// Until the response headers, all attempts together. Default: none.
        "request" => request: At<Duration>,
        /// No bytes either way on a stream, an upgrade or a tunnel. Default 5m.
        "idle" => idle: At<Duration>,
    }
}

/// `type:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceType {
    Mock,
    Http,
    Tcp,
    Infra,
}

choice!(ServiceType, "type", {
    "mock" => ServiceType::Mock,
    "http" => ServiceType::Http,
    "tcp" => ServiceType::Tcp,
    "infra" => ServiceType::Infra,
});

impl FromScalar for ProxyProtocol {
    const WHAT: &'static str = "v1 or v2";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let known = [Self::V1, Self::V2].into_iter().find(|version| version.as_str() == text);
        known.ok_or_else(|| Wrong::new(format!("expected {}, found {text:?}", Self::WHAT)))
    }

    fn from_number(_: &Number, text: &str) -> Result<Self, Wrong> {
        let wrong = Wrong::new(format!("expected {}, found the number {text}", Self::WHAT));
        Err(if matches!(text, "1" | "2") { wrong.hint(format!("write v{text}")) } else { wrong })
    }

    fn json_schema() -> Json {
        json!({ "enum": ["v1", "v2"] })
    }
}
scalars!(ProxyProtocol);

choice!(Mode, "mode", {
    "mock-then-real" => Mode::MockThenReal,
    "real-then-mock" => Mode::RealThenMock,
    "real" => Mode::Real,
    "mock" => Mode::Mock,
});

/// `environment:` as Compose takes it: a map, or a list of `NAME=value`.
#[derive(Clone, Debug)]
pub(crate) struct Environment(pub(crate) Data);

impl Decode for Environment {
    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Map(_) => Some(()),
            Value::List(_) => Many::<AnyText>::decode(node, report).map(|_| ()),
            Value::Scalar(_) => {
                report
                    .push(node.error(format!("expected a map or list, found {}", node.describe())));
                None
            }
        }?;
        Some(Self(node.to_data()))
    }

    fn schema(_: &mut Defs) -> Json {
        json!({ "anyOf": [{ "type": "object" }, { "type": "array", "items": { "type": "string" } }] })
    }
}
