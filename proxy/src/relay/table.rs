//! Which `type: tcp` service a connection is meant for.

use crate::service::Service;
use crate::snapshot::same_host;
use hashbrown::HashMap;
use std::sync::Arc;
use stitch_config::model::Upstream;
use stitch_config::pattern::{Authority, HostTable};

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
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.by_name.values()
    }

    /// The service that declares the host which a client that begins TLS asks for.
    pub(crate) fn of_sni(&self, name: &str) -> Option<&Arc<Service>> {
        self.hosts.get(Authority { host: name, port: Some(443) })
    }

    /// The service that declares a host, or whose url is there.
    pub(crate) fn of_target(&self, target: Authority<'_>) -> Option<&Arc<Service>> {
        self.hosts.get(target).or_else(|| {
            let at = |(host, port, _): &&(String, u16, Arc<Service>)| {
                target.port == Some(*port) && same_host(host, target.host)
            };
            self.urls.iter().find(at).map(|(_, _, service)| service)
        })
    }
}
