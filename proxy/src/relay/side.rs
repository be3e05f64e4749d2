//! What can stand at either end of a relay.

use super::tunnelled::Tunnelled;
use crate::upstream::Wire;
use std::time::Duration;
use stitch_net::conn::{Ahead, ConnIo, ReadAhead as _, Socket, Stream};
use tokio::io::{AsyncRead, AsyncWrite};

/// One end of a relay.
pub(crate) trait Side: AsyncRead + AsyncWrite + Send + Unpin {
    /// The socket beneath, where it belongs to this stream alone.
    fn socket(&self) -> Option<&Socket>;

    /// The same, where its bytes are this stream's as they are, and none was read ahead.
    fn bare(&self) -> Option<&Socket> {
        None
    }

    /// Lets the other side see a reset when this is dropped, not an orderly end.
    fn abort(&self) {
        if let Some(socket) = self.socket() {
            // Best effort: a socket that is already gone cannot be reset any more.
            let _ = socket.options().set_linger(Some(Duration::ZERO));
        }
    }
}

impl Side for ConnIo {
    fn socket(&self) -> Option<&Socket> {
        Some(ConnIo::socket(self))
    }

    fn bare(&self) -> Option<&Socket> {
        self.ahead().is_empty().then(|| ConnIo::socket(self))
    }
}

impl Side for Wire {
    fn socket(&self) -> Option<&Socket> {
        Some(Wire::socket(self))
    }

    fn bare(&self) -> Option<&Socket> {
        self.bare()
    }
}

impl Side for Stream {
    fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Plain(io) => Some(io.socket()),
            Self::Tls(stream) => Some(stream.get_ref().0.socket()),
            Self::Inner(_) => None,
        }
    }

    fn bare(&self) -> Option<&Socket> {
        match self {
            Self::Plain(io) => io.bare(),
            Self::Tls(_) | Self::Inner(_) => None,
        }
    }
}

impl<S: Side> Side for Ahead<S> {
    fn socket(&self) -> Option<&Socket> {
        self.get_ref().socket()
    }

    fn bare(&self) -> Option<&Socket> {
        self.get_ref().bare().filter(|_| self.ahead().is_empty())
    }
}

impl Side for Tunnelled {
    fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Own(stream) => stream.socket(),
            Self::Within(_) => None,
        }
    }

    fn bare(&self) -> Option<&Socket> {
        match self {
            Self::Own(stream) => stream.bare(),
            Self::Within(_) => None,
        }
    }
}

impl Side for Box<dyn Side> {
    fn socket(&self) -> Option<&Socket> {
        (**self).socket()
    }

    fn bare(&self) -> Option<&Socket> {
        (**self).bare()
    }

    fn abort(&self) {
        (**self).abort();
    }
}
