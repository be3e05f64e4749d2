//! The client's side: whom to trust, who we are, and which name to ask for.
//!
//! One [`ClientTls`] holds a configuration for each way of talking: HTTP of either version, HTTP/1.1
//! alone, and streams of bytes that no protocol is agreed for.

use super::server::HTTP;
use super::verify::{Anyone, Authorities};
use super::{TlsError, pem, provider, sessions, system_roots};
use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files and choices of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// Authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// Our certificate chain and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The name to ask for and to verify, instead of the host's.
    pub sni: Option<String>,
    /// Whether any certificate will do. Whoever sets it says so loudly.
    pub insecure: bool,
}

/// A client's configurations, which differ in what they offer by ALPN.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// Offers `h2` and `http/1.1`.
    pub http: Arc<ClientConfig>,
    /// Offers `http/1.1` only.
    pub http1: Arc<ClientConfig>,
    /// Offers nothing.
    pub raw: Arc<ClientConfig>,
    /// Whether servers are not verified.
    pub insecure: bool,
    name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that is missing or does not hold what it should, or a bad name.
    pub fn load(files: &ClientFiles) -> Result<Self, TlsError> {
        let name = files.sni.as_deref().map(parse_name).transpose()?;
        let verifier = verifier(files)?;
        let builder = provider::client(verifier);
        let base = match &files.certificate {
            Some((chain, key)) => {
                let certified = pem::certified_key(chain, key)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => builder.with_no_client_auth(),
        };
        let offering = |protocols: &[&[u8]]| {
            let mut config = base.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            config.resumption = sessions::client();
            Arc::new(config)
        };
        Ok(Self {
            http: offering(&HTTP),
            http1: offering(&HTTP[1..]),
            raw: offering(&[]),
            insecure: files.insecure,
            name,
        })
    }

    /// The name to ask a server for that is reached as `host`: a name or an address, which may
    /// stand in brackets.
    ///
    /// # Errors
    /// When it is neither.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        self.name.as_ref().map_or_else(|| parse_name(host), |name| Ok(name.clone()))
    }
}

/// A host in the form that TLS has for it: no brackets, and no dot at the end (RFC 6066).
pub(super) fn parse_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    ServerName::try_from(bare)
        .map(|name| name.to_owned())
        .map_err(|_| TlsError::Name(host.to_owned()))
}

fn verifier(files: &ClientFiles) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    // A wrong file is wrong even where it is not used.
    let named = files.ca.as_deref().map(authorities).transpose()?;
    Ok(match named {
        _ if files.insecure => Arc::new(Anyone),
        Some(authorities) => Arc::new(authorities),
        None => system_roots().verifier(),
    })
}

fn authorities(path: &Path) -> Result<Authorities, TlsError> {
    let (store, certificates) = pem::authorities(path)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), super::provider())
        .build()
        .map_err(|error| TlsError::file(path, format!("cannot verify servers: {error}")))?;
    Ok(Authorities { verifier, certificates })
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
