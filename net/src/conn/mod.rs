//! One connection: the IO wrapper with its handle, and the loop that drives it.

mod handle;

pub use handle::{Ending, Handle};
