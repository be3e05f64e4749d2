//! Clients: whom they trust, and for which names.

use super::*;
use crate::tls::explain_connect;
use crate::tls::testing::{Ca, Issued, Scratch, agree, client, meet, self_signed, server};
use rcgen::{BasicConstraints, IsCa};
use std::io;
use time::{Duration, OffsetDateTime};

/// Why a client that trusts this does not want that server.
async fn refusal(scratch: &Scratch, ca: &str, issued: Issued, name: &str) -> String {
    let server = server(scratch, &[issued]);
    let (_, connected) = meet(&server.config, &client(scratch, ca).http, name).await;
    explain_connect(&connected.unwrap_err()).into_owned()
}

fn insecure() -> ClientTls {
    ClientTls::load(&ClientFiles { insecure: true, ..ClientFiles::default() }).unwrap()
}

#[tokio::test]
async fn a_server_below_the_named_ca_is_trusted() {
    let (scratch, ca) = (Scratch::new(), Ca::new("test"));
    let server = server(&scratch, &[ca.server(&["a.example", "127.0.0.1"])]);
    // A file may hold several.
    let client = client(&scratch, &(Ca::new("other").pem() + &ca.pem()));
    for name in ["a.example", "127.0.0.1"] {
        agree(&server.config, &client.http, name).await;
    }
}

#[tokio::test]
async fn strangers_are_refused_and_told_in_words() {
    let (scratch, ca, other) = (Scratch::new(), Ca::new("test"), Ca::new("other"));
    let stranger = other.server(&["a.example"]);
    assert_eq!(
        refusal(&scratch, &ca.pem(), stranger, "a.example").await,
        "unknown issuer; give its CA in tls.ca"
    );
    let older = Ca::new("test");
    assert_eq!(
        refusal(&scratch, &older.pem(), ca.server(&["a.example"]), "a.example").await,
        "a signature is wrong; is tls.ca an older CA of the same name?"
    );
    let names = ["a.example", "*.b.example", "127.0.0.1"];
    assert_eq!(
        refusal(&scratch, &ca.pem(), ca.server(&names), "c.example").await,
        "the certificate is for other names: a.example, *.b.example, 127.0.0.1"
    );
    let expired = ca.issue(&["a.example"], |params| {
        params.not_after = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    });
    assert_eq!(
        refusal(&scratch, &ca.pem(), expired, "a.example").await,
        "the certificate has expired on 2023-11-14"
    );
    let early = ca.issue(&["a.example"], |params| {
        params.not_before = OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap();
    });
    assert_eq!(
        refusal(&scratch, &ca.pem(), early, "a.example").await,
        "the certificate is not valid before 2096-10-02"
    );
    let for_clients = ca.client("spiffe://here/shop");
    assert_eq!(
        refusal(&scratch, &ca.pem(), for_clients, "a.example").await,
        "the certificate is not for servers (extended key usage)"
    );
}

#[tokio::test]
async fn the_systems_roots_do_not_know_a_test() {
    let (scratch, ca) = (Scratch::new(), Ca::new("test"));
    let server = server(&scratch, &[ca.server(&["a.example"])]);
    let client = ClientTls::load(&ClientFiles::default()).unwrap();
    let (_, connected) = meet(&server.config, &client.http, "a.example").await;
    assert_eq!(explain_connect(&connected.unwrap_err()), "unknown issuer; give its CA in tls.ca");
}

/// As `openssl req -x509` makes them: their own CA.
fn own_ca(not_after: OffsetDateTime) -> Issued {
    self_signed(&["a.example"], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = not_after;
    })
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_when_it_is_named() {
    let (scratch, ca) = (Scratch::new(), Ca::new("test"));
    let later = OffsetDateTime::now_utc() + Duration::days(1);
    let (issued, own) = (own_ca(later), own_ca(later).pem());
    let pem = issued.pem();
    for refused in [ca.pem(), own] {
        assert_eq!(
            refusal(&scratch, &refused, own_ca(later), "a.example").await,
            "the certificate is self-signed; give it in tls.ca to trust it"
        );
    }
    let server = server(&scratch, &[issued]);
    let client = client(&scratch, &(ca.pem() + &pem));
    agree(&server.config, &client.http, "a.example").await;
    // Still only for its names, …
    let (_, connected) = meet(&server.config, &client.http, "b.example").await;
    assert_eq!(
        explain_connect(&connected.unwrap_err()),
        "the certificate is for other names: a.example"
    );
    // … and for its time.
    let expired = own_ca(OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap());
    let pem = expired.pem();
    assert_eq!(
        refusal(&scratch, &pem, expired, "a.example").await,
        "the certificate has expired on 2023-11-14"
    );
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_no_ca_is_trusted_too() {
    let (scratch, issued) = (Scratch::new(), self_signed(&["a.example"], |_| ()));
    let client = client(&scratch, &issued.pem());
    let server = server(&scratch, &[issued]);
    agree(&server.config, &client.raw, "a.example").await;
}

#[tokio::test]
async fn insecure_clients_take_any_certificate() {
    let (scratch, client) = (Scratch::new(), insecure());
    assert!(client.insecure);
    let expired = own_ca(OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap());
    let server = server(&scratch, &[expired]);
    for name in ["a.example", "b.example", "127.0.0.1"] {
        agree(&server.config, &client.http, name).await;
    }
}

#[tokio::test]
async fn even_insecure_clients_want_the_key_of_the_certificate() {
    let (scratch, client) = (Scratch::new(), insecure());
    let (victim, thief) =
        (self_signed(&["a.example"], |_| ()), self_signed(&["a.example"], |_| ()));
    let (victim, thief) = (victim.write(&scratch, "victim"), thief.write(&scratch, "thief"));
    let stolen = pem::certificates(&victim.0).unwrap();
    let key = pem::certified_key(&thief.0, &thief.1).unwrap().key.clone();
    let certified = rustls::sign::CertifiedKey::new(stolen, key);
    let config = provider::server()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    let (_, connected) = meet(&Arc::new(config), &client.http, "a.example").await;
    assert_eq!(
        explain_connect(&connected.unwrap_err()),
        "a signature is wrong; is tls.ca an older CA of the same name?"
    );
}

#[tokio::test]
async fn a_client_resumes_over_tls_1_2_too() {
    let (scratch, ca) = (Scratch::new(), Ca::new("test"));
    let issued = ca.server(&["a.example"]).write(&scratch, "old");
    let certified = pem::certified_key(&issued.0, &issued.1).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(crate::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    sessions::Sessions::new().unwrap().serve(&mut config);
    let (server, client) = (Arc::new(config), client(&scratch, &ca.pem()));
    for resumed in [false, true] {
        let (_, facts) = agree(&server, &client.http1, "a.example").await;
        assert_eq!(facts.resumed, resumed);
    }
}

#[test]
fn names_come_from_the_host_or_from_the_choice() {
    let client = insecure();
    let name = |host: &str| client.server_name(host).map(|name| name.to_str().into_owned());
    assert_eq!(name("a.example").unwrap(), "a.example");
    assert_eq!(name("a.example.").unwrap(), "a.example");
    assert_eq!(name("127.0.0.1").unwrap(), "127.0.0.1");
    assert_eq!(name("[::1]").unwrap(), "::1");
    assert_eq!(name("::1").unwrap(), "::1");
    assert_eq!(name("my_service").unwrap(), "my_service");
    for wrong in ["", "a b", "a.example:443", "[a.example", "bücher.example", &"a".repeat(300)] {
        let error = name(wrong).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{wrong}` is neither a host name nor an IP address")
        );
        assert_eq!(error.path(), None);
    }
    let files = |sni: &str| ClientFiles {
        insecure: true,
        sni: Some(sni.to_owned()),
        ..ClientFiles::default()
    };
    let chosen = ClientTls::load(&files("b.example")).unwrap();
    assert_eq!(chosen.server_name("127.0.0.1").unwrap().to_str(), "b.example");
    assert!(matches!(ClientTls::load(&files("b c")), Err(TlsError::Name(name)) if name == "b c"));
}

#[test]
fn wrong_files_are_named() {
    let scratch = Scratch::new();
    let (good, wrong) =
        (self_signed(&["a"], |_| ()).write(&scratch, "a"), scratch.write("wrong", ""));
    let cases = [
        ClientFiles { ca: Some(wrong.clone()), ..ClientFiles::default() },
        ClientFiles { ca: Some(wrong.clone()), insecure: true, ..ClientFiles::default() },
        ClientFiles {
            certificate: Some((wrong.clone(), good.1.clone())),
            ..ClientFiles::default()
        },
        ClientFiles { certificate: Some((good.0, wrong.clone())), ..ClientFiles::default() },
    ];
    for files in cases {
        let error = ClientTls::load(&files).unwrap_err();
        assert_eq!(error.path(), Some(wrong.as_path()), "{files:?}");
    }
}

#[tokio::test]
async fn peers_that_do_not_speak_tls_are_told_apart() {
    use tokio::io::AsyncWriteExt as _;
    for (answer, wanted) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "the peer does not speak TLS"),
        (b"220 mail.example ESMTP\r\n", "the peer does not speak TLS"),
        (b"", "the server closed the connection during the handshake; does it speak TLS?"),
    ] {
        let (near, mut far) = tokio::io::duplex(4096);
        far.write_all(answer).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(insecure().http);
        let name = ServerName::try_from("a.example").unwrap();
        let connect = connector.connect(name, near);
        let close = async {
            use tokio::io::AsyncReadExt as _;
            // Takes the hello first, so that the close is what the client sees next.
            let _ = far.read(&mut [0; 4096]).await;
            drop(far);
        };
        let (connected, ()) = tokio::join!(connect, close);
        assert_eq!(explain_connect(&connected.unwrap_err()), wanted);
    }
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    assert_eq!(explain_connect(&reset), "connection reset");
}
