//! What slow checks came to, so that each password is hashed once and not with every request.

use aws_lc_rs::hmac;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many of each kind are remembered. Wrong passwords never push out right ones.
const MOST_RIGHT: usize = 4096;
const MOST_WRONG: usize = 1024;

/// A name and a password, in a form that nobody can guess back.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

/// Verdicts by fingerprint.
pub(super) struct Verdicts {
    /// Drawn anew with every set of users: a verdict does not outlive the hash that it is about.
    key: hmac::Key,
    right: Mutex<Kept>,
    wrong: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    all: HashMap<Fingerprint, ()>,
    /// In the order in which they came.
    order: VecDeque<Fingerprint>,
}

impl Kept {
    fn add(&mut self, fingerprint: Fingerprint, most: usize) {
        if self.all.insert(fingerprint, ()).is_some() {
            return;
        }
        self.order.push_back(fingerprint);
        if self.order.len() > most
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }
}

impl Verdicts {
    pub fn new() -> Self {
        let mut secret = [0; 32];
        // Without randomness nothing here would be safe, TLS least of all; then nothing is alike.
        if aws_lc_rs::rand::fill(&mut secret).is_err() {
            secret = std::array::from_fn(|_| fastrand::u8(..));
        }
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            right: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    pub fn fingerprint(&self, name: &str, password: &[u8]) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(name.len() as u64).to_be_bytes());
        context.update(name.as_bytes());
        context.update(password);
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        Fingerprint(out)
    }

    /// What is remembered.
    pub fn get(&self, fingerprint: Fingerprint) -> Option<bool> {
        let among = |kept: &Mutex<Kept>| {
            kept.lock().unwrap_or_else(PoisonError::into_inner).all.contains_key(&fingerprint)
        };
        if among(&self.right) {
            return Some(true);
        }
        among(&self.wrong).then_some(false)
    }

    pub fn put(&self, fingerprint: Fingerprint, right: bool) {
        let (kept, most) =
            if right { (&self.right, MOST_RIGHT) } else { (&self.wrong, MOST_WRONG) };
        kept.lock().unwrap_or_else(PoisonError::into_inner).add(fingerprint, most);
    }
}

impl std::fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verdicts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_wrong_ones_push_out_no_right_one() {
        let verdicts = Verdicts::new();
        let print = |number: usize| verdicts.fingerprint("ann", &number.to_be_bytes());
        verdicts.put(print(0), true);
        for number in 1..=MOST_WRONG + 1 {
            verdicts.put(print(number), false);
            verdicts.put(print(number), false);
        }
        assert_eq!(verdicts.get(print(0)), Some(true));
        assert_eq!(verdicts.get(print(1)), None, "the oldest");
        assert_eq!(verdicts.get(print(2)), Some(false));
        assert_eq!(verdicts.get(print(MOST_WRONG + 1)), Some(false));
    }

    #[test]
    fn fingerprints_tell_names_from_passwords_and_sets_from_each_other() {
        let verdicts = Verdicts::new();
        assert!(verdicts.fingerprint("ab", b"c") != verdicts.fingerprint("a", b"bc"));
        assert!(verdicts.fingerprint("a", b"b") == verdicts.fingerprint("a", b"b"));
        assert!(verdicts.fingerprint("a", b"b") != Verdicts::new().fingerprint("a", b"b"));
    }
}
