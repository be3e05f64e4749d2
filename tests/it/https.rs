//! HTTPS through the proxy: the CA of an installation, and clients that trust it.

use std::path::Path;
use stitch_kit::{Output, Scratch, Stitch, python};

/// `stitch ca ARGS…` with the CA in this folder.
fn ca(folder: &Path, args: &[&str]) -> Output {
    let args = [&["ca"], args].concat();
    Stitch::run(&args).env("STITCH_CA_DIR", folder.to_str().unwrap()).output()
}

#[test]
fn the_ca_is_made_once_and_shown_in_each_way() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("data/ca");
    let shown = |args: &[&str]| ca(&folder, args).success().stdout;
    assert_eq!(shown(&["path"]), format!("{}\n", folder.display()));
    let pem = shown(&["export"]);
    assert_eq!(pem.matches("-----BEGIN CERTIFICATE-----").count(), 1);
    assert!(!pem.contains("PRIVATE"));
    // The key is nobody else's business.
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        folder.join(name).metadata().unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("ca.key"), mode("ca.pem")), (0o600, 0o644));

    let roots = scratch.path().join("roots.pem");
    let out = roots.to_str().unwrap();
    assert_eq!(shown(&["export", "--bundle", "--out", out]), "");
    let bundle = std::fs::read_to_string(&roots).unwrap();
    assert!(bundle.starts_with(&pem) && bundle.len() > 10 * pem.len(), "{} bytes", bundle.len());

    // What another program makes of both.
    let told = python(
        r#"
import hashlib, os, ssl
der = ssl.PEM_cert_to_DER_cert(os.environ["PEM"])
digest = hashlib.sha256(der).hexdigest().upper()
print(":".join(digest[i:i + 2] for i in range(0, len(digest), 2)))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(os.environ["ROOTS"])
assert der in context.get_ca_certs(binary_form=True)
"#,
    );
    let told = told.env("PEM", &pem).env("ROOTS", out).output().success().stdout;
    assert_eq!(told, shown(&["fingerprint"]));
}

#[test]
fn the_ca_is_at_home_where_nothing_else_is_said() {
    let scratch = Scratch::new();
    let home = scratch.path().to_str().unwrap();
    let path = |variables: &[(&str, &str)]| {
        let clean = ["STITCH_CA_DIR", "XDG_DATA_HOME", "HOME"];
        let run = clean.iter().fold(Stitch::run(&["ca", "path"]), |run, name| run.env(name, ""));
        variables.iter().fold(run, |run, (name, value)| run.env(name, *value)).output()
    };
    assert_eq!(path(&[("HOME", home)]).success().stdout, format!("{home}/.local/share/stitch\n"));
    let data = format!("{home}/data");
    let told = path(&[("HOME", home), ("XDG_DATA_HOME", &data)]);
    assert_eq!(told.success().stdout, format!("{data}/stitch\n"));
    let homeless = path(&[]);
    assert_eq!(homeless.code(), 4);
    assert!(homeless.stderr.contains("home directory"), "{}", homeless.stderr);
}

#[test]
fn a_ca_that_cannot_be_used_is_told_with_its_file() {
    let scratch = Scratch::new();
    scratch.write("ca.pem", "nonsense");
    scratch.write("ca.key", "nonsense");
    let output = ca(scratch.path(), &["export"]);
    assert_eq!((output.code(), output.stdout.as_str()), (4, ""));
    assert!(output.stderr.contains("ca.key is not PEM text"), "{}", output.stderr);
}
