//! The listener of one service.

use super::passage::hand_over;
use crate::proxy::{Gate, Proxy};
use crate::route::Role;
use std::sync::Arc;
use stitch_net::conn::ConnIo;
use stitch_net::{Handler, HttpPort, Peer};

/// The port of one service, by name: what is spoken there is what the file in force says.
pub struct ServicePort {
    proxy: Arc<Proxy>,
    name: Arc<str>,
    http: Arc<HttpPort<Gate>>,
}

impl ServicePort {
    /// The port of the service of that name. A header section larger than `header_bytes` is refused.
    pub fn new(proxy: Arc<Proxy>, name: Arc<str>, header_bytes: usize) -> Self {
        let gate = Gate::new(proxy.clone(), Role::Service(name.clone()));
        Self { proxy, name, http: Arc::new(HttpPort::new(Arc::new(gate), header_bytes)) }
    }
}

impl Handler for ServicePort {
    async fn handle(self: Arc<Self>, io: ConnIo, peer: Peer) {
        let service = self.proxy.snapshot().tcp.get(&self.name).cloned();
        match service {
            Some(service) => hand_over(self.proxy.clone(), service, io, peer).await,
            None => self.http.clone().handle(io, peer).await,
        }
    }
}
