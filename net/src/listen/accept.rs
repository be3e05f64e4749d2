//! The accept loop: one per listener, on a worker, because most connections stay where they were
//! accepted; others go to the least loaded worker.

use super::bind::{Address, Bound, Listener};
use super::drain::Drain;
use super::workers::Workers;
use crate::conn::{ConnIo, Handle, Socket, Timers, Watch};
use crate::peer::Peer;
use rustix::net::SocketFlags;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Pause after an accept that failed for want of descriptors or memory, so that the loop does not
/// spin while others give some back.
const BACK_OFF: Duration = Duration::from_millis(50);
/// Both ends of a unix socket: it has no addresses, and is as near as loopback.
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What is done with the connections of a listener.
pub trait Handler: Send + Sync + 'static {
    /// Serves one connection to its end. Dropping the future closes it.
    fn handle(self: Arc<Self>, io: ConnIo, peer: Peer) -> impl Future<Output = ()> + Send;
}

/// What every listener of the process shares.
#[derive(Clone, Debug)]
pub struct AcceptOptions {
    /// Where connections are served.
    pub workers: Arc<Workers>,
    /// Largest header section in bytes, for listeners of HTTP.
    pub header_bytes: usize,
    /// How long a connection may take.
    pub timers: Timers,
    /// Connections over all listeners; at the cap, accepting waits.
    pub permits: Arc<Semaphore>,
    /// Ends accepting, and then connections as they become idle.
    pub drain: Drain,
}

/// Accepts until the drain begins or `stop` is cancelled. Connections that are open then finish the
/// request they are in.
///
/// # Errors
/// When the listener cannot be registered with the reactor.
pub async fn accept<H: Handler>(
    listener: Listener,
    handler: Arc<H>,
    options: AcceptOptions,
    stop: CancellationToken,
) -> io::Result<()> {
    let acceptor = Acceptor::new(listener)?;
    let draining = options.drain.begun();
    let watch = Watch::new(options.timers);
    // For as long as connections last, which may be longer than the listener.
    tokio::spawn(watch.clone().keep());
    let accepting = accept_until_stopped(&acceptor, handler, &options, &watch);
    tokio::select! {
        biased;
        () = draining.cancelled() => {}
        () = stop.cancelled() => {}
        () = accepting => {}
    }
    watch.close();
    Ok(())
}

async fn accept_until_stopped<H: Handler>(
    acceptor: &Acceptor,
    handler: Arc<H>,
    options: &AcceptOptions,
    watch: &Watch,
) {
    loop {
        let Some((accepted, permit)) = acceptor.next_connection(&options.permits).await else {
            return;
        };
        let (runtime, place) = options.workers.least_loaded();
        let connection = watch.open(Some(Box::new((permit, place, options.drain.share()))));
        let (handler, listener) = (handler.clone(), acceptor.address.tcp());
        runtime.spawn(async move {
            match accepted.adopt(listener, connection) {
                Ok((io, peer)) => handler.handle(io, peer).await,
                Err(error) => tracing::debug!(%error, "Connection was lost"),
            }
        });
    }
}

/// A listener that is part of this thread's reactor. The file of a unix socket goes with it.
struct Acceptor {
    socket: AsyncFd<OwnedFd>,
    address: Address,
}

/// A connection that is part of no reactor yet: it joins its worker's and no other.
struct Accepted {
    socket: OwnedFd,
    /// `None` for unix sockets, whose peers have no addresses.
    remote: Option<SocketAddr>,
}

impl Acceptor {
    fn new(listener: Listener) -> io::Result<Self> {
        let socket = match listener.socket {
            Bound::Tcp(socket) => OwnedFd::from(socket),
            Bound::Unix(socket) => OwnedFd::from(socket),
        };
        #[expect(
            deprecated,
            reason = "its successor is unsafe: it asks for a descriptor that stays the same, which \
                      an OwnedFd does"
        )]
        let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
        Ok(Self { socket, address: listener.address })
    }

    /// Waits for a connection, and for a place for it; failures that are not the listener's are
    /// waited out. `None` when there will be no more places.
    async fn next_connection(
        &self,
        permits: &Arc<Semaphore>,
    ) -> Option<(Accepted, OwnedSemaphorePermit)> {
        loop {
            let error = match self.socket.readable().await {
                Err(error) => error,
                Ok(mut waiting) => {
                    // Not before somebody waits: listeners that nobody uses would keep the places.
                    let permit = permits.clone().acquire_owned().await.ok()?;
                    match waiting.try_io(|socket| accept_one(socket.get_ref())) {
                        Ok(Ok(accepted)) => return Some((accepted, permit)),
                        Ok(Err(error)) if !is_about_one_connection(&error) => error,
                        // It is gone, or there was none.
                        Ok(Err(_)) | Err(_) => continue,
                    }
                }
            };
            metrics::counter!("stitch_accept_errors_total").increment(1);
            tracing::warn!(address = %self.address, %error, "Cannot accept, trying again shortly");
            tokio::time::sleep(BACK_OFF).await;
        }
    }
}

fn accept_one(listener: &OwnedFd) -> io::Result<Accepted> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, remote) = rustix::net::acceptfrom_with(listener, flags)?;
    Ok(Accepted { socket, remote: remote.and_then(|remote| remote.try_into().ok()) })
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Accepted {
    /// Makes the socket part of this worker's reactor.
    fn adopt(self, listener: Option<SocketAddr>, connection: Handle) -> io::Result<(ConnIo, Peer)> {
        let (socket, remote, local): (Socket, _, _) = match self.remote {
            Some(remote) => {
                let stream = std::net::TcpStream::from(self.socket);
                let local = match listener {
                    Some(address) if !address.ip().is_unspecified() => address,
                    // Only a wildcard listener has to ask which of our addresses was meant.
                    _ => stream.local_addr()?,
                };
                (TcpStream::from_std(stream)?.into(), remote, local)
            }
            None => {
                let stream = std::os::unix::net::UnixStream::from(self.socket);
                (UnixStream::from_std(stream)?.into(), LOCAL, LOCAL)
            }
        };
        let peer = Peer::new(remote, local, connection);
        Ok((ConnIo::new(socket, peer.connection.clone()), peer))
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
