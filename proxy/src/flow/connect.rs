//! CONNECT: a tunnel to something declared is served from the inside, or relayed to a service of
//! `type: tcp`; any other target is dialled, if `forward` allows it, before the client is told 200.

use super::real::no_tls;
use super::{Answer, Answered, Call};
use crate::proxy::Proxy;
use crate::relay::Relay;
use crate::rescue::Failure;
use crate::route::Decision;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::tunnel::{self, Inside};
use crate::upstream::{Offer, Wire, connect};
use http::{HeaderValue, Response};
use std::sync::Arc;
use stitch_config::model::{Scheme, Timeouts};
use stitch_config::pattern::Authority;
use stitch_net::Body;

/// What a tunnel leads to.
pub(crate) enum Target {
    /// A declared service.
    Service(Arc<Service>),
    /// A declared service of `type: tcp`.
    Tcp(Arc<Service>),
    /// A host that routes name.
    Route,
    /// Anything else.
    Undeclared,
}

impl Target {
    pub(super) fn of(
        decision: Decision<'_>,
        snapshot: &Snapshot,
        host: Option<&HeaderValue>,
    ) -> Self {
        let host = host.and_then(|host| host.to_str().ok()).map(Authority::parse);
        let tcp = || snapshot.tcp.of_target(host?);
        match (decision, tcp()) {
            (Decision::Service(service), _) => Self::Service(service.clone()),
            (_, Some(service)) => Self::Tcp(service.clone()),
            (Decision::Route(_), None) => Self::Route,
            // What else a route asks for is only known inside the tunnel.
            _ if host.is_some_and(|host| snapshot.routes.names(host)) => Self::Route,
            (Decision::Forward | Decision::Fallthrough, None) => Self::Undeclared,
        }
    }
}

pub(super) async fn answer(
    proxy: &Arc<Proxy>,
    snapshot: &Snapshot,
    target: Target,
    call: &mut Call,
) -> Answered {
    let Some(peer) = call.peer.clone() else {
        return Err(refused("events cannot open tunnels").into());
    };
    call.unmarked = true;
    let client = hyper::upgrade::on(&mut call.request);
    let host = authority(call)?;
    let inside = match target {
        Target::Service(service) => Inside::Service(service, host),
        Target::Route => Inside::Host(host),
        Target::Tcp(service) => {
            let mut relay = Relay::begin(proxy, &service, &peer);
            let upstream = relay.reach().await?;
            tunnel::relay(client, peer, relay, upstream);
            return Ok(Answer::by_stitch(Response::new(Body::Empty)));
        }
        Target::Undeclared => {
            let upstream = dial(snapshot, &host).await?;
            peer.connection.wait_at_most(Timeouts::default().idle);
            tunnel::join_upgraded(client, upstream, peer, ());
            return Ok(Answer::by_stitch(Response::new(Body::Empty)));
        }
    };
    tunnel::serve_inside(client, proxy.clone(), inside, peer);
    Ok(Answer::by_stitch(Response::new(Body::Empty)))
}

fn refused(why: &str) -> Failure {
    Failure::BadRequest { why: why.to_owned(), hint: "CONNECT takes host:port" }
}

fn authority(call: &Call) -> Result<http::uri::Authority, Failure> {
    let authority = call.request.uri().authority().cloned();
    authority.ok_or_else(|| refused("CONNECT without a target"))
}

/// Connects to a target that nobody declared, if `forward` allows it.
pub(crate) async fn dial(
    snapshot: &Snapshot,
    authority: &http::uri::Authority,
) -> Result<Wire, Box<Failure>> {
    let target = Authority::parse(authority.as_str());
    let port = target.port.ok_or_else(|| refused("the CONNECT target has no port"))?;
    let endpoint =
        snapshot.forward.target(Scheme::Tcp, target.host, port).map_err(|error| no_tls(&error))?;
    let stream = connect(&endpoint, Offer::Bytes, Timeouts::default().connect)
        .await
        .map_err(|error| Failure::Connect { endpoint: endpoint.to_string(), error })?;
    // The port list is about where the connection really went: any port of this machine is fine.
    let address = stream.peer_addr().ok_or(Failure::NoEndpoint)?;
    if snapshot.forward.allows_connect(address) {
        return Ok(stream);
    }
    let ports: Vec<_> = snapshot.forward.connect_ports().iter().map(u16::to_string).collect();
    Err(Box::new(Failure::Denied {
        target: endpoint.to_string(),
        why: format!("CONNECT may reach ports {} only", ports.join(", ")),
        hint: format!("add {port} to proxy.forward.connect_ports"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..<_>::default() })]

        /// What is checked and dialled is what others read there, or can be no target.
        #[test]
        fn a_target_is_read_as_hyper_reads_it(text in r"([a-z0-9.@:%\[\]_-]{0,24}|\[[0-9a-f:.]{0,20}\])(:[0-9]{0,6})?") {
            let Ok(authority) = text.parse::<http::uri::Authority>() else { return Ok(()) };
            let target = Authority::parse(authority.as_str());
            let host = authority.host();
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let same = target.host == host.strip_suffix('.').unwrap_or(host)
                && target.port == authority.port_u16();
            // No name and no address has brackets left.
            prop_assert!(same || target.host.contains(['[', ']']), "{authority}: {target:?}");
        }
    }
}
