//! Keys that are known beforehand, by their digests.

use super::admit::{Cause, Identity, Method, Refusal};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest as sha2;
use http::{HeaderName, HeaderValue};
use std::sync::Arc;
use stitch_config::model::{ApiKeys, KeyPlace};

/// The digest of a secret.
pub(super) type Sha256 = [u8; 32];

pub(super) fn sha256(secret: &[u8]) -> Sha256 {
    let mut out = [0; 32];
    out.copy_from_slice(sha2::digest(&sha2::SHA256, secret).as_ref());
    out
}

/// The digest of a secret, as `auth` in the file wants it.
#[must_use]
pub fn digest(secret: &[u8]) -> String {
    let hex: String = sha256(secret).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Whether two digests are one, in a time that does not tell where they differ.
pub(super) fn same(one: &Sha256, other: &Sha256) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

/// The keys.
pub(super) struct Keys {
    keys: Vec<(Sha256, Arc<str>)>,
    owner: Option<HeaderName>,
    pub challenge: HeaderValue,
}

impl Keys {
    pub fn of(keys: &ApiKeys) -> Self {
        Self {
            keys: keys.keys.iter().map(|key| (key.digest.0, key.owner.clone())).collect(),
            owner: keys.owner.clone(),
            // No scheme is registered for keys that stand elsewhere.
            challenge: HeaderValue::from_static(match keys.from {
                KeyPlace::Bearer => "Bearer",
                _ => "ApiKey",
            }),
        }
    }

    /// Whose key it is.
    pub fn check(&self, key: &str) -> Result<Identity, Cause> {
        let digest = sha256(key.as_bytes());
        // All are looked at, whichever it is.
        let found =
            self.keys.iter().fold(
                None,
                |found, (known, owner)| {
                    if same(known, &digest) { Some(owner) } else { found }
                },
            );
        let owner = found.ok_or(Cause::Wrong)?;
        let headers = told(self.owner.as_ref(), owner);
        Ok(Identity { who: Some(owner.clone()), headers, method: Method::ApiKey })
    }

    pub fn refuse(&self, cause: Cause) -> Box<Refusal> {
        let mut refusal = Refusal::new(Method::ApiKey, cause);
        refusal.challenges.push(self.challenge.clone());
        refusal
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(_, owner)| owner)).finish()
    }
}

/// The header that names somebody.
pub(super) fn told(header: Option<&HeaderName>, who: &str) -> Vec<(HeaderName, HeaderValue)> {
    let value = HeaderValue::from_bytes(who.as_bytes()).ok();
    header.cloned().zip(value).into_iter().collect()
}
