//! `services:` — one declared service.

use super::{ClientTls, Endpoint, HealthCheck, Policies, Subscription, Timeouts, Upstream};
use crate::data::Data;
use crate::place::Place;
use std::path::PathBuf;
use std::sync::Arc;

/// A declared service: real, mocked, both, or infrastructure.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name: a DNS label, unique.
    pub name: Arc<str>,
    /// Where it is declared.
    pub place: Place,
    /// HTTP, any bytes, or infrastructure.
    pub kind: Kind,
    /// `url` or `urls`: the real endpoints. Empty for a pure mock.
    pub upstreams: Vec<Upstream>,
    /// `tls`: how `https://` and `tls://` endpoints are connected to.
    pub tls: ClientTls,
    /// `proxy_protocol`: connections to the real service begin with a PROXY header.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// `port`: an extra listener for this service alone; 0 picks a free one.
    pub port: Option<u16>,
    /// `hosts`. Default the name and `name.localhost`.
    pub hosts: Vec<HostPattern>,
    /// `preserve_host`.
    pub preserve_host: bool,
    /// `mode`, or its default by what is declared.
    pub mode: Mode,
    /// `mock_on`: statuses of the real service that let the mock answer. Default `[501]`.
    pub mock_on: Vec<u16>,
    /// `timeout`, merged with `defaults`.
    pub timeout: Timeouts,
    /// Every other policy, merged with `defaults`.
    pub policies: Policies,
    /// `endpoints`: the mock, in file order.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// `nats_subscribe`.
    pub subscriptions: Vec<Arc<Subscription>>,
    /// `command`, `env`, `proxied`: a program that `stitch up` starts.
    pub command: Option<LocalCommand>,
    /// `env`, for the command and for compose.
    pub env: Vec<(String, String)>,
    /// `image`, for compose.
    pub image: Option<String>,
    /// `build`, for compose: a context path, passed through as written.
    pub build: Option<Data>,
    /// `ports`, for compose (infra).
    pub ports: Vec<String>,
    /// `volumes`, for compose (infra).
    pub volumes: Vec<String>,
    /// `environment`, for compose (infra); passed through as written.
    pub environment: Option<Data>,
    /// `depends_on`.
    pub depends_on: Vec<Arc<str>>,
    /// `health.path`: what start order waits for. Default `/health` where a command is declared.
    pub health_path: Option<String>,
    /// `health.grpc`: the gRPC service to ask for instead, empty for the whole server.
    pub health_grpc: Option<String>,
    /// `health.every`: endpoints are checked all the time.
    pub health_check: Option<HealthCheck>,
}

/// What a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Spoken to over HTTP; real, mocked or both.
    Http,
    /// `type: tcp`: its bytes are passed on as they are; always real.
    Tcp,
    /// A container that compose starts; the proxy leaves it alone.
    Infra,
}

/// Versions of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}

impl ProxyProtocol {
    /// The name used in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// A host that belongs to a service or route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// Lower case; a leading `*.` matches any number of labels (at least one).
    pub host: String,
    /// Only this port; `None` matches any.
    pub port: Option<u16>,
}

/// Who answers: the real service or its mock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Declared endpoints are mocked, the rest is real.
    MockThenReal,
    /// Real; the mock when real cannot be reached or says one of `mock_on`.
    RealThenMock,
    /// Always real.
    Real,
    /// Always mocked; a miss is a 404.
    Mock,
}

impl Mode {
    /// The mode of a service that names none.
    pub fn default_for(has_real: bool, has_mock: bool) -> Self {
        match (has_real, has_mock) {
            (true, true) => Self::MockThenReal,
            (false, true) => Self::Mock,
            (_, false) => Self::Real,
        }
    }

    /// The name used in files, headers and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MockThenReal => "mock-then-real",
            Self::RealThenMock => "real-then-mock",
            Self::Real => "real",
            Self::Mock => "mock",
        }
    }

    /// All modes.
    pub const ALL: [Self; 4] = [Self::MockThenReal, Self::RealThenMock, Self::Real, Self::Mock];

    /// The mode of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }

    /// Whether the mode ever calls the real service.
    pub fn uses_real(self) -> bool {
        self != Self::Mock
    }

    /// Whether the mock is asked before the real service is.
    pub fn asks_mock_first(self) -> bool {
        matches!(self, Self::Mock | Self::MockThenReal)
    }

    /// Whether the mode ever calls the mock.
    pub fn uses_mock(self) -> bool {
        self != Self::Real
    }
}

/// A program that `stitch up` starts and looks after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalCommand {
    /// The command split as a shell would, without running one. Never empty.
    pub argv: Vec<String>,
    /// The directory of the file that declares it.
    pub directory: PathBuf,
    /// `proxied`: gets HTTP_PROXY and friends, with the service's name as proxy user.
    pub proxied: bool,
    /// Where it stands in the file.
    pub place: Place,
}
