//! `services:` — one declared service.

use super::{Endpoint, Subscription};
use crate::data::Data;
use crate::place::Place;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A declared service: real, mocked, both, or infrastructure.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name: a DNS label, unique.
    pub name: Arc<str>,
    /// Where it is declared.
    pub place: Place,
    /// HTTP or infrastructure.
    pub kind: Kind,
    /// `url` or `urls`: the real endpoints. Empty for a pure mock.
    pub upstreams: Vec<Upstream>,
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
}

/// What a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Spoken to over HTTP; real, mocked or both.
    Http,
    /// A container that compose starts; the proxy leaves it alone.
    Infra,
}

/// One real endpoint of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Host name or address, in lower case, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path prefix of the url without a trailing slash; usually empty.
    pub base_path: String,
    /// Share of requests relative to its siblings, at least 1.
    pub weight: u32,
    /// Where it stands in the file.
    pub place: Place,
}

impl Upstream {
    /// `host:port`, with brackets around IPv6 addresses; port 80 is left out, as in a Host header.
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
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

    /// Whether the mode ever calls the mock.
    pub fn uses_mock(self) -> bool {
        self != Self::Real
    }
}

/// The timers of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect, name resolution included. Default 2 s.
    pub connect: Duration,
    /// Until response headers. No default: long polls are legitimate.
    pub request: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(2), request: None }
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
