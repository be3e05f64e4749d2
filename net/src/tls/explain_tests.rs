//! Words for errors that no handshake between two rustls makes.

use super::*;
use rustls::OtherError;
use std::sync::Arc;

fn both(error: Error) -> (String, String) {
    let error = io::Error::new(io::ErrorKind::InvalidData, error);
    (explain_connect(&error).into_owned(), explain_accept(&error).into_owned())
}

fn alert(alert: AlertDescription) -> (String, String) {
    both(Error::AlertReceived(alert))
}

#[test]
fn every_refusal_by_the_other_side_says_who_refuses() {
    use AlertDescription as Alert;
    let every = [
        Alert::HandshakeFailure,
        Alert::BadCertificate,
        Alert::CertificateUnknown,
        Alert::CertificateExpired,
        Alert::UnknownCA,
        Alert::ProtocolVersion,
        Alert::InternalError,
        Alert::Unknown(200),
    ];
    for (connect, accept) in every.map(alert) {
        assert!(connect.contains("the server"), "{connect}");
        assert!(accept.contains("the client"), "{accept}");
    }
    assert!(alert(Alert::HandshakeFailure).0.contains("tls.cert"));
    assert!(alert(Alert::UnrecognisedName).0.contains("tls.sni"));
    assert_eq!(alert(Alert::NoApplicationProtocol).0, both(Error::NoApplicationProtocol).1);
}

#[test]
fn old_peers_are_told_apart_from_other_protocols() {
    let old = both(Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13));
    assert_eq!(old.0, TOO_OLD);
    let other = both(Error::InvalidMessage(InvalidMessage::InvalidContentType));
    assert_eq!(other.1, "the peer does not speak TLS");
}

#[test]
fn certificates_with_too_many_or_no_names_are_bounded() {
    let names: Vec<String> = (0..100).map(|at| format!("DnsName(\"{at}.example\")")).collect();
    let text = other_names(&names);
    assert!(text.starts_with("the certificate is for other names: 0.example, 1.example"));
    assert!(text.ends_with("7.example, …"), "{text}");
    assert!(other_names(&[]).contains("for no name"));
    assert_eq!(bare("as it is"), "as it is");
}

#[test]
fn what_has_no_words_of_its_own_keeps_rustls_words() {
    let other = OtherError(Arc::new(io::Error::other("of another kind")));
    let (connect, accept) = both(Error::InvalidCertificate(CertificateError::Other(other)));
    assert_eq!(connect, "the certificate cannot be verified: of another kind");
    assert_eq!(connect, accept);
    assert_eq!(both(Error::DecryptError).0, "cannot decrypt peer's message");
    let eof = |text: &str| io::Error::new(io::ErrorKind::UnexpectedEof, text.to_owned());
    assert!(explain_accept(&eof("tls handshake eof")).contains("trust"));
    assert_eq!(explain_connect(&eof("no close_notify")), "the server cut the connection off");
}

#[test]
fn days_are_bounded() {
    assert_eq!(day(0), "1970-01-01");
    assert_eq!(day(u64::MAX), "a day beyond the calendar");
}
