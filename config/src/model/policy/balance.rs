//! `balance:` — which of several endpoints.

use http::HeaderName;

/// How an endpoint is chosen among those that are fit. Weights always apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The less loaded of two drawn at random.
    #[default]
    LeastRequest,
    /// In turn.
    RoundRobin,
    /// The one of two drawn at random whose latency (peak EWMA) times load is less.
    Ewma,
    /// At random.
    Random,
    /// By consistent hashing with bounded load.
    Hash(HashKey),
    /// `sticky:COOKIE`: the endpoint that answered first; we set the cookie.
    Sticky(String),
}

/// What is hashed. A request that has no such thing goes where least_request sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// `header:NAME`.
    Header(HeaderName),
    /// `cookie:NAME`.
    Cookie(String),
    /// `client_ip`.
    ClientIp,
    /// `path:NAME`: what `{NAME}` of the route's path holds.
    Path(String),
}
