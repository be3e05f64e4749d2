//! The users in memory, with one user per e-mail address.
//!
//! Ids count up and are never used again, so a list is in the order of creation. The lock is held for map
//! operations and the cloning of one page, never across an await.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chassis::{Listing, Page, Problem};
use jiff::Timestamp;
use serde::Serialize;

use crate::email::Email;

/// How many users there may be.
pub(crate) const CAPACITY: usize = 100_000;

/// A user as stored and as answered.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) email: Email,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// What a caller decides about a user, checked.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) email: Email,
}

/// All users.
pub(crate) struct Store {
    capacity: usize,
    users: Mutex<Users>,
}

#[derive(Default)]
struct Users {
    last_id: u64,
    by_id: BTreeMap<u64, User>,
    /// Holds exactly the addresses of `by_id`.
    by_email: HashMap<Email, u64>,
}

impl Store {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, users: Mutex::default() }
    }

    pub(crate) fn create(&self, draft: Draft) -> Result<User, Problem> {
        let mut users = self.lock();
        users.check_free(&draft.email, None)?;
        if users.by_id.len() >= self.capacity {
            return Err(Problem::full("users", self.capacity));
        }
        users.last_id += 1;
        let now = Timestamp::now();
        let user = User {
            id: users.last_id,
            name: draft.name,
            email: draft.email,
            created_at: now,
            updated_at: now,
        };
        users.by_email.insert(user.email.clone(), user.id);
        users.by_id.insert(user.id, user.clone());
        Ok(user)
    }

    pub(crate) fn list(&self, page: Page) -> Listing<User> {
        let users = self.lock();
        Listing::cut(users.by_id.values(), users.by_id.len(), page)
    }

    pub(crate) fn get(&self, id: u64) -> Result<User, Problem> {
        self.lock().by_id.get(&id).cloned().ok_or_else(|| absent(id))
    }

    pub(crate) fn replace(&self, id: u64, draft: Draft) -> Result<User, Problem> {
        let mut users = self.lock();
        let mut user = users.by_id.get(&id).cloned().ok_or_else(|| absent(id))?;
        users.check_free(&draft.email, Some(id))?;
        users.by_email.remove(&user.email);
        users.by_email.insert(draft.email.clone(), id);
        user.name = draft.name;
        user.email = draft.email;
        user.updated_at = Timestamp::now();
        users.by_id.insert(id, user.clone());
        Ok(user)
    }

    pub(crate) fn delete(&self, id: u64) -> Result<(), Problem> {
        let mut users = self.lock();
        let user = users.by_id.remove(&id).ok_or_else(|| absent(id))?;
        users.by_email.remove(&user.email);
        Ok(())
    }

    /// No code panics with the lock held, so a poisoned one is still consistent.
    fn lock(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Users {
    /// Fails when somebody other than `owner` has the address.
    fn check_free(&self, email: &Email, owner: Option<u64>) -> Result<(), Problem> {
        match self.by_email.get(email) {
            Some(id) if Some(*id) != owner => {
                let detail = format!("user {id} has the e-mail `{email}` already");
                Err(Problem::conflict("email", detail))
            }
            _ => Ok(()),
        }
    }
}

fn absent(id: u64) -> Problem {
    Problem::not_found(format!("no user has the id {id}")).at("id")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(name: &str) -> Draft {
        Draft { name: name.to_owned(), email: Email::new(&format!("{name}@example.com")).unwrap() }
    }

    #[test]
    fn a_full_store_refuses_until_one_is_deleted_and_ids_are_not_reused() {
        let store = Store::new(2);
        store.create(draft("ada")).unwrap();
        store.create(draft("bob")).unwrap();
        assert_eq!(store.create(draft("cyd")).unwrap_err().status(), 507);
        store.delete(2).unwrap();
        assert_eq!(store.create(draft("cyd")).unwrap().id, 3);
    }

    #[test]
    fn an_address_is_free_again_after_its_user_left_it() {
        let store = Store::new(9);
        store.create(draft("ada")).unwrap();
        store.create(draft("bob")).unwrap();
        assert_eq!(store.replace(2, draft("ada")).unwrap_err().status(), 409);
        store.replace(1, draft("ada")).unwrap();
        store.replace(1, draft("eve")).unwrap();
        store.replace(2, draft("ada")).unwrap();
        store.delete(2).unwrap();
        store.create(draft("ada")).unwrap();
    }
}
