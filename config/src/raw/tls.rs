//! `tls:` of the proxy and of services as typed.

use crate::decode::{At, NonEmpty, ServerName, Word, record};

record! {
    /// How the proxy shows who it is, and whom it lets in.
    RawServerTls("proxy.tls") {
        /// A PEM file with the certificate and what it is signed with, relative to this file.
        "cert" => cert: At<Word>,
        /// A PEM file with the private key of `cert`.
        "key" => key: At<Word>,
        /// Several certificates, chosen by the name that the client asks for; the first is the
        /// default. Instead of `cert` and `key`.
        "certificates" => certificates: At<NonEmpty<Vec<RawCertificate>>>,
        /// A PEM file with authorities: clients need a certificate of one of them, and plain
        /// connections are refused.
        "client_ca" => client_ca: At<Word>,
    }
}

record! {
    /// A certificate and its key.
    RawCertificate("an entry of certificates") {
        /// A PEM file with the certificate and what it is signed with, relative to this file.
        "cert" required => cert: At<Word>,
        /// A PEM file with its private key.
        "key" required => key: At<Word>,
    }
}

record! {
    /// How https:// and tls:// endpoints are connected to.
    RawClientTls("tls") {
        /// A PEM file with the authorities to trust instead of the system's.
        "ca" => ca: At<Word>,
        /// A PEM file with the proxy's own certificate.
        "cert" => cert: At<Word>,
        /// A PEM file with the private key of `cert`.
        "key" => key: At<Word>,
        /// The name to ask for and to check. Default: the host of the url.
        "sni" => sni: ServerName,
        /// Whether any certificate is accepted. Default false.
        "insecure" => insecure: At<bool>,
    }
}
