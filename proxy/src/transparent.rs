//! Redirected connections: where each was going, what it speaks, and who gets it.
//!
//! Nothing about a client says what it will speak, nor whether it speaks first. So after a moment of
//! silence the original destination is connected to: whichever side is heard first settles it.

use crate::proxy::{Gate, Proxy};
use crate::relay::{Relay, hand_over};
use crate::snapshot::Snapshot;
use crate::tunnel::{Inside, serve_client};
use crate::upstream::{Endpoint, Offer, Wire, connect, is_own, watch_own};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stitch_config::model::{Scheme, Timeouts};
use stitch_config::pattern::Authority;
use stitch_net::conn::{ConnIo, Ending, Opening, ReadAhead as _, Unopened, read_hello, read_until};
use stitch_net::tls::Sniffed;
use stitch_net::{Handler, HttpPort, Peer};

/// How long a client is waited for before its service is asked to speak first. Most clients speak
/// within their first round trip.
const SILENCE: Duration = Duration::from_millis(200);

/// The connection to where a client was going, if it has been made.
type Dialled = Option<Wire>;

/// A listener that connections are redirected to.
pub struct TransparentPort {
    proxy: Arc<Proxy>,
    header_bytes: usize,
}

/// What became of a connection; the names are those of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It was going to a service of type tcp.
    Tcp,
    Http,
    Tls,
    Opaque,
    /// It was not redirected, was meant for us, or comes from us.
    Refused,
}

impl Kind {
    fn count(self) {
        let kind = match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Tls => "tls",
            Self::Opaque => "opaque",
            Self::Refused => "refused",
        };
        metrics::counter!("stitch_transparent_connections_total", "kind" => kind).increment(1);
    }
}

impl TransparentPort {
    /// A listener in front of the proxy. A header section larger than `header_bytes` is refused.
    pub fn new(proxy: Arc<Proxy>, header_bytes: usize) -> Self {
        watch_own();
        Self { proxy, header_bytes }
    }

    /// Where the connection was going, unless it leads nowhere.
    fn destination(&self, io: &ConnIo, peer: &Peer) -> Result<SocketAddr, &'static str> {
        let Ok(to) = io.socket().original_destination() else {
            return Err("it was not redirected");
        };
        if self.proxy.snapshot().forward.is_own(to, peer.remote.ip()) {
            return Err("it was going to stitch itself");
        }
        check_origin(peer, to).map(|()| to)
    }
}

/// Our own connections come back when the rules do not leave them out.
fn check_origin(peer: &Peer, to: SocketAddr) -> Result<(), &'static str> {
    match is_own(peer.remote, to) {
        true => Err("stitch's own connections are redirected: exclude its user"),
        false => Ok(()),
    }
}

impl Handler for TransparentPort {
    async fn handle(self: Arc<Self>, io: ConnIo, mut peer: Peer) {
        let to = match self.destination(&io, &peer) {
            Ok(to) => to,
            Err(why) => return refuse(&peer, why),
        };
        peer.original_destination = Some(to);
        let service = self.proxy.snapshot().tcp.at(to).await.cloned();
        match service {
            Some(service) => {
                Kind::Tcp.count();
                hand_over(self.proxy.clone(), service, io, peer).await;
            }
            None => Box::pin(self.look(io, peer, to)).await,
        }
    }
}

impl TransparentPort {
    /// Waits for what tells who gets the connection.
    async fn look(&self, mut io: ConnIo, peer: Peer, to: SocketAddr) {
        let endpoint = self.proxy.snapshot().forward.original(Scheme::Tcp, to);
        let mut dialled = None;
        // It was told to end otherwise.
        let opening = self.opening(&mut io, &peer, &endpoint, &mut dialled).await;
        let Some(opening) = opening else { return };
        if let Err(why) = check_origin(&peer, to) {
            return refuse(&peer, why);
        }
        match opening {
            Opening::Http1 if is_for_a_proxy(io.ahead()) => {}
            Opening::Http1 | Opening::Http2 => {
                Kind::Http.count();
                drop(dialled);
                let gate = Arc::new(Gate::redirected(self.proxy.clone(), to));
                return Arc::new(HttpPort::new(gate, self.header_bytes)).handle(io, peer).await;
            }
            Opening::Tls => {
                Kind::Tls.count();
                return self.look_into_tls(io, peer, endpoint, dialled).await;
            }
            Opening::Opaque => {}
        }
        Kind::Opaque.count();
        self.pass_on(io, peer, endpoint, dialled).await;
    }

    /// Relays bytes to where they were going, over the connection there if it has been made.
    async fn pass_on(&self, io: ConnIo, peer: Peer, endpoint: Arc<Endpoint>, dialled: Dialled) {
        let mut relay = Relay::undeclared(&self.proxy, endpoint, &peer);
        match dialled {
            Some(upstream) => {
                relay.reached();
                relay.join(io, upstream).await;
            }
            None => relay.carry(io).await,
        }
    }

    /// What a connection begins with. A service that speaks first makes it opaque, and is then found
    /// in `dialled`; `None` when the connection was told to end.
    async fn opening(
        &self,
        io: &mut ConnIo,
        peer: &Peer,
        endpoint: &Endpoint,
        dialled: &mut Dialled,
    ) -> Option<Opening> {
        // Both sides may be silent for as long as any relayed connection.
        let _busy = peer.connection.occupy();
        let service_speaks = async {
            tokio::time::sleep(SILENCE).await;
            if peer.original_destination.is_some_and(|to| check_origin(peer, to).is_err()) {
                return;
            }
            let connected = connect(endpoint, Offer::Bytes, Timeouts::default().connect).await;
            let Ok(wire) = connected else {
                // Its client may be about to ask for a mock.
                return pending().await;
            };
            // Broken is as good as heard.
            let _ = dialled.insert(wire).socket().readable().await;
        };
        tokio::select! {
            biased;
            opened = read_until(io, &peer.connection, Opening::of) => match opened {
                Ok(opening) => Some(opening),
                Err(Unopened::Told) => None,
                // Half a line, or nothing but an end: not for us to understand.
                Err(Unopened::Closed | Unopened::HeaderTimeout) => Some(Opening::Opaque),
            },
            () = service_speaks => Some(Opening::Opaque),
        }
    }

    /// TLS goes to the service that its client asks for, or on to where it was going.
    async fn look_into_tls(
        &self,
        mut io: ConnIo,
        peer: Peer,
        endpoint: Arc<Endpoint>,
        dialled: Dialled,
    ) {
        let sni = match read_hello(&mut io, &peer.connection).await {
            Ok(Sniffed::Hello(hello)) => hello.sni,
            _ => None,
        };
        let snapshot = self.proxy.snapshot();
        let service = sni.as_ref().and_then(|name| snapshot.tcp.of_sni(name)).cloned();
        let port = peer.original_destination.map_or(443, |to| to.port());
        let inside = sni.and_then(|name| declared(&snapshot, &format!("{name}:{port}")));
        let intercepts = snapshot.credentials.authority.is_some();
        drop(snapshot);
        match (service, inside) {
            (Some(service), _) => {
                drop(dialled);
                hand_over(self.proxy.clone(), service, io, peer).await;
            }
            (None, Some(Inside::Service(service, _))) if !intercepts => {
                drop(dialled);
                Relay::unread(&self.proxy, &service, &peer).carry(io).await;
            }
            (None, Some(inside)) => {
                drop(dialled);
                let peer = Arc::new(peer);
                let served = serve_client(io, self.proxy.clone(), inside, &peer).await;
                if let Err(error) = served {
                    tracing::debug!(peer = %peer.remote, %error, "TLS to something declared failed");
                }
            }
            (None, None) => self.pass_on(io, peer, endpoint, dialled).await,
        }
    }
}

/// What a host that a client begins TLS with leads to, if that is declared and can be served: what is
/// inside can be looked into, or there is a real service that speaks TLS itself.
fn declared(snapshot: &Snapshot, host: &str) -> Option<Inside> {
    let authority: http::uri::Authority = host.parse().ok()?;
    let target = Authority::parse(host);
    let intercepts = snapshot.credentials.authority.is_some();
    match snapshot.hosts.get(target).or_else(|| snapshot.by_url(target)) {
        Some(service) => {
            let speaks_tls =
                service.endpoints.all().iter().any(|endpoint| endpoint.scheme.is_tls());
            (intercepts || speaks_tls).then(|| Inside::Service(service.clone(), authority))
        }
        None => (intercepts && snapshot.routes.names(target)).then_some(Inside::Host(authority)),
    }
}

/// Whether a client speaks to some other proxy, which it has been told to use.
fn is_for_a_proxy(request: &[u8]) -> bool {
    let mut words = request.trim_ascii_start().splitn(3, |byte| *byte == b' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let scheme = target.get(..7).unwrap_or(target);
    method == Some(b"CONNECT")
        || scheme.eq_ignore_ascii_case(b"http://")
        || scheme.eq_ignore_ascii_case(b"https:/")
}

/// Resets a connection that leads nowhere.
fn refuse(peer: &Peer, why: &'static str) {
    Kind::Refused.count();
    tracing::debug!(peer = %peer.remote, "Refused a connection: {why}");
    peer.connection.end(Ending::Reset);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_another_proxy() {
        for (request, proxied) in [
            (&b"CONNECT a:443 HTTP/1.1\r\n"[..], true),
            (b"GET http://a/ HTTP/1.1\r\n", true),
            (b"\r\nPOST HTTPS://a/ HTTP/1.1\r\n", true),
            (b"GET /http://a/ HTTP/1.1\r\n", false),
            (b"OPTIONS * HTTP/1.1\r\n", false),
            (b"", false),
        ] {
            assert_eq!(is_for_a_proxy(request), proxied, "{}", request.escape_ascii());
        }
    }
}
