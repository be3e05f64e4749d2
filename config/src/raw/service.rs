//! A service as typed.

use super::{RawEndpoint, RawSubscription};
use crate::data::Data;
use crate::decode::{
    AnyText, At, Capability, Decode, Defs, HttpUrl, Many, Named, NonEmpty, ShortOr, Status, Word,
    choice, record,
};
use crate::model::{HostPattern, Mode};
use crate::problem::Report;
use crate::yaml::{Node, Value};
use serde_json::{Value as Json, json};
use std::time::Duration;

record! {
    /// One service: real (`url`), mocked (`endpoints`), both, or infrastructure (`type: infra`).
    RawService("a service") {
        /// Only `infra` means anything: a container that compose starts. `mock` and `http` are
        /// accepted.
        "type" => kind: At<ServiceType>,
        /// Where the real service is: http://HOST:PORT, perhaps with a path before every request's.
        "url" => url: At<HttpUrl>,
        /// Several real endpoints, each a URL or a map with a weight.
        "urls" => urls: At<NonEmpty<Vec<ShortOr<At<HttpUrl>, RawUpstream>>>>,
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
        /// What start order waits for.
        "health" => health: RawHealth,
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
        "url" required => url: At<HttpUrl>,
        /// Its share of requests relative to its siblings, at least 1. Default 1.
        "weight" => weight: At<u32>,
    }
    later: &[("tier", Capability::Resilience)]
}

record! {
    /// The timers of one request.
    RawTimeout("timeout") {
        /// To connect, name resolution included. Default 2s.
        "connect" => connect: At<Duration>,
        /// Until the response headers. Default: none.
        "request" => request: At<Duration>,
    }
    later: &[
        ("first_byte", Capability::Resilience),
        ("idle", Capability::Resilience),
        ("per_try", Capability::Resilience),
    ]
}

record! {
    /// What start order waits for.
    RawHealth("health") {
        /// A path that answers 2xx once the service is ready. Default /health where a command is
        /// declared.
        "path" => path: At<Word>,
    }
    later: &[
        ("every", Capability::Resilience),
        ("timeout", Capability::Resilience),
        ("healthy", Capability::Resilience),
        ("unhealthy", Capability::Resilience),
    ]
}

/// `type:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceType {
    Mock,
    Http,
    Infra,
}

choice!(ServiceType, "type", {
    "mock" => ServiceType::Mock,
    "http" => ServiceType::Http,
    "infra" => ServiceType::Infra,
} later ("tcp", Capability::Protocols));

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
