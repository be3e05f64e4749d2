//! One connection: the IO wrapper with its handle, and the loop that drives it.

mod body;
mod coding;
mod drive;
#[cfg(test)]
mod drive_tests;
mod handle;
mod host;
mod io;
mod watch;

pub use drive::drive;
pub use handle::{Ending, Handle};
pub use io::ConnIo;
pub use watch::{Timers, Watch};
