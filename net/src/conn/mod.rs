//! One connection: the IO wrapper with its handle, and the loop that drives it.

mod body;
mod drive;
mod handle;
mod host;
mod io;

pub use drive::{ConnOptions, drive};
pub use handle::{Ending, Handle};
pub use io::ConnIo;
