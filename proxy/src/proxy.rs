//! The proxy as the rest of the process holds it: the current snapshot, its gates, and the ways in
//! from events and the admin API.

use crate::access_log::AccessLog;
use crate::body::Outgoing;
use crate::breakers::Breakers;
use crate::flow::{self, Begun, Ongoing};
use crate::hygiene::ViaToken;
use crate::relay::hand_over;
use crate::route::Role;
use crate::service::ServiceState;
use crate::snapshot::Snapshot;
use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use stitch_net::mock::BoxFuture;
use stitch_net::{Body, Flow, Greeting, Peer, Serve};
use tokio::time::Instant;

/// The destination `stitch` of routes: health and metrics of the proxy itself.
pub type Builtin = Arc<dyn Fn(Request<Body>) -> BoxFuture<Response<Body>> + Send + Sync>;

/// The running proxy.
pub struct Proxy {
    snapshot: ArcSwap<Snapshot>,
    pub(crate) log: AccessLog,
    pub(crate) via: ViaToken,
    pub(crate) builtin: Builtin,
    breakers: Arc<Breakers>,
    /// Requests that no declared service was meant to answer.
    pub(crate) nobody: Arc<ServiceState>,
}

impl Proxy {
    /// A proxy with its first snapshot.
    pub fn new(snapshot: Snapshot, log: AccessLog, builtin: Builtin) -> Arc<Self> {
        let proxy = Arc::new(Self {
            breakers: snapshot.breakers().clone(),
            snapshot: ArcSwap::from_pointee(snapshot),
            log,
            via: ViaToken::new(fastrand::u64(..) >> 16),
            builtin,
            nobody: Arc::new(ServiceState::new("-".into())),
        });
        proxy.snapshot().kept.flow.connect(&proxy);
        proxy
    }

    /// The snapshot in force. A request keeps the one it began with.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts a new snapshot in force for requests that begin from now on.
    pub fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// The way back into this proxy, for requests that it makes itself.
    pub(crate) fn own_flow(&self) -> Arc<dyn Flow> {
        self.snapshot.load().kept.flow.clone()
    }

    /// Every breaker; they outlive snapshots.
    pub fn breakers(&self) -> &Arc<Breakers> {
        &self.breakers
    }

    /// Hands every counter to the metrics facade.
    pub fn publish_metrics(&self) {
        self.nobody.stats.publish();
        self.breakers.publish();
        if !self.nobody.tcp.is_unused() {
            self.nobody.tcp.publish(&self.nobody.name);
        }
        let snapshot = self.snapshot();
        snapshot.kept.limiters.publish();
        for service in &snapshot.services {
            service.state.publish();
            service.endpoints.publish(&service.declared.name, Instant::now());
            // TLS that was redirected, and is not looked into.
            if !service.state.tcp.is_unused() {
                service.state.tcp.publish(&service.declared.name);
            }
        }
        snapshot.publish_plans();
        for service in snapshot.tcp.iter() {
            service.state.tcp.publish(&service.declared.name);
            service.endpoints.publish(&service.declared.name, Instant::now());
        }
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proxy")
    }
}

/// The way in from one kind of listener.
pub struct Gate {
    proxy: Arc<Proxy>,
    role: Role,
    /// Where the tunnel leads that requests come out of.
    tunnel_to: Option<(Scheme, Authority)>,
}

impl Gate {
    /// A gate for a listener with this role.
    pub fn new(proxy: Arc<Proxy>, role: Role) -> Self {
        Self { proxy, role, tunnel_to: None }
    }

    /// A gate for one connection that was redirected on its way.
    pub(crate) fn redirected(proxy: Arc<Proxy>, to: SocketAddr) -> Self {
        Self::new(proxy, Role::Transparent(to))
    }

    /// A gate inside a tunnel to a host: its requests are meant as if they named the host in
    /// absolute form.
    pub(crate) fn in_tunnel(proxy: Arc<Proxy>, scheme: Scheme, host: Authority) -> Self {
        Self { proxy, role: Role::Gateway, tunnel_to: Some((scheme, host)) }
    }
}

impl Serve for Gate {
    type Body = Outgoing;

    fn speaks_tls(&self) -> bool {
        let snapshot = self.proxy.snapshot.load();
        let passes = self.role == Role::Gateway && !snapshot.tcp.is_empty();
        passes || snapshot.credentials.server.is_some()
    }

    fn greet(&self, sni: Option<&str>) -> Greeting {
        let snapshot = self.proxy.snapshot.load();
        let passed = sni.and_then(|name| snapshot.tcp.of_sni(name));
        if let (Role::Gateway, Some(service)) = (&self.role, passed) {
            let (proxy, service) = (self.proxy.clone(), service.clone());
            return Greeting::HandOver(Box::new(|io, peer| hand_over(proxy, service, io, peer)));
        }
        match &snapshot.credentials.server {
            Some(server) => Greeting::Terminate(server.tls.config.clone()),
            None => Greeting::Refuse,
        }
    }

    fn requires_tls(&self) -> bool {
        let snapshot = self.proxy.snapshot.load();
        snapshot.credentials.server.as_ref().is_some_and(|server| server.tls.requires_client)
    }

    fn serve(
        &self,
        mut request: Request<Body>,
        peer: Arc<Peer>,
    ) -> impl Future<Output = Response<Outgoing>> + Send + use<> {
        if let Some((scheme, host)) = &self.tunnel_to {
            name_host(&mut request, scheme, host);
        }
        let snapshot = self.proxy.snapshot.load();
        let ongoing = Ongoing::arrive(&self.proxy, &snapshot, request, Some(peer));
        match flow::begin(&snapshot, &self.role, ongoing) {
            Begun::Answered(response) => Either::Left(ready(response)),
            Begun::Waiting(waiting) => Either::Right(waiting),
        }
    }
}

/// Puts a request that names only a path in absolute form.
fn name_host(request: &mut Request<Body>, scheme: &Scheme, host: &Authority) {
    let mut parts = request.uri().clone().into_parts();
    if parts.authority.is_none() && request.uri().path() != "*" {
        (parts.scheme, parts.authority) = (Some(scheme.clone()), Some(host.clone()));
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
}

/// The way in for requests that events cause.
pub struct EventFlow(pub Arc<Proxy>);

impl Flow for EventFlow {
    fn call(&self, service: &str, request: Request<Body>) -> BoxFuture<Response<Body>> {
        let proxy = &self.0;
        let snapshot = proxy.snapshot();
        let ongoing = Ongoing::arrive(proxy, &snapshot, request, None);
        match flow::begin_for(&snapshot, service, ongoing) {
            Begun::Answered(response) => Box::pin(ready(response.map(Body::boxed))),
            Begun::Waiting(waiting) => Box::pin(waiting.map(|response| response.map(Body::boxed))),
        }
    }
}
