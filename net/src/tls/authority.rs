//! The authority of this installation, which interception mints certificates with.
//!
//! Leaves live for a day and are never written down; only the CA lasts. All leaves share one key,
//! which is made at the start, so that a new host costs one signature.

use super::install::{self, Installed};
use super::leaves::{Leaf, Leaves};
use super::server::HTTP;
use super::sessions::Sessions;
use super::{TlsError, client, pem, provider};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// A leaf is valid from an hour ago, for clocks that differ, …
const BEFORE: i64 = 60 * 60;

/// … until a day from now.
const AFTER: i64 = 24 * 60 * 60;

/// Longer names do not fit a common name; the alternative name has them anyway.
const MAX_COMMON_NAME: usize = 64;

/// A CA with its key, and the certificates it has made.
pub struct Authority {
    chain: Vec<CertificateDer<'static>>,
    not_after: i64,
    issuer: Issuer<'static, KeyPair>,
    leaf_key: KeyPair,
    leaf_signer: Arc<dyn SigningKey>,
    sessions: Sessions,
    leaves: Mutex<Leaves>,
}

impl Authority {
    /// Opens the CA in this folder, or makes one: `ca.pem`, and `ca.key` for its owner alone.
    /// Processes that do so at the same time get the same CA. Blocks on files.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or holds something else.
    pub fn open_or_create(folder: &Path) -> Result<Self, TlsError> {
        let Installed { chain, issuer, not_after } = install::open_or_create(folder)?;
        let leaf_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let der = PrivatePkcs8KeyDer::from(leaf_key.serialize_der());
        let keys = super::provider().key_provider;
        let leaf_signer = keys.load_private_key(PrivateKeyDer::Pkcs8(der))?;
        let sessions = Sessions::new()?;
        let leaves = Mutex::default();
        Ok(Self { chain, not_after, issuer, leaf_key, leaf_signer, sessions, leaves })
    }

    /// The CA's certificate as PEM text.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem::encode(self.chain.first())
    }

    /// SHA-256 of the CA's certificate, as `AB:CD:…`, which is how browsers and openssl show it.
    #[must_use]
    pub fn fingerprint_sha256(&self) -> String {
        let der = self.chain.first().map_or(&[][..], |der| der.as_ref());
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        let mut text = String::with_capacity(3 * digest.as_ref().len());
        for byte in digest.as_ref() {
            let separator = if text.is_empty() { "" } else { ":" };
            let _ = write!(text, "{separator}{byte:02X}");
        }
        text
    }

    /// A bundle for programs that replace their roots by one file (`SSL_CERT_FILE` and the like):
    /// the system's certificates and the CA's.
    #[must_use]
    pub fn bundle_pem(&self, system: &[CertificateDer<'_>]) -> String {
        let own = self.chain.first();
        let others = system.iter().filter(|certificate| Some(*certificate) != own);
        pem::encode(own.into_iter().chain(others))
    }

    /// What to serve as this host, a name or an address: a certificate for it, made if there is none
    /// with an hour left. Offers `h2` and `http/1.1`.
    ///
    /// # Errors
    /// When no certificate can be for such a host.
    pub fn leaf(&self, host: &str) -> Result<Arc<ServerConfig>, TlsError> {
        self.leaf_at(host, SystemTime::now())
    }

    /// The same at another time.
    ///
    /// # Errors
    /// When no certificate can be for such a host.
    pub fn leaf_at(&self, host: &str, now: SystemTime) -> Result<Arc<ServerConfig>, TlsError> {
        let name = client::parse_name(host)?;
        let key = name.to_str().to_ascii_lowercase();
        let now = install::seconds(now);
        if let Some(config) = self.with_leaves(|leaves| leaves.fresh(&key, now)) {
            return Ok(config);
        }
        let leaf = self.mint(&name, &key, now)?;
        Ok(self.with_leaves(|leaves| leaves.keep(&key, leaf, now)))
    }

    fn mint(&self, name: &ServerName<'_>, host: &str, now: i64) -> Result<Leaf, TlsError> {
        let not_before = now.saturating_sub(BEFORE);
        let not_after = now.saturating_add(AFTER).min(self.not_after);
        let leaf = self.sign(name, host, not_before, not_after)?;
        // The CA itself goes along for the case that it is not a root but below one.
        let chain = std::iter::once(leaf).chain(self.chain.iter().cloned()).collect();
        let certified = CertifiedKey::new(chain, Arc::clone(&self.leaf_signer));
        let resolver = Arc::new(SingleCertAndKey::from(certified));
        let mut config = provider::server().with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = HTTP.map(<[u8]>::to_vec).to_vec();
        self.sessions.serve(&mut config);
        Ok(Leaf { config: Arc::new(config), not_before, not_after })
    }

    fn sign(
        &self,
        name: &ServerName<'_>,
        host: &str,
        not_before: i64,
        not_after: i64,
    ) -> Result<CertificateDer<'static>, TlsError> {
        let mut params = leaf_params(name, host)?;
        params.not_before = install::date(not_before)?;
        params.not_after = install::date(not_after)?;
        Ok(params.signed_by(&self.leaf_key, &self.issuer)?.into())
    }

    fn with_leaves<T>(&self, use_them: impl FnOnce(&mut Leaves) -> T) -> T {
        use_them(&mut self.leaves.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = self.fingerprint_sha256();
        f.debug_struct("Authority").field("fingerprint", &fingerprint).finish_non_exhaustive()
    }
}

fn leaf_params(name: &ServerName<'_>, text: &str) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if text.len() <= MAX_COMMON_NAME {
        params.distinguished_name.push(DnType::CommonName, text);
    }
    params.subject_alt_names = vec![match name {
        ServerName::IpAddress(address) => SanType::IpAddress(IpAddr::from(*address)),
        _ => SanType::DnsName(text.try_into()?),
    }];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(install::serial()?);
    Ok(params)
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
