//! Which values no report may quote, whatever is wrong with them or beside them.
//!
//! Told by their keys, because some are never decoded: those of a key that stands twice, and those
//! whose variable cannot be filled in.

/// Keys below each other, anywhere in a file, where `*` is any; and all that stands under them.
const SECRETS: [&[&str]; 4] = [
    &["auth", "jwt", "secret"],
    &["auth", "api_key", "keys", "*"],
    &["auth", "basic", "users", "*"],
    &["proxy", "admin", "token"],
];

/// Whether what stands under these keys, outermost first, is a secret.
pub(super) fn is_under<'k>(mut keys: impl Iterator<Item = &'k str> + Clone) -> bool {
    loop {
        if SECRETS.iter().any(|secret| begins(keys.clone(), secret)) {
            return true;
        }
        if keys.next().is_none() {
            return false;
        }
    }
}

fn begins<'k>(mut keys: impl Iterator<Item = &'k str>, secret: &[&str]) -> bool {
    secret.iter().all(|part| keys.next().is_some_and(|key| *part == "*" || *part == key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_keys() {
        let is_secret = |path: &str| is_under(path.split('.'));
        for secret in
            ["services.auth.auth.jwt.secret", "auth.basic.users.bob.a", "proxy.admin.token"]
        {
            assert!(is_secret(secret), "{secret}");
        }
        for plain in ["services.a.auth.jwt.jwks", "auth.basic.users", "admin.token", "auth", ""] {
            assert!(!is_secret(plain), "{plain}");
        }
    }
}
