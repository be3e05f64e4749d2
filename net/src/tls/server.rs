//! The server's side: certificates chosen by SNI, client certificates if asked for.
//!
//! Built once from files; what is wrong with them is found here and not at the first handshake.

use super::sessions::Sessions;
use super::{TlsError, identity, pem, provider};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What HTTP over TLS is offered as, best first.
pub(super) const HTTP: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The files of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFiles {
    /// Certificate chain and key of each certificate; the first is the default.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// Authorities of client certificates; with them, every client needs one.
    pub client_ca: Option<PathBuf>,
}

/// A server's configuration.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// Offers `h2` and `http/1.1`; resumes sessions.
    pub config: Arc<ServerConfig>,
    /// Whether a client without a certificate is refused.
    pub requires_client: bool,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that is missing or does not hold what it should.
    pub fn load(files: &ServerFiles) -> Result<Self, TlsError> {
        let certificates = BySni::load(&files.certificates)?;
        let builder = match &files.client_ca {
            Some(path) => provider::server().with_client_cert_verifier(client_verifier(path)?),
            None => provider::server().with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = HTTP.map(<[u8]>::to_vec).to_vec();
        Sessions::new()?.serve(&mut config);
        Ok(Self { config: Arc::new(config), requires_client: files.client_ca.is_some() })
    }
}

fn client_verifier(
    path: &Path,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let (authorities, _) = pem::authorities(path)?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), super::provider())
        .build()
        .map_err(|error| TlsError::file(path, format!("cannot verify clients: {error}")))
}

/// Picks a certificate by the name that the client asks for. Names are lower case, as rustls
/// hands them over.
#[derive(Debug)]
struct BySni {
    first: Arc<CertifiedKey>,
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// `x.y` for `*.x.y`.
    wildcard: HashMap<Box<str>, Arc<CertifiedKey>>,
}

impl BySni {
    fn load(files: &[(PathBuf, PathBuf)]) -> Result<Self, TlsError> {
        let mut by_sni: Option<Self> = None;
        for (chain, key) in files {
            let certified = Arc::new(pem::certified_key(chain, key)?);
            by_sni.get_or_insert_with(|| Self::of(Arc::clone(&certified))).add(&certified);
        }
        by_sni.ok_or_else(|| TlsError::Crypto("a TLS listener needs a certificate".to_owned()))
    }

    fn of(first: Arc<CertifiedKey>) -> Self {
        Self { first, exact: HashMap::new(), wildcard: HashMap::new() }
    }

    /// Of two certificates for one name, the one that was named first serves it.
    fn add(&mut self, certified: &Arc<CertifiedKey>) {
        let end_entity = certified.cert.first().map_or(&[][..], |der| der.as_ref());
        for name in identity::dns_names(end_entity) {
            let (names, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            names.entry(name.into()).or_insert_with(|| Arc::clone(certified));
        }
    }

    fn choose(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let found = name.and_then(|name| {
            let name = name.strip_suffix('.').unwrap_or(name);
            let below = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(name).or_else(below)
        });
        found.unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.choose(hello.server_name())))
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
