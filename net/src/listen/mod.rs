//! Listeners, workers and drain: how a connection gets from the kernel to the thread that serves it.

mod accept;
mod bind;
mod drain;
mod workers;

pub use accept::{AcceptOptions, accept};
pub use bind::{BindError, Listener};
pub use drain::Drain;
pub use workers::Workers;
