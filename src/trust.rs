//! The variables that make programs trust the CA that their HTTPS is looked into with.
//!
//! Most programs replace their roots by one file, so that it has to hold the system's as well; it is
//! kept beside the CA. Node.js alone adds to its own.

use crate::authority;
use std::fs;
use std::path::{Path, PathBuf};
use stitch_config::Config;
use stitch_net::tls::{CA_CERTIFICATE, CA_KEY, system_roots};

/// OpenSSL and what follows it; Python's requests; curl; git.
const ROOTS: [&str; 4] =
    ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"];
const EXTRA: &str = "NODE_EXTRA_CA_CERTS";

const BUNDLE: &str = "bundle.pem";

/// The files that programs are pointed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trust {
    ca: String,
    bundle: String,
}

impl Trust {
    /// For programs behind a proxy with this configuration: nothing when it looks into no tunnel.
    /// Makes the CA if there is none.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, String> {
        let looked_into = config.proxy.forward.intercept_tls;
        looked_into.then(|| Self::open_in(&authority::folder()?)).transpose()
    }

    /// For programs behind a proxy that only its address is known of: nothing while there is no CA,
    /// since then no proxy of this installation can have one in use.
    pub(crate) fn if_made() -> Result<Option<Self>, String> {
        match authority::folder() {
            Ok(folder) => Self::if_made_in(&folder),
            Err(_) => Ok(None),
        }
    }

    fn if_made_in(folder: &Path) -> Result<Option<Self>, String> {
        let made = folder.join(CA_CERTIFICATE).exists() && folder.join(CA_KEY).exists();
        made.then(|| Self::open_in(folder)).transpose()
    }

    fn open_in(folder: &Path) -> Result<Self, String> {
        let authority = authority::open_in(folder)?;
        // Programs run elsewhere.
        let folder = std::path::absolute(folder)
            .map_err(|error| format!("cannot find {}: {error}", folder.display()))?;
        let bundle = folder.join(BUNDLE);
        // In a shell that has our variables already, the system's roots are this bundle.
        refresh(&bundle, &authority.bundle_pem(system_roots().certificates()))?;
        Ok(Self { ca: text(folder.join(CA_CERTIFICATE))?, bundle: text(bundle)? })
    }

    /// Every variable to set.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let roots = ROOTS.iter().map(|name| (*name, self.bundle.clone()));
        roots.chain([(EXTRA, self.ca.clone())]).collect()
    }
}

/// The name of every variable, for taking them back.
pub(crate) fn variable_names() -> impl Iterator<Item = &'static str> {
    ROOTS.into_iter().chain([EXTRA])
}

fn refresh(path: &Path, text: &str) -> Result<(), String> {
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    authority::write_public(path, text)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Shells are told in text.
fn text(path: PathBuf) -> Result<String, String> {
    path.into_os_string()
        .into_string()
        .map_err(|path| format!("the name of the folder {} is not text", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::os::unix::fs::PermissionsExt as _;

    fn read(trust: &Trust) -> String {
        fs::read_to_string(&trust.bundle).unwrap()
    }

    #[test]
    fn the_bundle_lies_beside_the_ca_for_everybody_to_read() {
        let scratch = Scratch::new();
        let folder = scratch.path().join("ca");
        assert_eq!(Trust::if_made_in(&folder), Ok(None));
        assert!(!folder.exists());
        let trust = Trust::open_in(&folder).unwrap();
        assert_eq!(Trust::if_made_in(&folder), Ok(Some(trust.clone())));
        let ca = fs::read_to_string(&trust.ca).unwrap();
        assert!(read(&trust).starts_with(&ca) && read(&trust).len() > ca.len());
        let mode = Path::new(&trust.bundle).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[test]
    fn the_bundle_follows_the_ca_and_is_written_only_then() {
        let scratch = Scratch::new();
        let trust = Trust::open_in(scratch.path()).unwrap();
        let inode = || {
            use std::os::unix::fs::MetadataExt as _;
            fs::metadata(&trust.bundle).unwrap().ino()
        };
        let (before, first) = (read(&trust), inode());
        Trust::open_in(scratch.path()).unwrap();
        assert_eq!(first, inode());
        fs::write(&trust.bundle, "damaged").unwrap();
        Trust::open_in(scratch.path()).unwrap();
        assert_eq!(read(&trust), before);
        for file in [CA_CERTIFICATE, CA_KEY] {
            fs::remove_file(scratch.path().join(file)).unwrap();
        }
        Trust::open_in(scratch.path()).unwrap();
        assert_ne!(read(&trust), before);
    }

    #[test]
    fn node_adds_the_ca_and_the_others_replace_their_roots() {
        let trust = Trust { ca: "/a/ca.pem".to_owned(), bundle: "/a/bundle.pem".to_owned() };
        let variables = trust.variables();
        assert!(variables.contains(&("NODE_EXTRA_CA_CERTS", "/a/ca.pem".to_owned())));
        assert!(variables.contains(&("SSL_CERT_FILE", "/a/bundle.pem".to_owned())));
        assert_eq!(
            variables.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            variable_names().collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_file_that_looks_into_nothing_needs_no_ca() {
        let config = crate::testing::config("services: {}");
        assert_eq!(Trust::of(&config), Ok(None));
    }

    #[test]
    fn a_half_of_a_ca_is_none_and_a_wrong_one_is_told() {
        let scratch = Scratch::new();
        scratch.write(CA_CERTIFICATE, "nonsense");
        assert_eq!(Trust::if_made_in(scratch.path()), Ok(None));
        scratch.write(CA_KEY, "nonsense");
        assert!(Trust::if_made_in(scratch.path()).unwrap_err().contains("ca.key"));
    }
}
