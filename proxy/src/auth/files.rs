//! The files that `auth` names: key sets and users. Read before a configuration is put in force, so
//! that a wrong file is one of its problems.

use super::keys::KeySet;
use crate::upstream::Tls;
use hashbrown::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stitch_config::model::{Auth, Jwks, PasswordHash, PemFile, Upstream, User, WrongHash};
use stitch_config::{Config, Problem, Report};

/// How large a file may be.
const MOST: u64 = 1 << 20;

/// What stands in them.
#[derive(Clone, Default)]
pub(crate) struct AuthFiles {
    keys: HashMap<PathBuf, Arc<KeySet>>,
    users: HashMap<PathBuf, Arc<[User]>>,
}

impl AuthFiles {
    /// Reads every file that a configuration names; what is wrong with them goes into the report, and
    /// so do addresses that nobody could ask.
    pub fn load(config: &Config, report: &mut Report) -> Self {
        let mut files = Self::default();
        let mut reported: Vec<PathBuf> = Vec::new();
        for auth in config.auths() {
            check_addresses(auth, report);
            for file in auth.files() {
                if reported.contains(&file.path) {
                    continue;
                }
                if let Err(wrong) = files.read(auth, file) {
                    reported.push(file.path.clone());
                    report.push(Problem::error(file.place, "auth", wrong));
                }
            }
        }
        files
    }

    fn read(&mut self, auth: &Auth, file: &PemFile) -> Result<(), String> {
        let is_keys = auth
            .jwt
            .as_ref()
            .is_some_and(|jwt| matches!(&jwt.keys, Jwks::File(keys) if keys.path == file.path));
        let known = match is_keys {
            true => self.keys.contains_key(&file.path),
            false => self.users.contains_key(&file.path),
        };
        if known {
            return Ok(());
        }
        let path = file.path.display();
        let bytes = read(&file.path).map_err(|why| format!("cannot read {path}: {why}"))?;
        let wrong = |why: String| format!("{path} {why}");
        if is_keys {
            let keys = KeySet::parse(&bytes).map_err(wrong)?;
            self.keys.insert(file.path.clone(), Arc::new(keys));
        } else {
            let users = htpasswd(&bytes).map_err(wrong)?;
            let inline = auth.basic.iter().flat_map(|basic| &basic.users);
            for user in inline {
                if users.iter().any(|other| other.name == user.name) {
                    return Err(wrong(format!(
                        "has the user {:?}, who stands in \"users\" too",
                        user.name
                    )));
                }
            }
            self.users.insert(file.path.clone(), users.into());
        }
        Ok(())
    }

    /// The keys of a file; none if it was not read.
    pub(super) fn keys(&self, file: &PemFile) -> Arc<KeySet> {
        self.keys.get(&file.path).cloned().unwrap_or_else(|| Arc::new(KeySet::empty()))
    }

    /// The users of a file; none if it was not read.
    pub(super) fn users(&self, file: &PemFile) -> &[User] {
        self.users.get(&file.path).map_or(&[], |users| users)
    }
}

impl std::fmt::Debug for AuthFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthFiles")
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    match bytes.len() as u64 > MOST {
        true => Err("it is larger than 1 MiB".to_owned()),
        false => Ok(bytes),
    }
}

/// Addresses outside that TLS has no name for.
fn check_addresses(auth: &Auth, report: &mut Report) {
    let keys = auth.jwt.iter().filter_map(|jwt| match &jwt.keys {
        Jwks::Url { upstream, .. } => Some(upstream),
        Jwks::File(_) | Jwks::Secret(_) => None,
    });
    let checker = auth.forward.iter().map(|forward| &forward.upstream);
    for upstream in keys.chain(checker).filter(|upstream| upstream.scheme.is_tls()) {
        let host = upstream.host_port().map_or("", |(host, _)| host);
        if let Err(error) = Tls::of_anyone(host) {
            let upstream: &Upstream = upstream;
            report.push(Problem::error(upstream.place, "auth", error.to_string()));
        }
    }
}

/// The lines of a file of users. Messages name lines and users, never hashes.
fn htpasswd(bytes: &[u8]) -> Result<Vec<User>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    let mut users: Vec<User> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |why: String| format!("line {number}: {why}");
        let Some((name, hash)) = line.split_once(':').filter(|(name, _)| !name.is_empty()) else {
            return Err(at("it is not NAME:HASH".to_owned()));
        };
        let password = PasswordHash::parse(hash).map_err(|wrong| {
            at(match wrong {
                WrongHash::Unknown => format!(
                    "the hash of {name:?} is neither bcrypt nor sha256:HEX; htpasswd -B makes bcrypt"
                ),
                WrongHash::Digest => format!("the digest of {name:?} is not 64 hexadecimal digits"),
                WrongHash::Bcrypt => format!("the hash of {name:?} is not bcrypt's"),
                WrongHash::Cost(cost) => {
                    format!("the hash of {name:?} has a cost of {cost}; 4 to 16 are taken")
                }
            })
        })?;
        if users.iter().any(|user| &*user.name == name) {
            return Err(at(format!("the user {name:?} stands there twice")));
        }
        users.push(User { name: name.into(), password });
    }
    match users.is_empty() {
        true => Err("names no user".to_owned()),
        false => Ok(users),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuvUBjcIE0MPcDgpEFHrxcXnTS7GWvCDq";

    #[test]
    fn a_file_of_users_is_read_line_by_line() {
        let text = format!("# ours\n\nann:{HASH}\r\nbob:sha256:{}\n", "0a".repeat(32));
        let users = htpasswd(text.as_bytes()).unwrap();
        let names: Vec<_> = users.iter().map(|user| &*user.name).collect();
        assert_eq!(names, ["ann", "bob"]);
        for (text, part) in [
            ("# nobody".to_owned(), "names no user"),
            ("ann".to_owned(), "line 1: it is not NAME:HASH"),
            (format!("\n:{HASH}"), "line 2: it is not NAME:HASH"),
            (format!("ann:{HASH}\nann:{HASH}"), "line 2: the user \"ann\" stands there twice"),
            ("ann:{SHA}secret".to_owned(), "the hash of \"ann\" is neither"),
            ("ann:$apr1$secret".to_owned(), "htpasswd -B makes bcrypt"),
            ("ann:$2y$secret".to_owned(), "not bcrypt's"),
            ("ann:sha256:secret".to_owned(), "not 64"),
            (format!("ann:{}", HASH.replace("$05", "$20")), "a cost of 20"),
        ] {
            let why = htpasswd(text.as_bytes()).unwrap_err();
            assert!(why.contains(part) && !why.contains("secret"), "{why}");
        }
        assert!(htpasswd(b"\xff:x").is_err());
    }
}
