//! CONNECT: a tunnel to something declared is served from the inside; any other target is dialled,
//! if `forward` allows it, before the client is told 200.

use super::{Answer, Answered, Call};
use crate::proxy::Proxy;
use crate::rescue::Failure;
use crate::route::{Authority, Decision, Role};
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::tunnel;
use crate::upstream::connect;
use http::Response;
use std::sync::Arc;
use stitch_config::model::Timeouts;
use stitch_net::Body;

/// What a tunnel leads to.
pub(crate) enum Target {
    /// A declared service.
    Service(Arc<Service>),
    /// A host that routes name.
    Route,
    /// Anything else.
    Undeclared,
}

impl Target {
    pub(super) fn of(decision: Decision<'_>) -> Self {
        match decision {
            Decision::Service(service) => Self::Service(service.clone()),
            Decision::Route(_) => Self::Route,
            Decision::Forward | Decision::Fallthrough => Self::Undeclared,
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
    match target {
        Target::Service(service) => {
            let role = Role::Service(service.declared.name.clone());
            tunnel::serve_inside(client, proxy.clone(), role, Some(service), peer);
        }
        Target::Route => {
            tunnel::serve_inside(client, proxy.clone(), Role::Gateway, None, peer);
        }
        Target::Undeclared => {
            let authority = call.request.uri().authority().map(ToString::to_string);
            let authority = authority.ok_or_else(|| refused("CONNECT without a target"))?;
            let target = Authority::parse(&authority);
            let port = target.port.ok_or_else(|| refused("the CONNECT target has no port"))?;
            let upstream = dial(snapshot, target.host, port).await?;
            tunnel::join_connected(client, upstream, peer);
        }
    }
    Ok(Answer::by_stitch(Response::new(Body::Empty)))
}

fn refused(why: &str) -> Failure {
    Failure::BadRequest { why: why.to_owned(), hint: "CONNECT takes host:port" }
}

async fn dial(
    snapshot: &Snapshot,
    host: &str,
    port: u16,
) -> Result<tokio::net::TcpStream, Box<Failure>> {
    let endpoint = snapshot.forward.target(host, port);
    let stream = connect(&endpoint, Timeouts::default().connect)
        .await
        .map_err(|error| Failure::Connect { endpoint: endpoint.to_string(), error })?;
    // The port list is about where the connection really went: any port of this machine is fine.
    let address = stream.peer_addr().map_err(|_| Failure::NoEndpoint)?;
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
