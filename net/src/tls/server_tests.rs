//! Servers: certificates by name, clients with and without theirs, and files that do not serve.

use super::*;
use crate::tls::testing::{Ca, Issued, Scratch, agree, client, meet, self_signed, server};
use crate::tls::{ClientFiles, ClientTls, explain_accept, explain_connect, identity};

fn load(
    certificates: &[(PathBuf, PathBuf)],
    client_ca: Option<PathBuf>,
) -> Result<ServerTls, TlsError> {
    ServerTls::load(&ServerFiles { certificates: certificates.to_vec(), client_ca })
}

fn refused(certificate: &(PathBuf, PathBuf)) -> (PathBuf, String) {
    let error = load(std::slice::from_ref(certificate), None).unwrap_err();
    (error.path().unwrap().to_owned(), error.to_string())
}

#[tokio::test]
async fn the_certificate_is_the_one_for_the_name() {
    let (scratch, ca) = (Scratch::new(), Ca::new("test"));
    let all: Vec<Issued> =
        [&["first.example", "127.0.0.1"][..], &["*.wild.example"], &["One.Wild.example"]]
            .into_iter()
            .map(|hosts| ca.server(hosts))
            .collect();
    let server = server(&scratch, &all);
    // Verifies nothing, so that the choice for names that no certificate has is seen too.
    let files = ClientFiles { insecure: true, ..ClientFiles::default() };
    let client = ClientTls::load(&files).unwrap();
    for (name, wanted) in [
        ("first.example", 0),
        ("two.wild.example", 1),
        ("one.wild.example", 2),
        ("ONE.wild.example", 2),
        ("wild.example", 0),
        ("a.b.wild.example", 0),
        ("other.example", 0),
        ("127.0.0.1", 0),
    ] {
        let (_, facts) = agree(&server.config, &client.http, name).await;
        assert_eq!(facts.peer.as_ref(), Some(&all[wanted].der), "{name}");
    }
}

#[test]
fn of_two_certificates_for_a_name_the_first_serves_it() {
    let (scratch, ca) = (Scratch::new(), Ca::new("test"));
    let files = ["a.example", "b.example", "b.example"].map(|host| ca.server(&[host]));
    let files: Vec<_> = files
        .iter()
        .enumerate()
        .map(|(at, issued)| issued.write(&scratch, &at.to_string()))
        .collect();
    let by_sni = BySni::load(&files).unwrap();
    let second = pem::certified_key(&files[1].0, &files[1].1).unwrap();
    assert_eq!(by_sni.choose(Some("b.example")).cert, second.cert);
    assert_eq!(by_sni.choose(Some("b.example.")).cert, second.cert);
    assert_ne!(by_sni.choose(None).cert, second.cert);
}

#[tokio::test]
async fn http_2_is_preferred_and_agreed_only_with_those_who_offer_it() {
    let (scratch, ca) = (Scratch::new(), Ca::new("test"));
    let server = server(&scratch, &[ca.server(&["a.example"])]);
    assert!(!server.requires_client);
    let client = client(&scratch, &ca.pem());
    for (client, agreed) in
        [(&client.http, Some("h2")), (&client.http1, Some("http/1.1")), (&client.raw, None)]
    {
        let (here, there) = agree(&server.config, client, "a.example").await;
        assert_eq!((here.alpn(), there.alpn()), (agreed, agreed));
    }
}

#[tokio::test]
async fn a_second_connection_resumes_the_first() {
    let (scratch, ca) = (Scratch::new(), Ca::new("test"));
    let server = server(&scratch, &[ca.server(&["a.example", "b.example"])]);
    let client = client(&scratch, &ca.pem());
    let (first, _) = agree(&server.config, &client.http, "a.example").await;
    let (second, _) = agree(&server.config, &client.http, "a.example").await;
    let (other, _) = agree(&server.config, &client.http, "b.example").await;
    assert_eq!([first.resumed, second.resumed, other.resumed], [false, true, false]);
    // Configurations share no sessions: they agree on different protocols.
    let (one, _) = agree(&server.config, &client.http1, "a.example").await;
    assert!(!one.resumed);
}

#[tokio::test]
async fn clients_are_known_by_their_certificates() {
    let (scratch, ca, other) = (Scratch::new(), Ca::new("test"), Ca::new("other"));
    let files = ca.server(&["a.example"]).write(&scratch, "server");
    let server = load(&[files], Some(scratch.write("ca.pem", ca.pem()))).unwrap();
    assert!(server.requires_client);
    let client = |certificate| {
        let ca = Some(scratch.path().join("ca.pem"));
        ClientTls::load(&ClientFiles { ca, certificate, ..ClientFiles::default() }).unwrap().http
    };
    let known = client(Some(ca.client("spiffe://here/shop").write(&scratch, "known")));
    for resumed in [false, true] {
        let (facts, _) = agree(&server.config, &known, "a.example").await;
        assert_eq!(facts.resumed, resumed);
        assert_eq!(identity(&facts.peer.unwrap()).as_deref(), Some("spiffe://here/shop"));
    }

    let (accepted, connected) = meet(&server.config, &client(None), "a.example").await;
    assert_eq!(
        explain_accept(&accepted.unwrap_err()),
        "the client gives no certificate, and tls.client_ca asks for one"
    );
    assert_eq!(
        explain_connect(&connected.unwrap_err()),
        "the server asks for a client certificate; give one in tls.cert and tls.key"
    );

    let stranger = client(Some(other.client("spiffe://there/shop").write(&scratch, "stranger")));
    let (accepted, connected) = meet(&server.config, &stranger, "a.example").await;
    assert_eq!(
        explain_accept(&accepted.unwrap_err()),
        "unknown issuer; its CA is not in tls.client_ca"
    );
    assert_eq!(
        explain_connect(&connected.unwrap_err()),
        "the server does not know the issuer of our certificate"
    );
}

#[test]
fn wrong_files_are_named_with_what_is_wrong() {
    let scratch = Scratch::new();
    let (chain, key) = self_signed(&["a.example"], |_| ()).write(&scratch, "good");
    let other = self_signed(&["a.example"], |_| ()).write(&scratch, "other").1;
    assert!(load(&[(chain.clone(), key.clone())], None).is_ok());

    let missing = scratch.path().join("missing.pem");
    let (path, text) = refused(&(missing.clone(), key.clone()));
    assert_eq!(
        (path, text),
        (missing.clone(), format!("the file {} does not exist", missing.display()))
    );
    assert_eq!(refused(&(chain.clone(), missing.clone())).0, missing);

    let says = |certificate: &(PathBuf, PathBuf), wrong: &Path, why: &str| {
        assert_eq!(refused(certificate), (wrong.to_owned(), format!("{} {why}", wrong.display())));
    };
    says(&(key.clone(), key.clone()), &key, "holds a private key but no certificate");
    says(&(chain.clone(), chain.clone()), &chain, "holds a certificate but no private key");
    let mismatch = format!("does not belong to the certificate in {}", chain.display());
    says(&(chain.clone(), other.clone()), &other, &mismatch);

    let folder = scratch.path().to_owned();
    assert!(
        refused(&(folder.clone(), key)).1.starts_with(&format!("cannot read {}", folder.display()))
    );
}

#[test]
fn wrong_texts_are_told_apart() {
    let scratch = Scratch::new();
    let issued = self_signed(&["a.example"], |_| ());
    let (chain, key) = issued.write(&scratch, "good");
    let certificates = |text: &[u8]| {
        let path = scratch.write("wrong.pem", text);
        let error = pem::certified_key(&path, &key).unwrap_err();
        assert_eq!(error.path(), Some(path.as_path()));
        error.to_string().trim_start_matches(&format!("{} ", path.display())).to_owned()
    };
    assert!(certificates(&issued.der).starts_with("is not PEM text"));
    assert!(certificates(b"").starts_with("is not PEM text"));
    assert_eq!(certificates(b"-----BEGIN X-----\n-----END X-----\n"), "holds no certificate");
    assert!(certificates(&issued.pem().as_bytes()[..200]).starts_with("is cut off"));
    assert!(certificates(b"-----BEGIN CERTIFICATE---\n").starts_with("has a -----BEGIN line"));
    assert!(
        certificates(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
            .starts_with("holds damaged PEM")
    );
    assert!(
        certificates(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .starts_with("holds a certificate that cannot be used")
    );

    let keys = |text: &str| {
        let path = scratch.write("wrong.key", text);
        let error = pem::certified_key(&chain, &path).unwrap_err();
        assert_eq!(error.path(), Some(path.as_path()));
        error.to_string().trim_start_matches(&format!("{} ", path.display())).to_owned()
    };
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert!(keys(encrypted).starts_with("holds an encrypted key"));
    let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    assert!(keys(older).starts_with("holds an encrypted key"));
    assert_eq!(keys("-----BEGIN X-----\n-----END X-----\n"), "holds no private key");
    assert!(keys("nothing").starts_with("is not PEM text"));
    let damaged = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(keys(damaged).starts_with("holds a key that cannot be used"));
}

#[test]
fn a_chain_that_begins_with_its_issuer_is_told_so() {
    let (scratch, ca) = (Scratch::new(), Ca::new("test"));
    let issued = ca.server(&["a.example"]);
    let key = scratch.write("a.key", issued.key_pem());
    let right = scratch.write("right.crt", issued.pem() + &ca.pem());
    assert_eq!(pem::certified_key(&right, &key).unwrap().cert.len(), 2);
    let wrong = scratch.write("wrong.crt", ca.pem() + &issued.pem());
    let error = pem::certified_key(&wrong, &key).unwrap_err();
    assert_eq!(error.path(), Some(wrong.as_path()));
    assert!(
        error.to_string().ends_with("must begin with the certificate of the key, then its issuers")
    );
}

#[test]
fn a_client_ca_is_checked_and_there_must_be_a_certificate() {
    let scratch = Scratch::new();
    let certificate = self_signed(&["a.example"], |_| ()).write(&scratch, "good");
    let wrong = scratch.write("ca.pem", "");
    let error = load(&[certificate], Some(wrong.clone())).unwrap_err();
    assert_eq!(error.path(), Some(wrong.as_path()));
    assert_eq!(load(&[], None).unwrap_err().to_string(), "a TLS listener needs a certificate");
}
