//! `tls:` of the proxy and of services: names of files, which others read.

use crate::place::Place;
use std::path::PathBuf;

/// `proxy.tls`: how the proxy shows who it is, and whom it lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// `cert` and `key`, or `certificates`. Never empty; the first is the default, the others are
    /// chosen by SNI.
    pub certificates: Vec<Certificate>,
    /// `client_ca`: clients need a certificate of one of these authorities.
    pub client_ca: Option<PemFile>,
}

/// `tls` of a service: how the proxy connects to it. Everything at its default when not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// `ca`: the authorities to trust instead of the system's.
    pub ca: Option<PemFile>,
    /// `cert` and `key`: the proxy's own certificate.
    pub certificate: Option<Certificate>,
    /// `sni`: the DNS name or IP address to ask for and to check, in lower case. Default the host
    /// of the url.
    pub sni: Option<String>,
    /// `insecure`: the service's certificate is not checked. Default false.
    pub insecure: bool,
}

/// A certificate chain and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// `cert`.
    pub cert: PemFile,
    /// `key`.
    pub key: PemFile,
}

impl Certificate {
    /// Both files.
    pub fn files(&self) -> [&PemFile; 2] {
        [&self.cert, &self.key]
    }
}

/// A PEM file that the configuration names. Whether it is there is found out by who reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFile {
    /// Already relative to the directory of the file that names it.
    pub path: PathBuf,
    /// Where it is named, for problems found later.
    pub place: Place,
}
