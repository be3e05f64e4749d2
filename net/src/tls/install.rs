//! The files of the authority: one CA per installation, whoever comes first.
//!
//! Opening holds a lock on the folder, so that two processes that start at once end with one CA. The
//! key is written before the certificate and each in one step; a process that dies in between leaves
//! a key, for which the next one makes the certificate.

use super::{TlsError, identity, pem, replace_file};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};
use rustls::pki_types::CertificateDer;
use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use time::OffsetDateTime;

/// In seconds.
const DAY: i64 = 24 * 60 * 60;

/// How long a CA is valid: ten years.
const VALID: i64 = 3652 * DAY;

/// RFC 5280 bounds common names at 64 characters.
const MAX_COMMON_NAME: usize = 64;

/// The file with the CA's certificate, in the authority's folder.
pub const CA_CERTIFICATE: &str = "ca.pem";

/// The file with its key.
pub const CA_KEY: &str = "ca.key";

/// A CA as it was found or made.
#[derive(Debug)]
pub(super) struct Installed {
    /// What ca.pem holds, the CA first; there is at least one.
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) issuer: Issuer<'static, KeyPair>,
    /// When the CA ends, in seconds since 1970.
    pub(super) not_after: i64,
}

/// Where the authority lives: `$STITCH_CA_DIR`, else `$XDG_DATA_HOME/stitch`, else
/// `~/.local/share/stitch`. `None` without a home.
#[must_use]
pub fn default_dir(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let folder = |name| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("STITCH_CA_DIR").or_else(|| {
        // The XDG specification says to ignore relative ones.
        let data = folder("XDG_DATA_HOME").filter(|path| path.is_absolute());
        let data = data.or_else(|| Some(folder("HOME")?.join(".local/share")));
        data.map(|data| data.join("stitch"))
    })
}

/// Opens the CA in this folder, or makes both.
pub(super) fn open_or_create(folder: &Path) -> Result<Installed, TlsError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| TlsError::write(folder, error))?;
    // Released when it is dropped, and by the system when the process dies.
    let held = File::open(folder).map_err(|error| TlsError::read(folder, error))?;
    held.lock().map_err(|error| TlsError::write(folder, error))?;
    let (certificate, key) = (folder.join(CA_CERTIFICATE), folder.join(CA_KEY));
    match (certificate.exists(), key.exists()) {
        (true, true) => {}
        (true, false) => {
            let why = format!("has lost its key, {CA_KEY}; delete it too to have a new CA made");
            return Err(TlsError::file(&certificate, why));
        }
        (false, true) => write_certificate(&certificate, &read_key(&key)?)?,
        (false, false) => {
            let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
            write(&key, &pem::encode_key(pair.serialized_der()), 0o600)?;
            write_certificate(&certificate, &pair)?;
        }
    }
    close_to_others(&key)?;
    check(&certificate, &key)
}

fn read_key(path: &Path) -> Result<KeyPair, TlsError> {
    let key = pem::private_key(path)?;
    KeyPair::try_from(&key)
        .map_err(|error| TlsError::file(path, format!("holds a key that cannot be used: {error}")))
}

fn check(certificate: &Path, key: &Path) -> Result<Installed, TlsError> {
    let pair = read_key(key)?;
    let chain = pem::certificates(certificate)?;
    let wrong = |why: &'static str| TlsError::file(certificate, why);
    let unreadable = || wrong("holds a certificate that cannot be read");
    let own = chain.first().ok_or_else(unreadable)?;
    let parsed = identity::parse(own).ok_or_else(unreadable)?;
    if !parsed.is_ca() {
        return Err(wrong("holds a certificate that is not a CA's"));
    }
    if parsed.public_key().raw != pair.subject_public_key_info() {
        let why = format!("does not belong to the certificate in {}", certificate.display());
        return Err(TlsError::file(key, why));
    }
    let not_after = parsed.validity().not_after.timestamp();
    if not_after <= seconds(SystemTime::now()) {
        return Err(wrong("has expired; delete it and its key to have a new CA made"));
    }
    let issuer = Issuer::from_ca_cert_der(own, pair).map_err(|_| unreadable())?;
    Ok(Installed { chain, issuer, not_after })
}

fn write_certificate(path: &Path, key: &KeyPair) -> Result<(), TlsError> {
    let certificate = params(seconds(SystemTime::now()))?.self_signed(key)?;
    write(path, &pem::encode([certificate.der()]), 0o644)
}

fn params(now: i64) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name());
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(serial()?);
    // Clocks of containers and virtual machines differ from ours.
    params.not_before = date(now.saturating_sub(DAY))?;
    params.not_after = date(now.saturating_add(VALID))?;
    Ok(params)
}

fn common_name() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let printable = host.chars().filter(|char| !char.is_control());
    format!("ServiceStitch CA on {}", printable.collect::<String>())
        .chars()
        .take(MAX_COMMON_NAME)
        .collect()
}

/// A number of its own for every certificate: browsers refuse a second one by the same issuer.
pub(super) fn serial() -> Result<rcgen::SerialNumber, TlsError> {
    let mut bytes = [0; 16];
    let random = super::provider().secure_random;
    random.fill(&mut bytes).map_err(|_| TlsError::Crypto("no random bytes".to_owned()))?;
    // Positive, and of the same length every time.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(rcgen::SerialNumber::from_slice(&bytes))
}

pub(super) fn date(seconds: i64) -> Result<OffsetDateTime, TlsError> {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|_| TlsError::Crypto("the clock is beyond the calendar".to_owned()))
}

/// Seconds since 1970; 0 before.
pub(super) fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    replace_file(path, text, mode).map_err(|error| TlsError::write(path, error))
}

/// A key that others may read is closed to them.
fn close_to_others(path: &Path) -> Result<(), TlsError> {
    let metadata = path.metadata().map_err(|error| TlsError::read(path, error))?;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    match std::fs::set_permissions(path, Permissions::from_mode(0o600)) {
        Ok(()) => {
            tracing::warn!(path = %path.display(), "others could read the CA's key; not any more");
        }
        // It is someone else's, or mounted for reading only: theirs to decide.
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "others can read the CA's key");
        }
    }
    Ok(())
}
