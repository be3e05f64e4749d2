//! Certificates and keys out of PEM files and into PEM text, with words for what is missing.

use super::{TlsError, provider};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Every system's bundle of roots is far below this.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Where base64 breaks its lines in PEM.
const LINE: usize = 64;

/// All certificates of a file, of which there is at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| TlsError::file(path, malformed(&error)))?;
    if found.is_empty() {
        return Err(TlsError::file(path, no_certificate(&text)));
    }
    Ok(found)
}

/// All certificates of a file, as the authorities to trust.
pub(super) fn authorities(
    path: &Path,
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsError> {
    let certificates = certificates(path)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|error| TlsError::file(path, unusable("certificate", &error)))?;
    }
    Ok((store, certificates))
}

/// The first private key of a file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let why = if holds(&text, "BEGIN ENCRYPTED PRIVATE KEY") || holds(&text, "4,ENCRYPTED") {
            "holds an encrypted key; write it without its passphrase (openssl pkey -in … -out …)"
        } else if !matches!(error, PemError::NoItemsFound) {
            malformed(&error)
        } else if !holds(&text, "-----BEGIN ") {
            NOT_PEM
        } else if holds(&text, "BEGIN CERTIFICATE") {
            "holds a certificate but no private key"
        } else {
            "holds no private key"
        };
        TlsError::file(path, why)
    })
}

/// A certificate chain and the key that belongs to its first certificate.
pub(super) fn certified_key(chain: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let certificates = certificates(chain)?;
    let signer = provider()
        .key_provider
        .load_private_key(private_key(key)?)
        .map_err(|error| TlsError::file(key, unusable("key", &error)))?;
    let certified = CertifiedKey::new(certificates, signer);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(certified)
        }
        Err(rustls::Error::InconsistentKeys(_)) => Err(mismatch(&certified, chain, key)),
        Err(error) => Err(TlsError::file(chain, unusable("certificate", &error))),
    }
}

/// The certificates as PEM text.
pub(super) fn encode<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> String {
    let mut text = String::new();
    for certificate in certificates {
        encode_as("CERTIFICATE", certificate, &mut text);
    }
    text
}

/// A key in PKCS #8 as PEM text.
pub(super) fn encode_key(pkcs8: &[u8]) -> String {
    let mut text = String::new();
    encode_as("PRIVATE KEY", pkcs8, &mut text);
    text
}

fn encode_as(label: &str, der: &[u8], text: &mut String) {
    let body = STANDARD.encode(der);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so that every byte is a boundary.
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| TlsError::read(path, error))?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error: io::Error| TlsError::read(path, error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(TlsError::file(path, "is larger than 16 MiB"));
    }
    Ok(bytes)
}

const NOT_PEM: &str = "is not PEM text (it has no -----BEGIN line); convert it with openssl";

fn no_certificate(text: &[u8]) -> &'static str {
    if !holds(text, "-----BEGIN ") {
        NOT_PEM
    } else if holds(text, "PRIVATE KEY-----") {
        "holds a private key but no certificate"
    } else {
        "holds no certificate"
    }
}

/// Never with what the file holds: it may be a key.
fn malformed(error: &PemError) -> &'static str {
    match error {
        PemError::MissingSectionEnd { .. } => "is cut off: a -----BEGIN line has no -----END line",
        PemError::IllegalSectionStart { .. } => "has a -----BEGIN line that does not end in -----",
        PemError::Base64Decode(_) => "holds damaged PEM: between the lines is no base64",
        _ => "holds damaged PEM",
    }
}

fn unusable(what: &str, error: &rustls::Error) -> String {
    format!("holds a {what} that cannot be used: {error}")
}

fn mismatch(certified: &CertifiedKey, chain: &Path, key: &Path) -> TlsError {
    let belongs = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], certified.key.clone()).keys_match().is_ok()
    };
    if certified.cert.iter().skip(1).any(belongs) {
        return TlsError::file(
            chain,
            "must begin with the certificate of the key, then its issuers",
        );
    }
    TlsError::file(key, format!("does not belong to the certificate in {}", chain.display()))
}

fn holds(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|window| window == word.as_bytes())
}
