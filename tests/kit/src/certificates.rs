//! Certificates made on the spot by the openssl CLI: an authority, and what it signs.

use crate::process::Run;
use crate::scratch::Scratch;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// An authority of one test's own; its files are gone with the handle.
#[derive(Debug)]
pub struct Certificates {
    scratch: Scratch,
    made: AtomicU64,
}

/// A certificate and its private key, both PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes a new authority, which nobody trusts yet.
    #[track_caller]
    #[must_use]
    pub fn new() -> Self {
        let scratch = Scratch::new();
        let config = scratch.write("openssl.cnf", CONFIG);
        // Authorities of one name would be taken for one whose key was replaced.
        let name = scratch.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        openssl(&config)
            .args(["req", "-x509", "-days", "2", "-subj", &format!("/CN={name}"), "-out"])
            .arg(scratch.join("ca.crt"))
            .args(["-extensions", "authority"])
            .args(KEY)
            .arg(scratch.join("ca.key"))
            .output()
            .success();
        Self { scratch, made: AtomicU64::new(0) }
    }

    /// The authority's own certificate, to be trusted.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.scratch.join("ca.crt")
    }

    /// A certificate for these names or IP addresses, good for two days; the first is its subject.
    /// It serves a client as well as a server.
    #[track_caller]
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Certificate {
        self.sign(names, 2)
    }

    /// As [`Certificates::issue`], but its time was over yesterday.
    #[track_caller]
    #[must_use]
    pub fn expired(&self, names: &[&str]) -> Certificate {
        self.sign(names, -1)
    }

    #[track_caller]
    fn sign(&self, names: &[&str], days: i32) -> Certificate {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let file = |ending: &str| self.scratch.join(&format!("{number}.{ending}"));
        let (cert, key, request) = (file("crt"), file("key"), file("csr"));
        let alternatives: Vec<String> = names.iter().map(|name| alternative(name)).collect();
        let config = self.scratch.join("openssl.cnf");
        openssl(&config)
            .args(["req", "-new", "-subj", &format!("/CN={}", names[0]), "-addext"])
            .arg(format!("subjectAltName={}", alternatives.join(",")))
            .arg("-out")
            .arg(&request)
            .args(KEY)
            .arg(&key)
            .output()
            .success();
        openssl(&config)
            .args(["x509", "-req", "-copy_extensions", "copy", "-days", &days.to_string(), "-in"])
            .arg(&request)
            .arg("-CA")
            .arg(self.ca())
            .arg("-CAkey")
            .arg(self.scratch.join("ca.key"))
            .arg("-out")
            .arg(&cert)
            .output()
            .success();
        Certificate { cert, key }
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

impl Certificate {
    /// `cert: …, key: …`, for a map in braces of the configuration.
    #[must_use]
    pub fn yaml(&self) -> String {
        format!("cert: '{}', key: '{}'", self.cert.display(), self.key.display())
    }

    /// Puts another certificate and key into these two files, each in one step.
    #[track_caller]
    pub fn replace_by(&self, other: &Self) {
        for (old, new) in [(&self.key, &other.key), (&self.cert, &other.cert)] {
            let beside = old.with_extension("new");
            std::fs::copy(new, &beside)
                .and_then(|_| std::fs::rename(&beside, old))
                .unwrap_or_else(|error| panic!("cannot replace {}: {error}", old.display()));
        }
    }
}

/// The system's own settings are left alone: distributions differ in them.
const CONFIG: &str = "[req]\ndistinguished_name = name\n[name]\n[authority]\n\
    basicConstraints = critical, CA:true\nkeyUsage = critical, keyCertSign, cRLSign\n\
    subjectKeyIdentifier = hash\n";

const KEY: [&str; 6] =
    ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout"];

fn openssl(config: &Path) -> Run {
    Run::tool("openssl").env("OPENSSL_CONF", config)
}

fn alternative(name: &str) -> String {
    let kind = if name.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
    format!("{kind}:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify(authority: &Certificates, certificate: &Certificate, name: &[&str]) -> String {
        let output = Run::tool("openssl")
            .args(["verify", "-CAfile"])
            .arg(authority.ca())
            .args(name)
            .arg(&certificate.cert)
            .output();
        output.stdout + &output.stderr
    }

    #[test]
    fn what_it_signs_holds_for_its_names_and_no_others() {
        let authority = Certificates::default();
        let certificate = authority.issue(&["a.test", "127.0.0.1"]);
        for good in [["-verify_hostname", "a.test"], ["-verify_ip", "127.0.0.1"]] {
            let told = verify(&authority, &certificate, &good);
            assert!(told.ends_with(": OK\n"), "{told}");
        }
        let told = verify(&authority, &certificate, &["-verify_hostname", "b.test"]);
        assert!(told.contains("hostname mismatch"), "{told}");
        let told = verify(&Certificates::new(), &certificate, &[]);
        assert!(told.contains("unable to get local issuer"), "{told}");
        let told = verify(&authority, &authority.expired(&["a.test"]), &[]);
        assert!(told.contains("has expired"), "{told}");
    }

    #[test]
    fn its_files_can_be_replaced() {
        let authority = Certificates::new();
        let (old, new) = (authority.issue(&["a.test"]), authority.issue(&["b.test"]));
        old.replace_by(&new);
        let told = verify(&authority, &old, &["-verify_hostname", "b.test"]);
        assert!(told.ends_with(": OK\n"), "{told}");
        assert!(old.yaml().starts_with("cert: '/") && old.yaml().ends_with(".key'"));
    }
}
