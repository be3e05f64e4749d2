//! One connection whose bytes are passed on: connected, relayed, counted and logged.

use super::join::{Joined, join};
use super::line::Line;
use super::outcome::Outcome;
use super::side::Side;
use super::tally::Tally;
use crate::proxy::Proxy;
use crate::rescue::Failure;
use crate::service::{Service, ServiceState};
use crate::upstream::{Ask, Endpoint, EndpointSet, InFlight, Offer, Wire, connect_saying};
use http::HeaderMap;
use std::sync::Arc;
use std::time::SystemTime;
use stitch_config::model::{ProxyProtocol, Timeouts};
use stitch_net::conn::{ConnIo, Ending, Occupied};
use stitch_net::mock::BoxFuture;
use stitch_net::{Peer, Reason};
use tokio::time::Instant;

/// Gives a whole connection, what was read of it ahead included, to a service.
pub(crate) fn hand_over(
    proxy: Arc<Proxy>,
    service: Arc<Service>,
    client: ConnIo,
    peer: Peer,
) -> BoxFuture<()> {
    Box::pin(async move { Relay::begin(&proxy, &service, &peer).carry(client).await })
}

/// A connection on its way from a client to where it is relayed. Counted and logged when it is
/// dropped.
pub(crate) struct Relay {
    proxy: Arc<Proxy>,
    /// Whose connections it is counted among.
    state: Arc<ServiceState>,
    way: Way,
    timeout: Timeouts,
    proxy_protocol: Option<ProxyProtocol>,
    peer: Peer,
    started: Instant,
    endpoint: Option<Arc<Endpoint>>,
    in_flight: Option<InFlight>,
    tally: Tally,
    outcome: Outcome,
    error: Option<String>,
    /// Until it is dropped, the client's timer is that of where it is relayed to.
    _busy: Occupied,
}

/// Where a connection may be relayed to.
enum Way {
    /// To one of a service's endpoints. `unread`: the client begins TLS itself, with one that does.
    Service { endpoints: Arc<EndpointSet>, unread: bool },
    /// To one that nobody declared.
    Endpoint(Arc<Endpoint>),
}

impl Way {
    /// An endpoint that has not been tried.
    fn next(&self, tried: &mut Vec<u64>, peer: &Peer) -> Option<(Arc<Endpoint>, InFlight)> {
        let (endpoints, unread) = match self {
            Self::Service { endpoints, unread } => (endpoints, *unread),
            Self::Endpoint(endpoint) if tried.is_empty() => {
                tried.push(endpoint.id);
                return Some((endpoint.clone(), InFlight::default()));
            }
            Self::Endpoint(_) => return None,
        };
        if unread && tried.is_empty() {
            let all = endpoints.all();
            let plain = all.iter().filter(|endpoint| !endpoint.scheme.is_tls());
            tried.extend(plain.map(|endpoint| endpoint.id));
        }
        let picked = endpoints.pick(Ask {
            key: endpoints.affinity(&HeaderMap::new(), Some(peer.remote.ip()), |_| None).0,
            sticky: None,
            avoid: tried,
            now: Instant::now(),
            draw: &mut |below| fastrand::u64(..below),
        })?;
        if tried.contains(&picked.endpoint.id) {
            return None;
        }
        tried.push(picked.endpoint.id);
        Some((picked.endpoint, picked.in_flight))
    }

    /// What is connected to for an endpoint that was chosen.
    fn to_connect(&self, chosen: &Arc<Endpoint>) -> Arc<Endpoint> {
        match self {
            Self::Service { unread: true, .. } => Arc::new(chosen.without_tls()),
            Self::Service { .. } | Self::Endpoint(_) => chosen.clone(),
        }
    }

    /// Whether it could be reached is all that is known of an endpoint that bytes go to.
    fn observe(&self, chosen: &Endpoint, began: Instant, failed: bool) {
        if let Self::Service { endpoints, .. } = self {
            let now = Instant::now();
            endpoints.observe(chosen, now - began, failed, now);
        }
    }
}

impl Relay {
    /// A connection to a service, not made yet.
    pub(crate) fn begin(proxy: &Arc<Proxy>, service: &Service, peer: &Peer) -> Self {
        let way = Way::Service { endpoints: service.endpoints.clone(), unread: false };
        let mut relay = Self::new(proxy, &service.state, service.declared.timeout, peer, way);
        relay.proxy_protocol = service.declared.proxy_protocol;
        relay
    }

    /// A connection to a service whose client begins TLS itself, not made yet.
    pub(crate) fn unread(proxy: &Arc<Proxy>, service: &Service, peer: &Peer) -> Self {
        let mut relay = Self::begin(proxy, service, peer);
        relay.way = Way::Service { endpoints: service.endpoints.clone(), unread: true };
        relay
    }

    /// A connection to an endpoint that nobody declared, not made yet.
    pub(crate) fn undeclared(proxy: &Arc<Proxy>, endpoint: Arc<Endpoint>, peer: &Peer) -> Self {
        Self::new(proxy, &proxy.nobody, Timeouts::default(), peer, Way::Endpoint(endpoint))
    }

    fn new(
        proxy: &Arc<Proxy>,
        state: &Arc<ServiceState>,
        timeout: Timeouts,
        peer: &Peer,
        way: Way,
    ) -> Self {
        state.tcp.begin();
        peer.connection.wait_at_most(timeout.idle);
        Self {
            proxy: proxy.clone(),
            state: state.clone(),
            way,
            timeout,
            proxy_protocol: None,
            peer: peer.clone(),
            started: Instant::now(),
            endpoint: None,
            in_flight: None,
            tally: Tally::new(state.tcp.totals.clone()),
            outcome: Outcome::Ended,
            error: None,
            _busy: peer.connection.occupy(),
        }
    }

    /// Connects and relays; a client whose service cannot be reached is reset.
    pub(crate) async fn carry(mut self, client: ConnIo) {
        match self.reach().await {
            Ok(upstream) => self.join(client, upstream).await,
            // An orderly end would say that the service has nothing to say.
            Err(_failure) => self.peer.connection.end(Ending::Reset),
        }
    }

    /// Connects to one endpoint after another until one answers; the failure is the last one's.
    pub(crate) async fn reach(&mut self) -> Result<Wire, Failure> {
        let introduction = self.proxy_protocol.map(|version| {
            let binary = version == ProxyProtocol::V2;
            stitch_net::introduction(&self.peer, binary)
        });
        let introduction = introduction.unwrap_or_default();
        let (mut failure, mut tried) = (Failure::NoEndpoint, Vec::new());
        while let Some((chosen, in_flight)) = self.way.next(&mut tried, &self.peer) {
            let endpoint = self.way.to_connect(&chosen);
            let began = Instant::now();
            self.endpoint = Some(endpoint.clone());
            let limit = self.timeout.connect;
            let connected = connect_saying(&introduction, &endpoint, Offer::Bytes, limit).await;
            self.way.observe(&chosen, began, connected.is_err());
            match connected {
                Ok(wire) => {
                    self.in_flight = Some(in_flight);
                    return Ok(wire);
                }
                Err(error) => {
                    self.error = Some(error.to_string());
                    failure = Failure::Connect { endpoint: endpoint.to_string(), error };
                }
            }
        }
        if let (Failure::NoEndpoint, Way::Service { endpoints, .. }) = (&failure, &self.way) {
            failure = Failure::none_of(endpoints);
            self.error = Some(failure.detail(&self.state.name));
        }
        self.outcome = Outcome::Failed(failure.reason());
        Err(failure)
    }

    /// Takes a connection that has been made already.
    pub(crate) fn reached(&mut self) {
        self.endpoint = match &self.way {
            Way::Service { endpoints, .. } => endpoints.all().first().cloned(),
            Way::Endpoint(endpoint) => Some(endpoint.clone()),
        };
    }

    /// Relays until both sides have ended.
    pub(crate) async fn join(mut self, mut client: impl Side, mut upstream: Wire) {
        (self.outcome, self.error) = (Outcome::Ended, None);
        let handle = self.peer.connection.clone();
        let joined = join(&mut client, &mut upstream, Some(&handle), &mut self.tally).await;
        self.outcome = Outcome::from(&joined);
        if let Joined::Client(error) | Joined::Upstream(error) = joined {
            self.error = Some(error.to_string());
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let Self { proxy, state, outcome, tally, .. } = self;
        state.tcp.finish(*outcome);
        // What connections end with has no number; those that fail are worth that of a request.
        let status = outcome.reason().map_or(200, Reason::status);
        if proxy.log.wants(status, outcome.reason()) {
            proxy.log.write(Line {
                at: SystemTime::now(),
                peer: self.peer.remote,
                service: state.name.to_string(),
                endpoint: self.endpoint.as_ref().map(ToString::to_string).unwrap_or_default(),
                bytes_in: tally.bytes_in,
                bytes_out: tally.bytes_out,
                took: self.started.elapsed(),
                outcome: *outcome,
                error: self.error.take(),
            });
        }
    }
}
