//! The records of the file, as typed; their doc comments are the descriptions in the JSON Schema.
//!
//! Keys that belong to later capabilities are listed beside each record and refused by name.

mod endpoint;
pub(crate) mod file;
pub(crate) mod later;
mod policy;
mod proxy;
mod response;
mod route;
mod service;
mod tls;

pub(crate) use endpoint::{RawEndpoint, RawPublish, RawSubscription};
pub(crate) use file::RawFile;
pub(crate) use policy::*;
pub(crate) use proxy::{RawAccessLog, RawAdmin, RawForward, RawLimits, RawProxy};
pub(crate) use response::RawResponse;
pub(crate) use route::{RawMatch, RawRedirect, RawRoute, RawTarget};
pub(crate) use service::{RawService, RawTimeout, RawUpstream, ServiceType};
pub(crate) use tls::{RawCertificate, RawClientTls, RawServerTls};
