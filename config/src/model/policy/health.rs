//! `health:` with `every` — asking endpoints regularly whether they are well.

use std::time::Duration;

/// How each endpoint of a service is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: HealthProbe,
    /// `every`: from one check to the next, give or take 10 %.
    pub every: Duration,
    /// `timeout` of one check. Default 2 s.
    pub timeout: Duration,
    /// Good checks in a row after which an endpoint is well again. Default 2.
    pub healthy: u32,
    /// Bad checks in a row after which it gets no requests. Default 3.
    pub unhealthy: u32,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthProbe {
    /// `path`: good is a status below 400.
    Http(String),
    /// `grpc`: the service's name, empty for the whole server; good is SERVING.
    Grpc(String),
    /// `tcp: true`, and what `type: tcp` does by default: good is a connection.
    Tcp,
}
