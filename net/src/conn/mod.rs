//! One connection: the IO wrapper with its handle, how it opens, and the loop that drives it.

mod ahead;
mod answer;
mod body;
mod coding;
mod delegate;
mod drive;
#[cfg(test)]
mod drive_tests;
mod farewell;
mod handle;
mod handshake;
mod host;
mod io;
mod normalise;
mod opening;
mod socket;
mod stream;
mod streams;
mod watch;
mod watched;

pub use ahead::{Ahead, ReadAhead};
pub use body::Uploading;
pub use drive::drive;
pub(crate) use drive::{HEADER_TIMEOUT, count_header_timeout, drive_h1};
pub(crate) use farewell::{dismiss, finish};
pub(crate) use handle::Phase;
pub use handle::{Ending, Handle, Occupied};
pub use handshake::{chose_h2, read_hello, terminate};
pub use io::ConnIo;
pub use opening::{Opening, Unopened, read_until};
pub use socket::Socket;
pub use stream::{Duplex, Stream};
pub use watch::{Timers, Watch};
pub use watched::Watched;
