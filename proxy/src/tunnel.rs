//! What happens behind a CONNECT or an upgrade: bytes are joined, or looked into.

use crate::flow::dial;
use crate::proxy::{Gate, Proxy};
use crate::relay::{self, Relay, Side, Tally, Tunnelled};
use crate::route::Role;
use crate::service::Service;
use crate::upstream::{Offer, Wire, connect};
use http::uri::{Authority, Scheme};
use hyper::upgrade::OnUpgrade;
use std::io;
use std::sync::Arc;
use stitch_net::conn::{
    Ahead, ConnIo, Duplex, Opening, ReadAhead, Stream, chose_h2, drive, read_hello, read_until,
    terminate,
};
use stitch_net::{Peer, tls};

/// A client's side of what is looked into: of a tunnel, or of a redirected connection.
pub(crate) trait Client: Side + ReadAhead + Duplex + 'static {}

impl Client for Ahead<Tunnelled> {}
impl Client for ConnIo {}

/// Waits until the client can use its tunnel. `peer` has the handle that hears of its bytes.
async fn lay(client: OnUpgrade, peer: &Peer) -> Option<Tunnelled> {
    match client.await {
        Ok(client) => Some(Tunnelled::new(client, &peer.connection)),
        Err(error) => {
            tracing::debug!(peer = %peer.remote, %error, "The client of a tunnel is gone");
            None
        }
    }
}

/// Joins a client that has been told 101, or 200, with where its bytes go. `peer` keeps the
/// connection counted until the tunnel ends, and `held` goes with it.
pub(crate) fn join_upgraded(
    client: OnUpgrade,
    mut upstream: impl Side + 'static,
    peer: Arc<Peer>,
    held: impl Send + 'static,
) {
    tokio::spawn(async move {
        let _held = held;
        if let Some(mut client) = lay(client, &peer).await {
            join(&mut client, &mut upstream, &peer).await;
        }
    });
}

/// Relays a CONNECT client to a service of `type: tcp`, once its 200 has been sent.
pub(crate) fn relay(client: OnUpgrade, peer: Arc<Peer>, relay: Relay, upstream: Wire) {
    tokio::spawn(async move {
        if let Some(client) = lay(client, &peer).await {
            relay.join(client, upstream).await;
        }
    });
}

/// Relays until both sides have ended, or nothing has moved for too long.
async fn join(client: &mut impl Side, upstream: &mut impl Side, peer: &Peer) {
    let mut tally = Tally::default();
    let joined = relay::join(client, upstream, Some(&peer.connection), &mut tally).await;
    let Tally { bytes_in, bytes_out, .. } = tally;
    metrics::counter!("stitch_tunnel_bytes_total", "direction" => "in").increment(bytes_in);
    metrics::counter!("stitch_tunnel_bytes_total", "direction" => "out").increment(bytes_out);
    // How a tunnel ends is its users' business.
    tracing::debug!(bytes_in, bytes_out, ?joined, "Tunnel ended");
}

/// What a tunnel leads to that is served from the inside.
pub(crate) enum Inside {
    /// A declared service, and the host that was asked for.
    Service(Arc<Service>, Authority),
    /// A host that routes name.
    Host(Authority),
}

impl Inside {
    fn host(&self) -> &Authority {
        match self {
            Self::Service(_, host) | Self::Host(host) => host,
        }
    }

    /// The way in for what comes out of the tunnel.
    fn gate(self, proxy: Arc<Proxy>, scheme: Scheme) -> Arc<Gate> {
        Arc::new(match self {
            Self::Service(service, _) => {
                Gate::new(proxy, Role::Service(service.declared.name.clone()))
            }
            Self::Host(host) => Gate::in_tunnel(proxy, scheme, host),
        })
    }

    /// A connection to where the client wanted to go.
    async fn connect(&self, proxy: &Proxy) -> io::Result<Wire> {
        let service = match self {
            Self::Service(service, _) => service,
            Self::Host(host) => {
                let dialled = dial(&proxy.snapshot(), host).await;
                return dialled.map_err(|failure| io::Error::other(failure.detail(host.host())));
            }
        };
        let Some(endpoint) = service.endpoints.all().first().cloned() else {
            let name = &service.declared.name;
            return Err(io::Error::other(format!(
                "{name} is mocked, and TLS to a mock needs proxy.forward.intercept_tls"
            )));
        };
        if asks_who(service) {
            let name = &service.declared.name;
            tracing::warn!(
                "a tunnel with TLS to {name} is closed: it has auth, and who is inside can only be \
                 asked with proxy.forward.intercept_tls"
            );
            return Err(io::Error::other(format!("{name} has auth")));
        }
        // The client begins TLS itself, so this side must not.
        let bare = endpoint.without_tls();
        let limit = service.declared.timeout.connect;
        connect(&bare, Offer::Bytes, limit).await.map_err(io::Error::other)
    }
}

/// Whether whoever comes to a service has to show who they are.
fn asks_who(service: &Service) -> bool {
    let governing = service.plan.governing.as_ref();
    governing.is_some_and(|governing| governing.auth.is_some())
}

/// A CONNECT to something declared: what comes out of the tunnel is served as if it had come to the
/// service directly, so that clients that tunnel even plain HTTP (Node's, for one) are mocked and
/// faulted like all others. TLS is looked into where `intercept_tls` says so; otherwise it goes to
/// the real service, or to the host that was asked for.
pub(crate) fn serve_inside(client: OnUpgrade, proxy: Arc<Proxy>, inside: Inside, peer: Arc<Peer>) {
    tokio::spawn(async move {
        let Some(client) = lay(client, &peer).await else { return };
        if let Err(error) = serve_client(Ahead::new(client), proxy, inside, &peer).await {
            tracing::debug!(peer = %peer.remote, %error, "Tunnel to something declared failed");
        }
    });
}

/// Serves what a client of something declared says, as [`serve_inside`] does.
///
/// # Errors
/// When TLS that cannot be looked into has nowhere to go, or its handshake fails.
pub(crate) async fn serve_client(
    mut client: impl Client,
    proxy: Arc<Proxy>,
    inside: Inside,
    peer: &Arc<Peer>,
) -> io::Result<()> {
    let opening = read_until(&mut client, &peer.connection, Opening::of_http).await;
    let header_bytes = proxy.snapshot().limits.header_bytes;
    match opening {
        // Closed, or told to, without a byte that means anything.
        Err(_) => {}
        Ok(Opening::Tls) => {
            let authority = proxy.snapshot().credentials.authority();
            let intercepted = if authority.is_some() { "true" } else { "false" };
            metrics::counter!("stitch_tls_tunnels_total", "intercepted" => intercepted)
                .increment(1);
            match authority {
                Some(authority) => intercept(client, proxy, inside, peer, &authority).await?,
                None => {
                    let mut upstream = inside.connect(&proxy).await?;
                    join(&mut client, &mut upstream, peer).await;
                }
            }
        }
        Ok(opening) => {
            let gate = inside.gate(proxy, Scheme::HTTP);
            let (stream, h2) = (Stream::Inner(Box::new(client)), opening == Opening::Http2);
            drive(stream, h2, peer.clone(), gate, header_bytes).await;
        }
    }
    Ok(())
}

/// Ends the client's TLS with a certificate of our own making, and serves what is inside.
async fn intercept(
    mut client: impl Client,
    proxy: Arc<Proxy>,
    inside: Inside,
    peer: &Arc<Peer>,
    authority: &tls::Authority,
) -> io::Result<()> {
    let sni = match read_hello(&mut client, &peer.connection).await {
        Ok(tls::Sniffed::Hello(hello)) => hello.sni,
        Ok(_) => None,
        Err(_) => return Ok(()),
    };
    let host = sni.unwrap_or_else(|| inside.host().host().to_owned());
    let config = authority.leaf(&host).map_err(io::Error::other)?;
    let stream = terminate(client, &peer.connection, config).await.map_err(io::Error::other)?;
    let h2 = chose_h2(&stream);
    let peer = Arc::new(Peer { secure: true, ..(**peer).clone() });
    let header_bytes = proxy.snapshot().limits.header_bytes;
    let (gate, stream) = (inside.gate(proxy, Scheme::HTTPS), Stream::Inner(Box::new(stream)));
    drive(stream, h2, peer, gate, header_bytes).await;
    Ok(())
}
