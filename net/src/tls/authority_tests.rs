//! The authority: its files, its leaves, and what other programs make of them.

use super::*;
use crate::tls::leaves::MAX_LEAVES;
use crate::tls::testing::{Ca, Scratch, agree, client, self_signed};
use crate::tls::{default_dir, explain_connect, identity};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn open(scratch: &Scratch) -> Result<Authority, TlsError> {
    Authority::open_or_create(&scratch.path().join("ca"))
}

fn file(scratch: &Scratch, name: &str) -> PathBuf {
    scratch.path().join("ca").join(name)
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Why the folder's CA does not do, and which file is to blame.
fn refused(scratch: &Scratch) -> (PathBuf, String) {
    let error = open(scratch).unwrap_err();
    (error.path().unwrap().to_owned(), error.to_string())
}

/// A leaf of this moment, outside the memory.
fn leaf(authority: &Authority, host: &str) -> CertificateDer<'static> {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let now = install::seconds(SystemTime::now());
    authority.sign(&name, host, now - BEFORE, now + AFTER).unwrap()
}

#[test]
fn a_new_ca_is_written_for_its_owner() {
    let scratch = Scratch::new();
    let authority = open(&scratch).unwrap();
    let certificate = file(&scratch, "ca.pem");
    assert_eq!(mode(&scratch.path().join("ca")), 0o700);
    assert_eq!(mode(&file(&scratch, "ca.key")), 0o600);
    assert_eq!(mode(&certificate), 0o644);
    assert_eq!(std::fs::read_to_string(&certificate).unwrap(), authority.certificate_pem());
    assert_eq!(std::fs::read_dir(scratch.path().join("ca")).unwrap().count(), 2);

    let der = &pem::certificates(&certificate).unwrap()[0];
    assert!(identity(der).unwrap().starts_with("ServiceStitch CA on "));
    let parsed = identity::parse(der).unwrap();
    assert!(parsed.is_ca());
    let constraints = parsed.basic_constraints().unwrap().unwrap();
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let (from, until) = identity::validity(der).unwrap();
    assert!((3_652..=3_654).contains(&((until - from) / AFTER)));
    assert!(!format!("{authority:?}").contains("key"));
}

#[test]
fn a_ca_is_found_again_and_a_key_that_others_could_read_is_closed() {
    let scratch = Scratch::new();
    let first = open(&scratch).unwrap();
    let key = file(&scratch, "ca.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let second = open(&scratch).unwrap();
    assert_eq!(first.fingerprint_sha256(), second.fingerprint_sha256());
    assert_eq!(mode(&key), 0o600);
}

#[test]
fn many_who_open_at_once_get_one_ca() {
    let scratch = Scratch::new();
    let start = std::sync::Barrier::new(8);
    let found = std::thread::scope(|threads| {
        let one = || {
            start.wait();
            open(&scratch).unwrap().fingerprint_sha256()
        };
        let threads: Vec<_> = (0..8).map(|_| threads.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(found.iter().all(|other| *other == found[0]), "{found:?}");
}

#[test]
fn a_death_between_the_two_files_leaves_nothing_to_mend() {
    let scratch = Scratch::new();
    let first = open(&scratch).unwrap();
    std::fs::remove_file(file(&scratch, "ca.pem")).unwrap();
    // And one in the middle of a write.
    std::fs::write(file(&scratch, "ca.pem.7-0.new"), "half").unwrap();
    let second = open(&scratch).unwrap();
    assert_ne!(first.fingerprint_sha256(), second.fingerprint_sha256());
    assert_eq!(second.fingerprint_sha256(), open(&scratch).unwrap().fingerprint_sha256());
}

#[test]
fn folders_that_hold_something_else_are_refused_in_words() {
    let scratch = Scratch::new();
    open(&scratch).unwrap();
    let (certificate, key) = (file(&scratch, "ca.pem"), file(&scratch, "ca.key"));
    let (pem, key_pem) = (std::fs::read(&certificate).unwrap(), std::fs::read(&key).unwrap());

    let other = self_signed(&["a.example"], |_| ());
    std::fs::write(&key, other.key_pem()).unwrap();
    let (path, text) = refused(&scratch);
    assert_eq!(path, key);
    assert!(text.contains("does not belong to the certificate"), "{text}");

    std::fs::write(&certificate, other.pem()).unwrap();
    let (path, text) = refused(&scratch);
    assert_eq!(path, certificate);
    assert!(text.ends_with("holds a certificate that is not a CA's"), "{text}");

    let expired = self_signed(&[], |params| {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_after = install::date(1_700_000_000).unwrap();
    });
    std::fs::write(&certificate, expired.pem()).unwrap();
    std::fs::write(&key, expired.key_pem()).unwrap();
    assert!(refused(&scratch).1.contains("has expired"));

    std::fs::write(&certificate, "").unwrap();
    assert_eq!(refused(&scratch).0, certificate);

    std::fs::write(&certificate, pem).unwrap();
    std::fs::remove_file(&key).unwrap();
    let (path, text) = refused(&scratch);
    assert_eq!(path, certificate);
    assert!(text.contains("has lost its key"), "{text}");

    std::fs::write(&key, key_pem).unwrap();
    open(&scratch).unwrap();
    assert!(Authority::open_or_create(&certificate).is_err());
}

#[tokio::test]
async fn a_client_that_trusts_the_ca_trusts_its_leaves() {
    let scratch = Scratch::new();
    let authority = open(&scratch).unwrap();
    let client = client(&scratch, &authority.certificate_pem());
    for (host, name) in [
        ("API.example.com", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("my_service", "my_service"),
    ] {
        let leaf = authority.leaf(host).unwrap();
        let (_, facts) = agree(&leaf, &client.http, name).await;
        assert_eq!(facts.alpn(), Some("h2"), "{host}");
    }
    let long = format!("{}.example", "a".repeat(63));
    agree(&authority.leaf(&long).unwrap(), &client.http1, &long).await;

    let leaf = authority.leaf("api.example.com").unwrap();
    let (resumed, _) = agree(&leaf, &client.http, "api.example.com").await;
    assert!(resumed.resumed);
    let (_, wrong) = crate::tls::testing::meet(&leaf, &client.http, "b.example").await;
    assert_eq!(
        explain_connect(&wrong.unwrap_err()),
        "the certificate is for other names: api.example.com"
    );
}

#[tokio::test]
async fn an_authority_of_ones_own_may_stand_below_a_root() {
    let (scratch, root) = (Scratch::new(), Ca::new("root"));
    let below = root.issue(&[], |params| {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    });
    std::fs::create_dir(scratch.path().join("ca")).unwrap();
    std::fs::write(file(&scratch, "ca.pem"), below.pem()).unwrap();
    std::fs::write(file(&scratch, "ca.key"), below.key_pem()).unwrap();
    let authority = open(&scratch).unwrap();
    let client = client(&scratch, &root.pem());
    agree(&authority.leaf("a.example").unwrap(), &client.http, "a.example").await;
}

#[tokio::test]
async fn leaves_are_kept_until_they_near_their_end() {
    let scratch = Scratch::new();
    let authority = open(&scratch).unwrap();
    let client = client(&scratch, &authority.certificate_pem());
    let now = SystemTime::now();
    let at = |time| authority.leaf_at("a.example", time).unwrap();
    let first = at(now);
    for same in [now + HOUR, now + 22 * HOUR, now - HOUR / 2] {
        assert!(Arc::ptr_eq(&first, &at(same)));
    }
    assert!(Arc::ptr_eq(&first, &authority.leaf_at("A.example.", now).unwrap()));
    // Clients are told the same end: a leaf is of no use to whoever gets hold of it later.
    let (_, facts) = agree(&first, &client.http, "a.example").await;
    let (from, until) = identity::validity(&facts.peer.unwrap()).unwrap();
    let (now_seconds, hour) = (install::seconds(now), 60 * 60);
    assert_eq!((from - now_seconds, until - now_seconds), (-hour, 24 * hour));
    let second = at(now + 23 * HOUR);
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&second, &at(now + 24 * HOUR)));
    // The clock was set back by days.
    assert!(!Arc::ptr_eq(&second, &at(now - 100 * HOUR)));
    assert_eq!(authority.with_leaves(|leaves| leaves.len()), 1);
}

#[test]
fn leaves_do_not_outlive_their_ca() {
    let scratch = Scratch::new();
    let authority = open(&scratch).unwrap();
    let end = u64::try_from(authority.not_after).unwrap();
    let near = SystemTime::UNIX_EPOCH + Duration::from_secs(end) - 2 * HOUR;
    authority.leaf_at("a.example", near).unwrap();
    assert!(
        authority
            .with_leaves(|leaves| leaves.fresh("a.example", authority.not_after - 3700))
            .is_some()
    );
    assert!(
        authority
            .with_leaves(|leaves| leaves.fresh("a.example", authority.not_after - 3600))
            .is_none()
    );
}

#[test]
fn the_oldest_leaf_makes_room() {
    let scratch = Scratch::new();
    let authority = open(&scratch).unwrap();
    let now = SystemTime::now();
    let leaf = |at: usize| authority.leaf_at(&format!("host-{at}.example"), now).unwrap();
    let (first, second) = (leaf(0), leaf(1));
    for at in 2..=MAX_LEAVES {
        leaf(at);
    }
    assert_eq!(authority.with_leaves(|leaves| leaves.len()), MAX_LEAVES);
    assert!(Arc::ptr_eq(&second, &leaf(1)));
    assert!(!Arc::ptr_eq(&first, &leaf(0)));
    assert!(!Arc::ptr_eq(&second, &leaf(1)));
}

#[test]
fn hosts_that_nothing_can_be_for_are_refused() {
    let scratch = Scratch::new();
    let authority = open(&scratch).unwrap();
    for wrong in ["", ".", "a b", "*.example", "a.example:443", "a\r\nb"] {
        assert!(matches!(authority.leaf(wrong), Err(TlsError::Name(_))), "{wrong}");
    }
}

#[test]
fn the_bundle_holds_the_system_and_the_ca_once() {
    let scratch = Scratch::new();
    let authority = open(&scratch).unwrap();
    let other = self_signed(&["a.example"], |_| ()).der;
    let own = pem::certificates(&file(&scratch, "ca.pem")).unwrap().remove(0);
    let bundle = authority.bundle_pem(&[other.clone(), own.clone()]);
    let bundle = scratch.write("bundle.pem", bundle);
    assert_eq!(pem::certificates(&bundle).unwrap(), [own, other]);
    let system = crate::tls::system_roots().certificates();
    let all = scratch.write("all.pem", authority.bundle_pem(system));
    assert_eq!(pem::certificates(&all).unwrap().len(), system.len() + 1);
}

#[test]
fn the_folder_is_where_the_environment_says() {
    let with = |values: &[(&str, &str)]| {
        default_dir(&|name| {
            let found = values.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    };
    let home = ("HOME", "/h");
    assert_eq!(with(&[home, ("XDG_DATA_HOME", "/d"), ("STITCH_CA_DIR", "c")]), Some("c".into()));
    assert_eq!(
        with(&[home, ("XDG_DATA_HOME", "/d"), ("STITCH_CA_DIR", "")]),
        Some("/d/stitch".into())
    );
    assert_eq!(with(&[home, ("XDG_DATA_HOME", "d")]), Some("/h/.local/share/stitch".into()));
    assert_eq!(with(&[home]), Some("/h/.local/share/stitch".into()));
    assert_eq!(with(&[]), None);
}

#[test]
fn openssl_agrees_with_the_ca_and_its_leaves() {
    let Ok(version) = Command::new("openssl").arg("version").output() else {
        eprintln!("openssl is not installed: not checked");
        return;
    };
    assert!(version.status.success());
    let openssl = |arguments: &[&str], files: &[&Path]| {
        let output = Command::new("openssl").args(arguments).args(files).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let scratch = Scratch::new();
    let authority = open(&scratch).unwrap();
    let ca = file(&scratch, "ca.pem");
    let fingerprint = openssl(&["x509", "-noout", "-fingerprint", "-sha256", "-in"], &[&ca]);
    assert!(fingerprint.contains(&authority.fingerprint_sha256()), "{fingerprint}");
    let text = openssl(&["x509", "-noout", "-text", "-in"], &[&ca]);
    assert!(text.contains("CA:TRUE, pathlen:0"), "{text}");
    assert!(text.contains("Certificate Sign, CRL Sign"), "{text}");
    let check = openssl(&["pkey", "-noout", "-text", "-in"], &[&file(&scratch, "ca.key")]);
    assert!(check.contains("prime256v1"), "{check}");

    let long = format!("{}.example", "a".repeat(63));
    for (host, flag) in [
        ("a.example", "-verify_hostname"),
        (&long, "-verify_hostname"),
        ("127.0.0.1", "-verify_ip"),
    ] {
        let leaf = scratch.write("leaf.pem", pem::encode([&leaf(&authority, host)]));
        let strict = ["verify", "-x509_strict", "-purpose", "sslserver", flag, host, "-CAfile"];
        assert!(openssl(&strict, &[&ca, &leaf]).contains("OK"));
        let text = openssl(&["x509", "-noout", "-text", "-in"], &[&leaf]);
        assert!(text.contains("TLS Web Server Authentication"), "{text}");
        assert!(text.contains("CA:FALSE"), "{text}");
    }
}
