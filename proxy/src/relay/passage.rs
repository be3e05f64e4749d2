//! One connection to a `type: tcp` service: connected, relayed, counted and logged.

use super::join::{Joined, join};
use super::line::Line;
use super::outcome::Outcome;
use super::side::Side;
use super::tally::Tally;
use crate::proxy::Proxy;
use crate::rescue::Failure;
use crate::service::Service;
use crate::upstream::{Endpoint, InFlight, Offer, Wire, connect_saying, pick};
use std::sync::Arc;
use std::time::SystemTime;
use stitch_config::model::ProxyProtocol;
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
    Box::pin(async move {
        let mut relay = Relay::begin(&proxy, &service, &peer);
        match relay.reach().await {
            Ok(upstream) => relay.join(client, upstream).await,
            // An orderly end would say that the service has nothing to say.
            Err(_failure) => peer.connection.end(Ending::Reset),
        }
    })
}

/// A connection on its way from a client to a service. Counted and logged when it is dropped.
pub(crate) struct Relay {
    proxy: Arc<Proxy>,
    service: Arc<Service>,
    peer: Peer,
    started: Instant,
    endpoint: Option<Arc<Endpoint>>,
    in_flight: Option<InFlight>,
    tally: Tally,
    outcome: Outcome,
    error: Option<String>,
    /// Until it is dropped, the client's timer is that of the service.
    _busy: Occupied,
}

impl Relay {
    /// A connection that has not been made yet.
    pub(crate) fn begin(proxy: &Arc<Proxy>, service: &Arc<Service>, peer: &Peer) -> Self {
        service.state.tcp.begin();
        peer.connection.wait_at_most(service.declared.timeout.idle);
        Self {
            proxy: proxy.clone(),
            service: service.clone(),
            peer: peer.clone(),
            started: Instant::now(),
            endpoint: None,
            in_flight: None,
            tally: Tally::new(service.state.tcp.totals.clone()),
            outcome: Outcome::Ended,
            error: None,
            _busy: peer.connection.occupy(),
        }
    }

    /// Connects to one endpoint after another until one answers; the failure is the last one's.
    pub(crate) async fn reach(&mut self) -> Result<Wire, Failure> {
        let declared = &self.service.declared;
        let introduction = declared.proxy_protocol.map(|version| {
            let binary = version == ProxyProtocol::V2;
            stitch_net::introduction(&self.peer, binary)
        });
        let introduction = introduction.unwrap_or_default();
        let limit = declared.timeout.connect;
        let mut left = self.service.endpoints.clone();
        let mut failure = Failure::NoEndpoint;
        while let Some((endpoint, in_flight)) = pick(&left, |below| fastrand::u64(..below)) {
            let endpoint = endpoint.clone();
            self.endpoint = Some(endpoint.clone());
            match connect_saying(&introduction, &endpoint, Offer::Bytes, limit).await {
                Ok(wire) => {
                    self.in_flight = Some(in_flight);
                    return Ok(wire);
                }
                Err(error) => {
                    self.error = Some(error.to_string());
                    failure = Failure::Connect { endpoint: endpoint.to_string(), error };
                    left.retain(|other| !Arc::ptr_eq(other, &endpoint));
                }
            }
        }
        self.outcome = Outcome::Failed(failure.reason());
        Err(failure)
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
        let Self { proxy, service, outcome, tally, .. } = self;
        service.state.tcp.finish(*outcome);
        // What connections end with has no number; those that fail are worth that of a request.
        let status = outcome.reason().map_or(200, Reason::status);
        if proxy.log.wants(status, outcome.reason()) {
            proxy.log.write(Line {
                at: SystemTime::now(),
                peer: self.peer.remote,
                service: service.declared.name.to_string(),
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
