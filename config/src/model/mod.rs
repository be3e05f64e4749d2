//! The configuration as meant: defaults filled in, names resolved, units gone.
//!
//! These types never appear in the file format; the loader turns what was typed into them. Only
//! they leave the crate.

mod config;
mod endpoint;
mod proxy;
mod route;
mod secret;
mod service;

pub use config::{Config, Events};
pub use endpoint::{
    Action, DelayRange, Endpoint, Failure, Methods, Publish, Reaction, ResponseBody, ResponseSpec,
    Subscription,
};
pub use proxy::{
    AccessLog, AccessLogFormat, AccessLogOnly, AccessLogTarget, Admin, AllowRule, Forward, Limits,
    NetClass, Proxy, Workers,
};
pub use route::{Route, RouteAction, RouteMatch, Target};
pub use secret::Secret;
pub use service::{HostPattern, Kind, LocalCommand, Mode, Service, Timeouts, Upstream};
