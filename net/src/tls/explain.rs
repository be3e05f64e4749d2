//! Failed handshakes in words that say what to do.
//!
//! Each side gets its own words: what to trust is `tls.ca` where we connect and `tls.client_ca`
//! where we accept. With TLS 1.3 a server's refusal of a client arrives after the client's handshake,
//! at its first read, so errors of reads are explained here as well.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};
use std::borrow::Cow;
use std::io;
use time::OffsetDateTime;

type Text = Cow<'static, str>;

/// How many of a certificate's names are worth reading.
const NAMES: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// Why a handshake with a server failed, or the first read after it.
#[must_use]
pub fn explain_connect(error: &io::Error) -> Text {
    explain(error, Side::Client)
}

/// Why a handshake with a client failed, or the first read after it.
#[must_use]
pub fn explain_accept(error: &io::Error) -> Text {
    explain(error, Side::Server)
}

fn explain(error: &io::Error, side: Side) -> Text {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return of_tls(error, side);
    }
    if error.kind() != io::ErrorKind::UnexpectedEof {
        return error.to_string().into();
    }
    // tokio-rustls's words; rustls's, for later, speak of close_notify.
    match (error.to_string() == "tls handshake eof", side) {
        (true, Side::Client) => {
            "the server closed the connection during the handshake; does it speak TLS?".into()
        }
        (true, Side::Server) => {
            "the client closed the connection during the handshake; does it trust our certificate?"
                .into()
        }
        (false, _) => format!("the {} cut the connection off", peer(side)).into(),
    }
}

fn of_tls(error: &Error, side: Side) -> Text {
    match error {
        Error::InvalidCertificate(error) => of_certificate(error, side),
        Error::AlertReceived(alert) => of_alert(*alert, side),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) => "the peer does not speak TLS".into(),
        Error::NoCertificatesPresented if side == Side::Server => {
            "the client gives no certificate, and tls.client_ca asks for one".into()
        }
        Error::NoApplicationProtocol => NO_PROTOCOL.into(),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired,
        ) => TOO_OLD.into(),
        other => other.to_string().into(),
    }
}

const NO_PROTOCOL: &str = "no protocol in common (ALPN)";
const TOO_OLD: &str = "the peer speaks no TLS newer than 1.1";

fn of_certificate(error: &CertificateError, side: Side) -> Text {
    match error {
        CertificateError::Expired => "the certificate has expired".into(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate has expired on {}", day(not_after.as_secs())).into()
        }
        CertificateError::NotValidYet => "the certificate is not valid yet".into(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the certificate is not valid before {}", day(not_before.as_secs())).into()
        }
        CertificateError::NotValidForName => "the certificate is for other names".into(),
        CertificateError::NotValidForNameContext { presented, .. } => other_names(presented),
        CertificateError::UnknownIssuer => match side {
            Side::Client => "unknown issuer; give its CA in tls.ca".into(),
            Side::Server => "unknown issuer; its CA is not in tls.client_ca".into(),
        },
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            match side {
                Side::Client => "the certificate is not for servers (extended key usage)".into(),
                Side::Server => "the certificate is not for clients (extended key usage)".into(),
            }
        }
        CertificateError::BadEncoding => "the certificate is damaged".into(),
        // Also of the handshake, but a CA that was made anew under its old name is likelier.
        CertificateError::BadSignature => match side {
            Side::Client => "a signature is wrong; is tls.ca an older CA of the same name?".into(),
            Side::Server => {
                "a signature is wrong; is tls.client_ca an older CA of the same name?".into()
            }
        },
        CertificateError::Revoked => "the certificate has been revoked".into(),
        CertificateError::Other(inner) => of_other(&inner.0.to_string(), side),
        other => other.to_string().into(),
    }
}

/// The words of webpki for what rustls has no variant for.
fn of_other(text: &str, side: Side) -> Text {
    match (text, side) {
        // A self-signed one as openssl makes it; an authority's own is as rare as it is wrong.
        ("CaUsedAsEndEntity", Side::Client) => {
            "the certificate is self-signed; give it in tls.ca to trust it".into()
        }
        ("CaUsedAsEndEntity", Side::Server) => {
            "the certificate is a CA's own, which does not do for a client".into()
        }
        ("UnsupportedCertVersion", _) => "the certificate is not of version 3 of X.509".into(),
        _ => format!("the certificate cannot be verified: {text}").into(),
    }
}

fn of_alert(alert: AlertDescription, side: Side) -> Text {
    use AlertDescription as Alert;
    match (alert, side) {
        (Alert::CertificateRequired, Side::Client) => {
            "the server asks for a client certificate; give one in tls.cert and tls.key".into()
        }
        (Alert::HandshakeFailure, Side::Client) => {
            "the server refuses the handshake: no cipher in common, or it asks for a client \
             certificate (tls.cert and tls.key)"
                .into()
        }
        (Alert::UnknownCA, Side::Client) => {
            "the server does not know the issuer of our certificate".into()
        }
        (Alert::UnknownCA, Side::Server) => {
            "the client does not trust the issuer of our certificate".into()
        }
        (Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate, _) => {
            format!("the {} refuses our certificate", peer(side)).into()
        }
        (Alert::CertificateExpired, _) => {
            format!("the {} says that our certificate has expired", peer(side)).into()
        }
        (Alert::UnrecognisedName, Side::Client) => {
            "the server knows no such name; give the one it serves in tls.sni".into()
        }
        (Alert::NoApplicationProtocol, _) => NO_PROTOCOL.into(),
        (Alert::ProtocolVersion, _) => {
            format!("the {} refuses our TLS versions", peer(side)).into()
        }
        (other, _) => format!("the {} gave up: {other:?}", peer(side)).into(),
    }
}

fn peer(side: Side) -> &'static str {
    match side {
        Side::Client => "server",
        Side::Server => "client",
    }
}

fn other_names(presented: &[String]) -> Text {
    if presented.is_empty() {
        return "the certificate is for no name (it has no subjectAltName)".into();
    }
    let mut names: Vec<&str> = presented.iter().take(NAMES).map(|name| bare(name)).collect();
    if presented.len() > NAMES {
        names.push("…");
    }
    format!("the certificate is for other names: {}", names.join(", ")).into()
}

/// webpki writes names as `DnsName("a.example")` and `IpAddress(127.0.0.1)`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

fn day(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok();
    let time = time.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map_or_else(
        || "a day beyond the calendar".to_owned(),
        |time| format!("{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day()),
    )
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
