//! Redirection by the firewall: which rules send connections to `proxy.transparent`, and how they
//! get there.

mod apply;
mod ports;
mod rules;

pub(crate) use apply::{apply, remove};
pub(crate) use ports::Ports;
pub(crate) use rules::{Family, Plan, Table, script};
