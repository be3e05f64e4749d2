//! One address that requests can be sent to.

use http::HeaderValue;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use stitch_config::model::Upstream;

/// Decides whether a resolved address may be connected to. Checked on the address itself, after
/// resolution, so that a name cannot lead somewhere else than it did when it was checked.
pub trait AddressGuard: Send + Sync + fmt::Debug {
    /// Whether connecting is allowed.
    fn allows(&self, address: IpAddr, port: u16) -> bool;
}

/// A real endpoint. Its identity lasts over reloads that leave it unchanged, and with it its
/// connections.
#[derive(Debug)]
pub struct Endpoint {
    /// Key of its connection pools; unique in the process.
    pub id: u64,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `host[:port]` as sent in `Host`.
    pub authority: HeaderValue,
    /// Put in front of every path; usually empty.
    pub base_path: String,
    /// Share relative to its siblings.
    pub weight: u32,
    /// Requests being answered by it; only kept when it has siblings.
    pub in_flight: AtomicUsize,
    /// For targets that nobody declared.
    pub guard: Option<Arc<dyn AddressGuard>>,
}

impl Endpoint {
    /// An endpoint from the configuration.
    pub fn declared(upstream: &Upstream) -> Self {
        let (host, port) = upstream.host_port().unwrap_or_default();
        Self::new(host.to_owned(), port, &upstream.authority(), None)
            .with_base(upstream.base_path.clone(), upstream.weight)
    }

    /// A target that a client named.
    pub fn undeclared(host: String, port: u16, guard: Arc<dyn AddressGuard>) -> Self {
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let authority = if port == 80 { bracketed } else { format!("{bracketed}:{port}") };
        Self::new(host, port, &authority, Some(guard))
    }

    fn new(host: String, port: u16, authority: &str, guard: Option<Arc<dyn AddressGuard>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            authority: HeaderValue::try_from(authority)
                .unwrap_or_else(|_| HeaderValue::from_static("invalid")),
            host,
            port,
            base_path: String::new(),
            weight: 1,
            in_flight: AtomicUsize::new(0),
            guard,
        }
    }

    fn with_base(mut self, base_path: String, weight: u32) -> Self {
        self.base_path = base_path;
        self.weight = weight;
        self
    }

    /// Whether a reload can keep this endpoint for what the file now says.
    pub fn is(&self, upstream: &Upstream) -> bool {
        upstream.host_port() == Some((self.host.as_str(), self.port))
            && self.base_path == upstream.base_path
            && self.weight == upstream.weight
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
