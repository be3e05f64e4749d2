//! What several tests need: a moment where invented time begins, since decisions read no clock; and
//! a proxy without listeners, which is asked as events ask it.

use crate::access_log::AccessLog;
use crate::credentials::Credentials;
use crate::forward::OwnAddresses;
use crate::proxy::{EventFlow, Proxy};
use crate::snapshot::Snapshot;
use http::{Request, Response};
use std::sync::Arc;
use stitch_net::{Body, Flow as _, MockService, MockSet, Offered};
use tokio::time::Instant;

/// Some moment, where invented time begins.
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// A file with this text, compiled, and what it takes over from another one. Mocks have no answers.
pub(crate) fn snapshot(text: &str, previous: Option<&Snapshot>) -> Snapshot {
    let loaded = stitch_config::load_text("stitch.yaml", text, &|_| None);
    assert!(!loaded.report.has_errors(), "{}", loaded.report.render(&loaded.sources));
    let nowhere = ([127, 0, 0, 1], 0).into();
    let own = OwnAddresses { listeners: Vec::new(), admin: nowhere, transparent: Vec::new() };
    Snapshot::compile(Arc::new(loaded.config), &NoMocks, own, Credentials::default(), previous)
}

/// A proxy of a file with this text.
pub(crate) fn proxy(text: &str) -> Arc<Proxy> {
    let snapshot = snapshot(text, None);
    let log = AccessLog::open(&snapshot.config.proxy.access_log).unwrap();
    Proxy::new(snapshot, log, Arc::new(|_| Box::pin(async { Response::new(Body::Empty) })))
}

/// Asks a service.
pub(crate) async fn ask(
    proxy: &Arc<Proxy>,
    service: &str,
    request: Request<Body>,
) -> Response<Body> {
    EventFlow(proxy.clone()).call(service, request).await
}

struct NoMocks;

impl MockSet for NoMocks {
    fn service(&self, _name: &str) -> Option<Arc<dyn MockService>> {
        None
    }

    fn everything(&self) -> Arc<dyn MockService> {
        Arc::new(Self)
    }
}

impl MockService for NoMocks {
    fn offer(&self, _request: &mut Request<Body>) -> Offered {
        Offered::Miss(Box::new(|_| Response::new(Body::Empty)))
    }
}
