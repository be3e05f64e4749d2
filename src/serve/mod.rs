//! The running process: what `up`, `proxy` and `mockd` are composed of.
//!
//! This is the one place that knows proxy and mocks both. Start-up and reload take the same path:
//! load, compile, bind what is new, and only then put everything in force at once.

mod change;
mod control;
mod listeners;
mod mockd;
mod prepare;
mod proxy;
mod reload;
mod remote;
mod run_time;
mod signals;
mod stop;
mod view;

pub(crate) use mockd::{MockdOptions, run_mockd};
pub(crate) use prepare::load_and_check;
pub(crate) use proxy::{Behind, ProxyOptions, run_proxy};
pub(crate) use run_time::Dropped;
