//! Names and passwords (RFC 7617). bcrypt is slow on purpose: it runs off the worker, few at a time,
//! and once for each password.

use super::admit::{Cause, Identity, Method, Refusal};
use super::api_key::{Sha256, same, sha256, told};
use super::verdicts::{Fingerprint, Verdicts};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hashbrown::HashMap;
use http::{HeaderName, HeaderValue};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stitch_config::model::{BasicAuth, PasswordHash, Secret, User};
use stitch_net::mock::BoxFuture;
use tokio::sync::Semaphore;

/// How many hashes are computed at once, in the whole process.
static COMPUTING: Semaphore = Semaphore::const_new(4);
/// How many wait for that.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// How many may.
const MOST_WAITING: usize = 256;

/// The users.
pub(super) struct Users {
    users: HashMap<Arc<str>, Kept>,
    /// Somebody's bcrypt, checked for names that nobody has: how long a refusal takes tells nothing.
    decoy: Option<Secret>,
    /// What the users were made from.
    declared: Vec<User>,
    header: Option<HeaderName>,
    pub challenge: HeaderValue,
    verdicts: Arc<Verdicts>,
}

enum Kept {
    Sha256(Sha256),
    Bcrypt(Secret),
}

/// What a name and a password come to.
pub(super) enum Answer {
    Now(Result<Identity, Cause>),
    Later(BoxFuture<Result<Identity, Cause>>),
}

impl Users {
    /// The users of the configuration and those of its file. Verdicts of `previous` are taken over
    /// if the users are the same.
    pub fn of(basic: &BasicAuth, file: &[User], previous: Option<&Self>) -> Self {
        let declared: Vec<_> = basic.users.iter().chain(file).cloned().collect();
        let kept = |user: &User| {
            let password = match &user.password {
                PasswordHash::Sha256(digest) => Kept::Sha256(digest.0),
                PasswordHash::Plain(plain) => Kept::Sha256(sha256(plain.reveal().as_bytes())),
                PasswordHash::Bcrypt(hash) => Kept::Bcrypt(hash.clone()),
            };
            (user.name.clone(), password)
        };
        let realm = basic.realm.to_str().unwrap_or("stitch");
        let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        let before = previous.filter(|previous| previous.declared == declared);
        Self {
            // The first of several wins; the loader has refused them.
            users: declared.iter().rev().map(kept).collect(),
            decoy: declared.iter().find_map(|user| match &user.password {
                PasswordHash::Bcrypt(hash) => Some(hash.clone()),
                PasswordHash::Sha256(_) | PasswordHash::Plain(_) => None,
            }),
            declared,
            header: basic.user_header.clone(),
            challenge: HeaderValue::try_from(challenge)
                .unwrap_or_else(|_| HeaderValue::from_static("Basic realm=\"stitch\"")),
            verdicts: before
                .map_or_else(|| Arc::new(Verdicts::new()), |before| before.verdicts.clone()),
        }
    }

    /// Who it is. `encoded` is what follows the scheme.
    pub fn check(&self, encoded: &str) -> Answer {
        let decoded = BASE64_STANDARD.decode(encoded).ok();
        let Some((name, password)) = decoded.as_deref().and_then(split) else {
            return Answer::Now(Err(Cause::Malformed));
        };
        let hash = match (self.users.get(name), &self.decoy) {
            (Some(Kept::Sha256(digest)), _) => {
                let right = same(digest, &sha256(password));
                return Answer::Now(self.identity(name, right));
            }
            (Some(Kept::Bcrypt(hash)), _) | (None, Some(hash)) => hash.reveal(),
            (None, None) => return Answer::Now(Err(Cause::Wrong)),
        };
        let fingerprint = self.verdicts.fingerprint(name, password);
        if let Some(right) = self.verdicts.get(fingerprint) {
            return Answer::Now(self.identity(name, right));
        }
        // The decoy's password is nobody's.
        let (right, wrong) = (self.identity(name, true), Err(Cause::Wrong));
        let hashing =
            compute(hash.to_owned(), password.to_owned(), self.verdicts.clone(), fingerprint);
        Answer::Later(Box::pin(async move {
            match hashing.await {
                Some(true) => right,
                Some(false) => wrong,
                None => Err(Cause::Unavailable),
            }
        }))
    }

    /// Who it is, if there is one of that name and the password was right.
    fn identity(&self, name: &str, right: bool) -> Result<Identity, Cause> {
        let (name, _) = self.users.get_key_value(name).filter(|_| right).ok_or(Cause::Wrong)?;
        let headers = told(self.header.as_ref(), name);
        Ok(Identity { who: Some(name.clone()), headers, method: Method::Basic })
    }

    pub fn refuse(&self, cause: Cause) -> Box<Refusal> {
        let mut refusal = Refusal::new(Method::Basic, cause);
        if cause != Cause::Unavailable {
            refusal.challenges.push(self.challenge.clone());
        }
        refusal
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.users.keys()).finish()
    }
}

/// `name:password`; the name is text, the password any bytes.
fn split(decoded: &[u8]) -> Option<(&str, &[u8])> {
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((std::str::from_utf8(&decoded[..colon]).ok()?, &decoded[colon + 1..]))
}

/// Whether a password has a hash; `None` when too many want to know.
async fn compute(
    hash: String,
    password: Vec<u8>,
    verdicts: Arc<Verdicts>,
    fingerprint: Fingerprint,
) -> Option<bool> {
    let waiting = Waiting::begin()?;
    let permit = COMPUTING.acquire().await.ok()?;
    drop(waiting);
    // Others with the same password may have been faster.
    if let Some(right) = verdicts.get(fingerprint) {
        return Some(right);
    }
    let computing = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let right = bcrypt::verify(&password, &hash).ok()?;
        verdicts.put(fingerprint, right);
        Some(right)
    });
    computing.await.ok().flatten()
}

/// A place among those who wait.
struct Waiting;

impl Waiting {
    fn begin() -> Option<Self> {
        let before = WAITING.fetch_add(1, Ordering::Relaxed);
        // Made before it is known whether it stays, so that it is counted back.
        let waiting = Self;
        (before < MOST_WAITING).then_some(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stitch_config::model::Digest;

    fn users(list: &[(&str, PasswordHash)]) -> BasicAuth {
        let user = |(name, password): &(&str, PasswordHash)| User {
            name: (*name).into(),
            password: password.clone(),
        };
        BasicAuth {
            realm: HeaderValue::from_static("Back office"),
            users: list.iter().map(user).collect(),
            file: None,
            user_header: Some(HeaderName::from_static("x-user")),
            strip: true,
        }
    }

    fn bcrypted(password: &str) -> PasswordHash {
        PasswordHash::Bcrypt(Secret::new(bcrypt::hash(password, 4).unwrap()))
    }

    async fn who(users: &Users, pair: &str) -> Result<String, Cause> {
        let answer = match users.check(&BASE64_STANDARD.encode(pair)) {
            Answer::Now(answer) => answer,
            Answer::Later(later) => later.await,
        };
        answer.map(|identity| identity.who.unwrap().to_string())
    }

    fn is_slow(users: &Users, pair: &str) -> bool {
        matches!(users.check(&BASE64_STANDARD.encode(pair)), Answer::Later(_))
    }

    #[tokio::test]
    async fn each_kind_of_hash_lets_its_password_in_and_no_other() {
        let declared = users(&[
            ("ann", bcrypted("a:b c")),
            ("bob", PasswordHash::Sha256(Digest(sha256(b"hunter2")))),
            ("eve", PasswordHash::Plain(Secret::new("plain"))),
        ]);
        let users = Users::of(&declared, &[], None);
        for (pair, expected) in [
            ("ann:a:b c", Ok("ann")),
            ("bob:hunter2", Ok("bob")),
            ("eve:plain", Ok("eve")),
            ("ann:a:b", Err(Cause::Wrong)),
            ("bob:", Err(Cause::Wrong)),
            ("eve:hunter2", Err(Cause::Wrong)),
            ("nobody:hunter2", Err(Cause::Wrong)),
            (":", Err(Cause::Wrong)),
            ("no colon", Err(Cause::Malformed)),
        ] {
            assert_eq!(who(&users, pair).await, expected.map(str::to_owned), "{pair}");
        }
        assert!(matches!(users.check("%%%"), Answer::Now(Err(Cause::Malformed))));
        assert_eq!(users.challenge, "Basic realm=\"Back office\", charset=\"UTF-8\"");
        assert!(!format!("{users:?}").contains("$2"));
    }

    #[tokio::test]
    async fn a_password_is_hashed_once() {
        let declared = users(&[("ann", bcrypted("right"))]);
        let first = Users::of(&declared, &[], None);
        for (pair, expected) in [("ann:right", Ok("ann")), ("ann:wrong", Err(Cause::Wrong))] {
            assert!(is_slow(&first, pair));
            assert_eq!(who(&first, pair).await, expected.map(str::to_owned));
            assert!(!is_slow(&first, pair), "{pair} is remembered");
            assert_eq!(who(&first, pair).await, expected.map(str::to_owned));
        }
        let same = Users::of(&declared, &[], Some(&first));
        assert!(!is_slow(&same, "ann:right"), "a reload that changes no user forgets nothing");
        let changed = users(&[("ann", bcrypted("new"))]);
        let changed = Users::of(&changed, &[], Some(&same));
        assert!(is_slow(&changed, "ann:right"), "another hash is another matter");
        assert_eq!(who(&changed, "ann:right").await, Err(Cause::Wrong));
    }

    #[tokio::test]
    async fn unknown_names_take_as_long_and_stay_unknown() {
        let users = Users::of(&users(&[("ann", bcrypted("right"))]), &[], None);
        assert!(is_slow(&users, "eve:right"));
        for _ in 0..2 {
            assert_eq!(who(&users, "eve:right").await, Err(Cause::Wrong));
        }
    }

    #[tokio::test]
    async fn a_crowd_with_one_password_is_answered_by_few_hashes() {
        let users = Users::of(&users(&[("ann", bcrypted("right"))]), &[], None);
        let crowd = (0..100).map(|_| who(&users, "ann:right"));
        for answer in futures_util::future::join_all(crowd).await {
            assert_eq!(answer.as_deref(), Ok("ann"));
        }
    }
}
