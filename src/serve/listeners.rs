//! Listeners by purpose: bound before anything changes, accepting after, closed when no longer
//! wanted.

use crate::bind_error::{Purpose, explain};
use crate::exit::Failure;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use stitch_config::Config;
use stitch_config::model::{Kind, Limits, Timeouts};
use stitch_net::conn::Timers;
use stitch_net::{
    AcceptOptions, Address, Drain, Handler, HttpPort, Listener, Proxied, Serve, Workers, accept,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Binds an address, or says for what it was wanted and who has it.
pub(super) fn bind(address: impl Into<Address>, purpose: &Purpose) -> Result<Listener, Failure> {
    Listener::bind(address).map_err(|error| Failure::bind(explain(&error, purpose)))
}

/// What all listeners of the process share.
pub(super) fn accept_options(
    workers: Arc<Workers>,
    limits: &Limits,
    drain: Drain,
) -> AcceptOptions {
    AcceptOptions {
        workers,
        header_bytes: limits.header_bytes,
        timers: Timers {
            header: limits.header_timeout,
            idle: limits.idle,
            stream: Timeouts::default().idle,
        },
        permits: Arc::new(Semaphore::new(limits.connections)),
        drain,
    }
}

/// Serves HTTP on a listener until the drain begins or `stop` is cancelled.
pub(super) fn serve<S: Serve>(
    listener: Listener,
    gate: Arc<S>,
    options: &AcceptOptions,
    stop: CancellationToken,
) where
    S::Body: Unpin,
{
    handle(listener, Arc::new(HttpPort::new(gate, options.header_bytes)), options, stop);
}

/// Serves HTTP to clients that may have to begin with a PROXY header.
pub(super) fn serve_proxied<S: Serve>(
    listener: Listener,
    gate: Arc<S>,
    options: &AcceptOptions,
    proxy_protocol: bool,
) where
    S::Body: Unpin,
{
    let http = Arc::new(HttpPort::new(gate, options.header_bytes));
    let port = Arc::new(Proxied::new(http, proxy_protocol));
    handle(listener, port, options, CancellationToken::new());
}

/// Hands a listener's connections on until the drain begins or `stop` is cancelled.
pub(super) fn handle(
    listener: Listener,
    handler: Arc<impl Handler>,
    options: &AcceptOptions,
    stop: CancellationToken,
) {
    let options = options.clone();
    let workers = options.workers.clone();
    workers.spawn(async move {
        let address = listener.address.clone();
        if let Err(error) = accept(listener, handler, options, stop).await {
            tracing::error!(%address, %error, "Listener failed");
        }
    });
}

/// The listeners of services that have a `port`.
#[derive(Debug, Default)]
pub(super) struct ServicePorts(HashMap<Arc<str>, ServicePort>);

#[derive(Debug)]
struct ServicePort {
    /// As wished for; port 0 stays 0.
    wished: SocketAddr,
    /// As bound.
    address: SocketAddr,
    stop: CancellationToken,
}

/// What a new configuration changes about [`ServicePorts`]; bound, but not yet accepting.
#[derive(Debug, Default)]
pub(super) struct PortChanges {
    bound: Vec<(Arc<str>, SocketAddr, Listener)>,
    unwanted: Vec<Arc<str>>,
}

impl ServicePorts {
    /// Binds what the configuration wants for services of these kinds and is not there yet. Nothing changes until the changes
    /// are [applied](Self::apply).
    pub(super) fn plan(&self, config: &Config, kinds: &[Kind]) -> Result<PortChanges, Failure> {
        let wishes = wishes(config, kinds);
        let mut changes = PortChanges::default();
        for (name, wished) in &wishes {
            if self.0.get(name).is_none_or(|port| port.wished != *wished) {
                let listener = bind(*wished, &Purpose::Service(name.to_string()))?;
                changes.bound.push((name.clone(), *wished, listener));
            }
        }
        let wanted = |name: &Arc<str>| wishes.iter().any(|(wish, _)| wish == name);
        changes.unwanted = self.0.keys().filter(|name| !wanted(name)).cloned().collect();
        Ok(changes)
    }

    /// Closes what is unwanted and accepts on what was bound.
    pub(super) fn apply<H: Handler>(
        &mut self,
        changes: PortChanges,
        options: &AcceptOptions,
        handler: impl Fn(Arc<str>) -> Arc<H>,
    ) {
        for name in changes.unwanted {
            if let Some(port) = self.0.remove(&name) {
                port.stop.cancel();
            }
        }
        for (name, wished, listener) in changes.bound {
            let stop = CancellationToken::new();
            let address = listener.address.tcp().unwrap_or(wished);
            let port = ServicePort { wished, address, stop: stop.clone() };
            handle(listener, handler(name.clone()), options, stop);
            if let Some(before) = self.0.insert(name, port) {
                before.stop.cancel();
            }
        }
    }

    /// Where a service's own port is.
    pub(super) fn address(&self, service: &str) -> Option<SocketAddr> {
        self.0.get(service).map(|port| port.address)
    }
}

/// Every port of such services, on the IP of the first proxy listener.
fn wishes(config: &Config, kinds: &[Kind]) -> Vec<(Arc<str>, SocketAddr)> {
    let ip = config.proxy.service_ip();
    let services = config.services.iter().filter(|service| kinds.contains(&service.kind));
    services
        .filter_map(|service| Some((service.name.clone(), SocketAddr::new(ip, service.port?))))
        .collect()
}
