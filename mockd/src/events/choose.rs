//! `events:` — which bus a process uses, decided once at start.

use super::bus::{Bus, BusError};
use super::in_process::InProcess;
use super::nats::Nats;
use std::sync::Arc;
use std::time::Duration;
use stitch_config::Config;
use stitch_config::model::{Events, Kind, Service};

/// How long `auto` waits for a declared server.
const PROBE: Duration = Duration::from_secs(1);
/// Where NATS servers listen.
const PORT: u16 = 4222;

/// The bus that `events:` asks for, and a line that says which and why. `host` is where declared
/// infra services publish their ports: `127.0.0.1`, or the service's own name inside a compose
/// network, which an empty `host` stands for.
///
/// # Errors
/// When `events:` names a server whose address cannot be used. A server that is merely down is
/// waited for in the background.
pub async fn choose(config: &Config, host: &str) -> Result<(Arc<dyn Bus>, String), BusError> {
    match &config.events {
        Events::InProcess => Ok(in_process("as events: in-process says")),
        Events::Nats(url) => {
            // A server that is there is waited for, so that nothing is lost between `ready` and
            // the first subscription; one that is not comes later.
            let bus = match Nats::connect(url, PROBE).await {
                Ok(bus) => bus,
                Err(_) => Nats::connect_when_up(url).await?,
            };
            let later = if bus.is_connected() { "" } else { " (not there yet)" };
            let line = format!("events: {}, as the file says{later}", bus.name());
            Ok((Arc::new(bus), line))
        }
        Events::Auto => Ok(probe(config, host).await),
    }
}

async fn probe(config: &Config, host: &str) -> (Arc<dyn Bus>, String) {
    let Some((service, port)) = declared(config) else {
        return in_process("no nats service is declared");
    };
    let host = if host.is_empty() { &*service.name } else { host };
    let url = format!("nats://{host}:{port}");
    match Nats::connect(&url, PROBE).await {
        Ok(bus) => (Arc::new(bus), format!("events: {url}, the declared service {}", service.name)),
        Err(error) => {
            in_process(&format!("the declared service {} does not answer: {error}", service.name))
        }
    }
}

fn in_process(reason: &str) -> (Arc<dyn Bus>, String) {
    (Arc::new(InProcess::default()), format!("events: in-process, {reason}"))
}

/// The declared NATS service and the port it can be reached at.
fn declared(config: &Config) -> Option<(&Arc<Service>, u16)> {
    let infra = || config.services.iter().filter(|service| service.kind == Kind::Infra);
    let by_image = infra().find(|service| is_nats_image(service.image.as_deref()));
    let by_name = || infra().find(|service| &*service.name == "nats");
    let by_port = || infra().find(|service| published(service).is_some());
    let service = by_image.or_else(by_name).or_else(by_port)?;
    Some((service, published(service).unwrap_or(PORT)))
}

/// `nats:2.10-alpine`, `docker.io/library/nats`, `nats@sha256:…`.
fn is_nats_image(image: Option<&str>) -> bool {
    let last = image.unwrap_or_default().rsplit('/').next().unwrap_or_default();
    last.split([':', '@']).next() == Some("nats")
}

/// The host port of `"4222:4222"`, `"127.0.0.1:14222:4222/tcp"` or `"4222"`.
fn published(service: &Service) -> Option<u16> {
    service.ports.iter().find_map(|mapping| {
        let mapping = mapping.split('/').next().unwrap_or_default();
        let mut parts = mapping.rsplit(':');
        let inside: u16 = parts.next()?.parse().ok()?;
        let outside = parts.next().map_or(Some(inside), |port| port.parse().ok())?;
        (inside == PORT).then_some(outside)
    })
}
