//! Bytes both ways: CONNECT and upgraded connections.

use crate::flow::dial;
use crate::proxy::{Gate, Proxy};
use crate::route::Role;
use crate::service::Service;
use crate::upstream::connect;
use bytes::Bytes;
use http::uri::Authority;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::Arc;
use stitch_net::Peer;
use stitch_net::conn::drive;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional_with_sizes,
};
use tokio::net::TcpStream;

/// Buffer for each direction.
const BUFFER: usize = 16 * 1024;
/// First byte of a TLS handshake record (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Joins an upgraded client connection with an upstream connection that has switched protocols, and
/// what came on it at once. `peer` keeps the connection counted until the tunnel ends.
pub(crate) fn join_upgraded(
    client: OnUpgrade,
    (mut upstream, early): (TcpStream, Bytes),
    peer: Option<Arc<Peer>>,
) {
    tokio::spawn(async move {
        let _peer = peer;
        let mut client = match client.await {
            Ok(client) => TokioIo::new(client),
            Err(error) => {
                tracing::debug!(%error, "Upgrade failed");
                return;
            }
        };
        match client.write_all(&early).await {
            Ok(()) => join(&mut client, &mut upstream).await,
            Err(error) => tracing::trace!(%error, "Tunnel broke off"),
        }
    });
}

/// Joins a CONNECT client with a socket, once its 200 has been sent.
pub(crate) fn join_connected(client: OnUpgrade, mut upstream: TcpStream, peer: Arc<Peer>) {
    tokio::spawn(async move {
        let _peer = peer;
        match client.await {
            Ok(client) => join(&mut TokioIo::new(client), &mut upstream).await,
            Err(error) => tracing::debug!(%error, "CONNECT client is gone"),
        }
    });
}

/// Copies until both sides have ended; half-close is passed on.
async fn join<A, B>(one: &mut A, other: &mut B)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    // How a tunnel ends is its users' business; bytes are counted either way.
    match copy_bidirectional_with_sizes(one, other, BUFFER, BUFFER).await {
        Ok((sent, received)) => tracing::trace!(sent, received, "Tunnel ended"),
        Err(error) => tracing::trace!(%error, "Tunnel broke off"),
    }
}

/// What a tunnel leads to that is served from the inside.
pub(crate) enum Inside {
    /// A declared service.
    Service(Arc<Service>),
    /// A host that routes name.
    Host(Authority),
}

/// A CONNECT to something declared: what comes out of the tunnel is served as if it had come to the
/// service directly, so that clients that tunnel even plain HTTP (Node's, for one) are mocked and
/// faulted like all others. TLS cannot be looked into and goes to the real service, or to the host
/// that was asked for.
pub(crate) fn serve_inside(client: OnUpgrade, proxy: Arc<Proxy>, inside: Inside, peer: Arc<Peer>) {
    tokio::spawn(async move {
        let served = async {
            let mut client = TokioIo::new(client.await.map_err(io::Error::other)?);
            let first = match client.read_u8().await {
                Ok(first) => first,
                // Closed without a byte.
                Err(_) => return Ok(()),
            };
            let (read, write) = tokio::io::split(client);
            let mut client =
                tokio::io::join(AsyncReadExt::chain(io::Cursor::new([first]), read), write);
            if first == TLS_HANDSHAKE {
                let mut upstream = match inside {
                    Inside::Service(service) => connect_real(&service).await?,
                    Inside::Host(host) => {
                        let dialled = dial(&proxy.snapshot(), &host).await;
                        dialled.map_err(|failure| io::Error::other(format!("{failure:?}")))?
                    }
                };
                join(&mut client, &mut upstream).await;
                return Ok(());
            }
            let header_bytes = proxy.snapshot().limits.header_bytes;
            let gate = Arc::new(match inside {
                Inside::Service(service) => {
                    Gate::new(proxy, Role::Service(service.declared.name.clone()))
                }
                Inside::Host(host) => Gate::in_tunnel(proxy, host),
            });
            Box::pin(drive(client, peer.clone(), gate, header_bytes)).await;
            Ok::<_, io::Error>(())
        };
        if let Err(error) = served.await {
            tracing::debug!(peer = %peer.remote, %error, "Tunnel to something declared failed");
        }
    });
}

async fn connect_real(service: &Service) -> io::Result<TcpStream> {
    let Some(endpoint) = service.endpoints.first() else {
        let name = &service.declared.name;
        return Err(io::Error::other(format!("{name} is mocked, and its mock does not speak TLS")));
    };
    connect(endpoint, service.declared.timeout.connect).await.map_err(io::Error::other)
}
