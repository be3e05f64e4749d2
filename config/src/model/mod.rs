//! The configuration as meant: defaults filled in, names resolved, units gone.
//!
//! These types never appear in the file format; the loader turns what was typed into them. Only
//! they leave the crate.

mod endpoint;
mod proxy;
mod route;
mod secret;
mod service;

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

use crate::data::Data;
use std::path::PathBuf;
use std::sync::Arc;

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file given on the command line.
    pub file: PathBuf,
    /// `seed:`; absent means that one is drawn at start.
    pub seed: Option<u64>,
    /// `vars:` for templates, in file order.
    pub vars: Vec<(String, Data)>,
    /// `proxy:`.
    pub proxy: Proxy,
    /// `events:`.
    pub events: Events,
    /// `services:`, in file order (includes follow the including file).
    pub services: Vec<Arc<Service>>,
    /// `routes:`, in file order.
    pub routes: Vec<Arc<Route>>,
}

impl Config {
    /// The service of that name.
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.iter().find(|service| &*service.name == name)
    }
}

/// Where events travel.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Events {
    /// The declared NATS infra service if it answers within a second of start, else in-process.
    #[default]
    Auto,
    /// The broker inside the process.
    InProcess,
    /// A NATS server at this URL.
    Nats(String),
}
