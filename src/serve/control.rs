//! The admin listener, and the way of routes to what is built in.

use super::listeners::serve;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use stitch_config::Config;
use stitch_config::model::Secret;
use stitch_control::{Admin, AdminGate, Metrics, Readiness, View};
use stitch_net::{AcceptOptions, Body, Listener};
use stitch_proxy::Builtin;
use tokio::sync::Semaphore;

/// How often recorded samples are put into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);
/// Connections to the admin API held at once.
const CONNECTIONS: usize = 256;

/// The admin API, before and after there is something to show.
pub(super) struct ControlPlane {
    readiness: Arc<Readiness>,
    metrics: Metrics,
    token: Option<Secret>,
    /// Health and metrics, for routes; the proxy is made before what they show.
    public: Arc<OnceLock<AdminGate>>,
    full: OnceLock<Arc<AdminGate>>,
}

impl ControlPlane {
    pub(super) fn new(readiness: Arc<Readiness>, metrics: Metrics, config: &Config) -> Self {
        let token = config.proxy.admin.token.clone();
        Self { readiness, metrics, token, public: Arc::default(), full: OnceLock::new() }
    }

    /// What `to: stitch` leads to.
    pub(super) fn builtin(&self) -> Builtin {
        let public = self.public.clone();
        Arc::new(move |request| {
            let public = public.clone();
            Box::pin(async move {
                match public.get() {
                    Some(gate) => gate.answer(request).await,
                    // Nothing is accepted before the view is connected.
                    None => http::Response::new(Body::Empty),
                }
            })
        })
    }

    /// Shows the process.
    pub(super) fn connect(&self, view: Arc<dyn View>) {
        let admin =
            Admin::new(view, self.readiness.clone(), self.metrics.clone(), self.token.clone());
        // Connected once.
        let _ = self.public.set(AdminGate(admin.clone().public_router()));
        let _ = self.full.set(Arc::new(AdminGate(admin.router())));
    }

    /// Accepts on the admin listener, which is of most use when clients have taken all places.
    pub(super) fn serve(&self, listener: Listener, options: &AcceptOptions) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let options = AcceptOptions { permits, ..options.clone() };
        if let Some(gate) = self.full.get() {
            serve(listener, gate.clone(), &options, Default::default());
        }
    }
}

/// Keeps the memory of metrics bounded when nobody scrapes.
pub(super) fn spawn_upkeep(metrics: Metrics) {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            metrics.upkeep();
        }
    });
}
