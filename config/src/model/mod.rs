//! The configuration as meant: defaults filled in, names resolved, units gone.
//!
//! These types never appear in the file format; the loader turns what was typed into them. Only
//! they leave the crate.

mod config;
mod endpoint;
mod listen;
mod policy;
mod proxy;
mod route;
mod secret;
mod service;
mod tls;
mod upstream;

pub use config::{Config, Events};
pub use endpoint::{
    Action, DelayRange, Endpoint, Failure, Methods, Publish, Reaction, ResponseBody, ResponseSpec,
    Subscription,
};
pub use listen::ListenAddress;
pub use policy::{
    ApiKey, ApiKeys, Auth, Balance, BasicAuth, BodyEdit, BodyEdits, Breaker, Concurrency, Cors,
    Digest, Eject, ForwardAuth, HashKey, HeaderEdit, HeaderEdits, HealthCheck, HealthProbe, Hedge,
    HedgeAfter, JsonPath, JsonStep, Jwks, Jwt, KeyPlace, LimitKey, Mirror, Origins, PasswordHash,
    Policies, Rate, RateLimit, Respond, Retry, RetryOn, Setting, Slow, TimeoutOverrides, Timeouts,
    User, Value, ValuePart, WrongHash,
};
pub use proxy::{
    AccessLog, AccessLogFormat, AccessLogOnly, AccessLogTarget, Admin, AllowRule, Forward, Limits,
    NetClass, Proxy, Workers,
};
pub use route::{Route, RouteAction, RouteMatch, Target};
pub use secret::Secret;
pub use service::{HostPattern, Kind, LocalCommand, Mode, ProxyProtocol, Service};
pub use tls::{Certificate, ClientTls, PemFile, ServerTls};
pub use upstream::{Scheme, Upstream, UpstreamAddress};
