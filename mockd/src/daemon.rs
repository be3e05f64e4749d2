//! The engine on sockets of its own: `stitch mockd`.
//!
//! A listener bound to a service answers for it. On the shared one the service is named by a
//! trusted proxy in `x-stitch-service`, else by the host; what neither names, every mock may take
//! by path.

use crate::engine::Engine;
use arc_swap::ArcSwap;
use http::{HeaderMap, Request, Response};
use std::sync::Arc;
use stitch_net::mock::BoxFuture;
use stitch_net::{Body, Flow, MockService, MockSet, Peer, Problem, Reason, Serve};

/// The mock daemon: an engine that can be replaced while it serves.
pub struct Daemon {
    engine: ArcSwap<Engine>,
}

/// One listener of the daemon.
pub struct Front {
    daemon: Arc<Daemon>,
    service: Option<Arc<str>>,
}

impl Daemon {
    /// A daemon that serves an engine.
    pub fn new(engine: Arc<Engine>) -> Arc<Self> {
        Arc::new(Self { engine: ArcSwap::new(engine) })
    }

    /// Serves another engine from the next request on.
    pub fn replace(&self, engine: Arc<Engine>) {
        self.engine.store(engine);
    }

    /// The engine that serves now.
    pub fn engine(&self) -> Arc<Engine> {
        self.engine.load_full()
    }

    /// What stands behind a listener: of one service, or with `None` of all.
    pub fn listener(self: &Arc<Self>, service: Option<Arc<str>>) -> Arc<Front> {
        Arc::new(Front { daemon: self.clone(), service })
    }
}

impl Serve for Front {
    type Body = Body;

    fn serve(
        &self,
        mut request: Request<Body>,
        peer: Arc<Peer>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let engine = self.daemon.engine();
        if !engine.front_door().trusts(peer.remote.ip()) {
            remove_control_headers(request.headers_mut());
        }
        let service = self.service.clone();
        async move {
            match service.or_else(|| engine.front_door().service(&request)) {
                Some(service) => answer_for(&engine, &service, request).await,
                None => answer(&*engine.everything(), request).await,
            }
        }
    }
}

/// Without a proxy, actions go to the mocks themselves.
impl Flow for Daemon {
    fn call(&self, service: &str, request: Request<Body>) -> BoxFuture<Response<Body>> {
        let (engine, service) = (self.engine(), service.to_owned());
        Box::pin(async move { answer_for(&engine, &service, request).await })
    }
}

async fn answer_for(engine: &Engine, service: &str, request: Request<Body>) -> Response<Body> {
    match engine.service(service) {
        Some(mock) => answer(&*mock, request).await,
        None => no_mock(engine, service, request.headers()),
    }
}

async fn answer(mock: &dyn MockService, mut request: Request<Body>) -> Response<Body> {
    let answering = mock.offer(&mut request).answer(&request);
    answering.await
}

/// A service that is not mocked, or not declared at all.
fn no_mock(engine: &Engine, service: &str, request: &HeaderMap) -> Response<Body> {
    let problem = if engine.front_door().declares(service) {
        Problem::new(Reason::NoEndpoint, format!("{service} declares no endpoints"))
            .hint("add endpoints: to it, or call it through stitch proxy")
    } else {
        let shown: String = service.chars().take(100).collect();
        Problem::new(Reason::NoService, format!("no service is called {shown:?}"))
            .hint("the proxy and the mock daemon must run from the same file")
    };
    problem.with("service", service).respond(request)
}

fn remove_control_headers(headers: &mut HeaderMap) {
    let ours: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with("x-stitch-")).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Daemon").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("service", &self.service).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Seen, engine, read, request};
    use stitch_net::conn::Handle;

    const FILE: &str = "services:
  users: { hosts: [users.test], endpoints: [ { path: /who, response: users }, { path: /u, response: u, nats_publish: [ { subject: s, data: {} } ] } ] }
  orders: { endpoints: [ { path: /who, response: orders } ] }
  real: { url: 'http://localhost:1' }";

    async fn ask(front: &Arc<Front>, from: &str, path: &str, headers: &[(&str, &str)]) -> Seen {
        let mut asked = request(&format!("GET {path}"));
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            asked.headers_mut().insert(name, value.parse().unwrap());
        }
        let remote = format!("{from}:1234").parse().unwrap();
        let peer = Peer::new(remote, "127.0.0.1:80".parse().unwrap(), Handle::default());
        read(front.clone().serve(asked, Arc::new(peer)).await).await
    }

    #[tokio::test]
    async fn the_service_is_named_by_listener_header_host_or_path() {
        let daemon = Daemon::new(engine(FILE));
        let (shared, own) = (daemon.listener(None), daemon.listener(Some("orders".into())));
        let local = "127.0.0.1";
        let named = [("x-stitch-service", "orders"), ("host", "users.test")];
        assert_eq!(ask(&shared, local, "/who", &named).await.text, "orders");
        assert_eq!(ask(&shared, "10.0.0.1", "/who", &named).await.text, "users");
        assert_eq!(
            ask(&shared, local, "/who", &[("host", "orders.localhost:81")]).await.text,
            "orders"
        );
        let by_path = ask(&shared, local, "/who", &[("host", "elsewhere")]).await;
        assert_eq!((by_path.text.as_str(), by_path.header("x-stitch-service")), ("users", "users"));
        assert_eq!(ask(&own, local, "/who", &[("host", "users.test")]).await.text, "orders");
        let absolute = ask(&shared, local, "http://orders/who", &[("host", "users.test")]).await;
        assert_eq!(absolute.text, "orders");
    }

    #[tokio::test]
    async fn misses_are_told_apart() {
        let daemon = Daemon::new(engine(FILE));
        let shared = daemon.listener(None);
        for (named, reason) in
            [("users", "no_endpoint"), ("real", "no_endpoint"), ("nobody", "no_service")]
        {
            let seen = ask(&shared, "127.0.0.1", "/none", &[("x-stitch-service", named)]).await;
            assert_eq!(
                (seen.status.as_u16(), seen.header("x-stitch-reason")),
                (404, reason),
                "{named}"
            );
        }
        let seen = ask(&shared, "127.0.0.1", "/none", &[("host", "x")]).await;
        assert_eq!(seen.header("x-stitch-reason"), "no_service");
    }

    #[tokio::test]
    async fn an_engine_is_replaced_between_requests() {
        let first = engine(FILE);
        let daemon = Daemon::new(first.clone());
        let front = daemon.listener(Some("orders".into()));
        assert_eq!(ask(&front, "127.0.0.1", "/who", &[]).await.text, "orders");
        daemon.replace(crate::testing::follow(
            &FILE.replace("response: orders", "response: new"),
            Some(&first),
        ));
        assert_eq!(ask(&front, "127.0.0.1", "/who", &[]).await.text, "new");
        assert_eq!(daemon.engine().services()[1].endpoints[0].hits, 1);
        assert!(format!("{daemon:?}{front:?}").contains("orders"));
    }

    #[tokio::test]
    async fn actions_are_answered_by_the_mock_they_name() {
        let daemon = Daemon::new(engine(FILE));
        let called = async |service| read(daemon.call(service, request("GET /who")).await).await;
        assert_eq!(called("users").await.text, "users");
        assert_eq!(called("real").await.header("x-stitch-reason"), "no_endpoint");
    }
}
