//! Which `type: tcp` service a connection is meant for.

use crate::service::Service;
use crate::snapshot::same_host;
use crate::upstream::resolve;
use hashbrown::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use stitch_config::model::Upstream;
use stitch_config::pattern::{Authority, HostTable};

/// How long the names of urls may take to resolve, where a connection waits for it.
const RESOLVE: Duration = Duration::from_millis(500);

/// The services whose bytes are passed on as they are.
#[derive(Debug, Default)]
pub struct TcpServices {
    by_name: HashMap<Arc<str>, Arc<Service>>,
    hosts: HostTable<Arc<Service>>,
    urls: Vec<(String, u16, Arc<Service>)>,
}

impl TcpServices {
    /// The services, in file order.
    pub(crate) fn new(services: impl IntoIterator<Item = Arc<Service>>) -> Self {
        let mut table = Self::default();
        for service in services {
            for host in &service.declared.hosts {
                table.hosts.insert(host, service.clone());
            }
            for (host, port) in service.declared.upstreams.iter().filter_map(Upstream::host_port) {
                table.urls.push((host.to_owned(), port, service.clone()));
            }
            table.by_name.insert(service.declared.name.clone(), service);
        }
        table
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The service of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Service>> {
        self.by_name.get(name)
    }

    /// Every service.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.by_name.values()
    }

    /// The service that declares the host which a client that begins TLS asks for.
    pub fn of_sni(&self, name: &str) -> Option<&Arc<Service>> {
        self.hosts.get(Authority { host: name, port: Some(443) })
    }

    /// The service that declares a host, or whose url is there.
    pub(crate) fn of_target(&self, target: Authority<'_>) -> Option<&Arc<Service>> {
        self.of_host(target).or_else(|| self.of_url(target))
    }

    /// The service that declares a host.
    pub fn of_host(&self, target: Authority<'_>) -> Option<&Arc<Service>> {
        self.hosts.get(target)
    }

    /// The service whose url is there.
    pub fn of_url(&self, target: Authority<'_>) -> Option<&Arc<Service>> {
        let at = |(host, port, _): &&(String, u16, Arc<Service>)| {
            target.port == Some(*port) && same_host(host, target.host)
        };
        self.urls.iter().find(at).map(|(_, _, service)| service)
    }

    /// The service whose url is at this address, by itself or by a name.
    pub(crate) async fn at(&self, address: SocketAddr) -> Option<&Arc<Service>> {
        let ip = address.ip().to_canonical();
        let here = self.urls.iter().filter(|(_, port, _)| *port == address.port());
        for (host, _, service) in here {
            let found = match host.parse::<IpAddr>() {
                Ok(literal) => literal.to_canonical() == ip,
                Err(_) => match tokio::time::timeout(RESOLVE, resolve(host)).await {
                    Ok(Ok(addresses)) => addresses.iter().any(|one| one.to_canonical() == ip),
                    Ok(Err(_)) | Err(_) => false,
                },
            };
            if found {
                return Some(service);
            }
        }
        None
    }
}
