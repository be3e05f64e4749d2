//! One address that requests, or bytes, can be sent to.

use super::balance::{self, Condition};
use super::names::Name;
use crate::health::{Health, Record};
use arc_swap::ArcSwapOption;
use http::HeaderValue;
use http::uri::Authority;
use rustls::pki_types::ServerName;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use stitch_config::model::{Scheme, Upstream, UpstreamAddress};
use stitch_net::tls::{ClientFiles, ClientTls, TlsError};
use tokio::time::Instant;

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
    /// What is spoken there.
    pub scheme: Scheme,
    /// Where it is.
    pub address: UpstreamAddress,
    /// For schemes inside TLS.
    pub tls: Option<Tls>,
    /// `host[:port]` as sent in `Host`.
    pub host: HeaderValue,
    /// The same as sent in `:authority`.
    pub authority: Option<Authority>,
    /// Put in front of every path; usually empty.
    pub base_path: String,
    /// Share relative to its siblings.
    pub weight: u32,
    /// Its url, as in the file.
    pub url: String,
    /// Used only when no endpoint of a lower tier is fit.
    pub tier: u8,
    /// How it is doing.
    pub condition: Condition,
    /// What its health checks found, if it is checked.
    pub(crate) health: ArcSwapOption<Record>,
    /// For targets that nobody declared.
    pub guard: Option<Arc<dyn AddressGuard>>,
    /// Names it in sticky cookies and on rings: the same in every process, whatever its position.
    token: AtomicU64,
    /// The one of its name's addresses that it stands for, if there are several.
    pinned: Mutex<Option<IpAddr>>,
    /// Its name, if that may have several addresses.
    name: Option<Arc<Name>>,
    /// Whether it chose HTTP/1 when it was last asked.
    prefers_h1: AtomicBool,
}

/// How TLS is begun with an endpoint.
#[derive(Clone, Debug)]
pub struct Tls {
    /// What is trusted, and who we are.
    pub client: Arc<ClientTls>,
    /// Whom we expect to meet.
    pub name: ServerName<'static>,
    /// What `client` was made from: tells whether a reload changed it.
    pub inputs: Arc<[Vec<u8>]>,
}

impl Tls {
    /// For a host that nothing was said about: the system's authorities decide.
    ///
    /// # Errors
    /// When it has no name that a certificate can be for.
    pub fn of_anyone(host: &str) -> Result<Self, TlsError> {
        static CLIENT: OnceLock<Arc<ClientTls>> = OnceLock::new();
        let client = match CLIENT.get() {
            Some(client) => client.clone(),
            None => {
                let loaded = Arc::new(ClientTls::load(&ClientFiles::default())?);
                CLIENT.get_or_init(|| loaded).clone()
            }
        };
        let name = client.server_name(host)?;
        Ok(Self { client, name, inputs: Arc::default() })
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.inputs == other.inputs
    }
}

/// Which version of HTTP an endpoint is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, as everybody knows beforehand.
    Http2,
    /// Whichever it chooses.
    Either,
}

impl Endpoint {
    /// An endpoint from the configuration. `tls` is needed for schemes inside TLS.
    pub fn declared(upstream: &Upstream, tls: Option<Tls>) -> Self {
        Self {
            tls,
            base_path: upstream.base_path.clone(),
            weight: upstream.weight,
            tier: upstream.tier,
            token: AtomicU64::new(balance::hash(upstream.to_string().as_bytes())),
            url: upstream.to_string(),
            ..Self::new(upstream.scheme, upstream.address.clone(), &upstream.authority())
        }
    }

    /// A target that a client named.
    pub fn undeclared(
        scheme: Scheme,
        host: String,
        port: u16,
        tls: Option<Tls>,
        guard: Arc<dyn AddressGuard>,
    ) -> Self {
        let upstream = Upstream { scheme, ..Upstream::http(host, port) };
        let guard = Some(guard);
        let address = upstream.address.clone();
        Self { guard, tls, ..Self::new(scheme, address, &upstream.authority()) }
    }

    fn new(scheme: Scheme, address: UpstreamAddress, authority: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            scheme,
            address,
            tls: None,
            host: HeaderValue::try_from(authority)
                .unwrap_or_else(|_| HeaderValue::from_static("invalid")),
            authority: authority.parse().ok(),
            base_path: String::new(),
            weight: 1,
            url: String::new(),
            token: AtomicU64::new(0),
            pinned: Mutex::new(None),
            name: None,
            tier: 1,
            condition: Condition::new(Instant::now()),
            health: ArcSwapOption::empty(),
            guard: None,
            prefers_h1: AtomicBool::new(false),
        }
    }

    /// The same address for bytes that are inside TLS already.
    pub fn without_tls(&self) -> Self {
        let authority = self.host.to_str().unwrap_or_default();
        let guard = self.guard.clone();
        let (name, pinned) = (self.name.clone(), Mutex::new(self.pinned()));
        let address = self.address.clone();
        Self { guard, name, pinned, ..Self::new(Scheme::Tcp, address, authority) }
    }

    /// One of those that a name stands for.
    pub(super) fn named(self, name: Option<Arc<Name>>) -> Self {
        Self { name, ..self }
    }

    /// What names it in sticky cookies and on rings.
    pub fn token(&self) -> u64 {
        self.token.load(Ordering::Relaxed)
    }

    pub(super) fn set_token(&self, token: u64) {
        self.token.store(token, Ordering::Relaxed);
    }

    /// The address that it stands for, if its name has several.
    pub fn pinned(&self) -> Option<IpAddr> {
        *self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pin(&self, address: Option<IpAddr>) {
        *self.pinned.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Whether it is another address of the same url's name.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        let both = self.name.as_ref().zip(other.name.as_ref());
        self.id != other.id && both.is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// No connection could be made: its name may have other addresses by now.
    pub(super) fn is_unreachable(&self) {
        if let Some(name) = &self.name {
            name.doubt();
        }
    }

    /// Where it is, down to the address.
    pub fn shown(&self) -> String {
        match (&self.address, self.pinned()) {
            (UpstreamAddress::Host { port, .. }, Some(ip)) => {
                SocketAddr::new(ip, *port).to_string()
            }
            _ => self.to_string(),
        }
    }

    /// Whether a reload can keep this endpoint for what the file now says.
    pub fn is(&self, upstream: &Upstream, tls: Option<&Tls>) -> bool {
        self.tls.as_ref() == tls
            && self.scheme == upstream.scheme
            && self.address == upstream.address
            && self.base_path == upstream.base_path
            && self.weight == upstream.weight
            && self.tier == upstream.tier
    }

    /// What its health checks found, if it is checked.
    pub fn health(&self) -> Option<Health> {
        self.health.load().as_ref().map(|record| record.read())
    }

    /// Which version of HTTP it is spoken to in.
    pub fn speaks(&self) -> Speaks {
        match self.scheme {
            Scheme::H2c => Speaks::Http2,
            Scheme::Https | Scheme::Tls => Speaks::Either,
            Scheme::Http | Scheme::Tcp => Speaks::Http1,
        }
    }

    /// What it chose, so that the next burst of requests need not wait for one of them.
    pub fn has_chosen(&self, h2: bool) {
        self.prefers_h1.store(!h2, Ordering::Relaxed);
    }

    /// Whether it chose HTTP/1 when it was last asked.
    pub fn prefers_h1(&self) -> bool {
        self.prefers_h1.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            UpstreamAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            UpstreamAddress::Host { host, port } if host.contains(':') => {
                write!(f, "[{host}]:{port}")
            }
            UpstreamAddress::Host { host, port } => write!(f, "{host}:{port}"),
        }
    }
}
