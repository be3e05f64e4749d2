//! The accept loop: one per listener, on the control thread; connections go to the least loaded
//! worker.

use super::bind::Listener;
use super::drain::Drain;
use super::workers::Workers;
use crate::conn::{ConnIo, Timers, Watch, drive};
use crate::peer::Peer;
use crate::serve::Serve;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Pause after an accept that failed for want of descriptors or memory, so that the loop does not
/// spin while others give some back.
const BACK_OFF: Duration = Duration::from_millis(50);

/// What every listener of the process shares.
#[derive(Clone, Debug)]
pub struct AcceptOptions {
    /// Where connections are served.
    pub workers: Arc<Workers>,
    /// Largest header section in bytes.
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
pub async fn accept<S: Serve>(
    listener: Listener,
    serve: Arc<S>,
    options: AcceptOptions,
    stop: CancellationToken,
) -> io::Result<()>
where
    S::Body: Unpin,
{
    let address = listener.address;
    let socket = TcpListener::from_std(listener.socket)?;
    let draining = options.drain.begun();
    let watch = Watch::new(options.timers);
    let watching = tokio::spawn(watch.clone().keep());
    let accepting = accept_until_stopped(socket, address, serve, &options, &watch);
    tokio::select! {
        biased;
        () = draining.cancelled() => {}
        () = stop.cancelled() => {}
        () = accepting => {}
    }
    watch.close();
    watching.abort();
    Ok(())
}

async fn accept_until_stopped<S: Serve>(
    socket: TcpListener,
    address: SocketAddr,
    serve: Arc<S>,
    options: &AcceptOptions,
    watch: &Watch,
) where
    S::Body: Unpin,
{
    loop {
        let Ok(permit) = options.permits.clone().acquire_owned().await else { return };
        let (stream, remote) = next_connection(&socket, address).await;
        let (runtime, place) = options.workers.least_loaded();
        let connection = watch.open(Some(Box::new((permit, place, options.drain.share()))));
        let (serve, header_bytes) = (serve.clone(), options.header_bytes);
        runtime.spawn(async move {
            match adopt(stream, address) {
                Ok((stream, local)) => {
                    let peer = Peer {
                        remote,
                        local,
                        original_destination: None,
                        tls_identity: None,
                        caller: None,
                        connection,
                    };
                    let io = ConnIo::new(stream, peer.connection.clone());
                    drive(io, Arc::new(peer), serve, header_bytes).await;
                }
                Err(error) => tracing::debug!(peer = %remote, %error, "Connection was lost"),
            }
        });
    }
}

/// Makes an accepted socket part of this worker's reactor.
fn adopt(
    stream: std::net::TcpStream,
    listener: SocketAddr,
) -> io::Result<(tokio::net::TcpStream, SocketAddr)> {
    stream.set_nodelay(true)?;
    // Only a wildcard listener has to ask which of our addresses was meant.
    let local = if listener.ip().is_unspecified() { stream.local_addr()? } else { listener };
    Ok((tokio::net::TcpStream::from_std(stream)?, local))
}

/// Waits for a connection; failures that are not the listener's are waited out. The socket leaves
/// this thread's reactor here and joins its worker's in [`adopt`].
async fn next_connection(
    socket: &TcpListener,
    address: SocketAddr,
) -> (std::net::TcpStream, SocketAddr) {
    loop {
        let accepted = match socket.accept().await {
            Ok((stream, remote)) => stream.into_std().map(|stream| (stream, remote)),
            Err(error) => Err(error),
        };
        match accepted {
            Ok(accepted) => return accepted,
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                metrics::counter!("stitch_accept_errors_total").increment(1);
                tracing::warn!(%address, %error, "Cannot accept, trying again shortly");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
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
