//! The sidecar: who gets a request, over which connection, and what the answer says about it.
//!
//! `flow` is the straight line of one request, top to bottom; each step is one call into one
//! module. `rescue` is the only place that turns an error into a response.

mod access_log;
mod auth;
mod body;
mod breakers;
mod cookies;
mod credentials;
mod edge;
mod edit;
mod explain;
mod flow;
mod forward;
mod grpc;
pub mod health;
mod hygiene;
pub mod limit;
mod mockd_client;
mod plan;
mod policy;
mod proxy;
mod record;
mod relay;
mod replay;
mod rescue;
mod route;
mod service;
mod shown;
mod snapshot;
mod stats;
#[cfg(test)]
mod testing;
mod transparent;
mod tunnel;
mod upstream;

pub use access_log::AccessLog;
pub use auth::digest;
pub use breakers::{Breaker, Breakers, Followed, log_breakers, watch_breakers};
pub use credentials::{Credentials, client_files};
pub use explain::{Candidate, Explanation, explain};
pub use forward::OwnAddresses;
pub use mockd_client::MockdClient;
pub use plan::{PlanView, RoutePlan};
pub use policy::breaker;
pub use proxy::{Builtin, EventFlow, Gate, Proxy};
pub use relay::{ServicePort, TcpReading};
pub use route::Role;
pub use service::Service;
pub use snapshot::Snapshot;
pub use stats::Reading;
pub use transparent::TransparentPort;
pub use upstream::{Ask, EndpointSet, EndpointView, follow_names};
