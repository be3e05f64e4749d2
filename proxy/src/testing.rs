//! What several tests need: a moment where invented time begins, since decisions read no clock; a
//! proxy without listeners, which is asked as events ask it; and ears for the metrics.

use crate::access_log::AccessLog;
use crate::credentials::Credentials;
use crate::forward::OwnAddresses;
use crate::proxy::{EventFlow, Proxy};
use crate::snapshot::Snapshot;
use http::{Request, Response};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
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

/// What the metrics heard: every series by name and labels.
#[derive(Default)]
pub(crate) struct Series(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Series {
    fn of(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        self.0.lock().unwrap().entry(name).or_default().clone()
    }

    pub(crate) fn counters(&self, of: &str) -> Vec<(String, u64)> {
        let series = self.0.lock().unwrap();
        let named = series.iter().filter(|(name, _)| name.starts_with(of));
        named.map(|(name, value)| (name.clone(), value.load(Ordering::Relaxed))).collect()
    }

    /// Gauges are kept as the bits of a float.
    pub(crate) fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.0.lock().unwrap()[name].load(Ordering::Relaxed))
    }
}

impl Recorder for Series {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.of(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.of(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
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
