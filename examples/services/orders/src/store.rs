//! The orders in memory, found by id and by user.
//!
//! Ids count up and are never used again, so every list is in the order of creation. The lock is held for
//! map operations and the cloning of one page, never across an await.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chassis::{Listing, Page, Problem};

use crate::order::{Change, Draft, Order};

/// How many orders there may be.
pub(crate) const CAPACITY: usize = 100_000;

/// All orders.
pub(crate) struct Store {
    capacity: usize,
    orders: Mutex<Orders>,
}

#[derive(Default)]
struct Orders {
    last_id: u64,
    by_id: BTreeMap<u64, Order>,
    /// Holds exactly the ids of `by_id`; a user without orders has no entry.
    by_user: HashMap<u64, BTreeSet<u64>>,
}

impl Store {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, orders: Mutex::default() }
    }

    pub(crate) fn create(&self, draft: Draft) -> Result<Order, Problem> {
        let mut orders = self.lock();
        if orders.by_id.len() >= self.capacity {
            return Err(Problem::full("orders", self.capacity));
        }
        orders.last_id += 1;
        let order = Order::new(orders.last_id, draft);
        orders.by_user.entry(order.user_id).or_default().insert(order.id);
        orders.by_id.insert(order.id, order.clone());
        Ok(order)
    }

    pub(crate) fn list(&self, page: Page) -> Listing<Order> {
        let orders = self.lock();
        Listing::cut(orders.by_id.values(), orders.by_id.len(), page)
    }

    pub(crate) fn list_of(&self, user: u64, page: Page) -> Listing<Order> {
        let orders = self.lock();
        let ids = orders.by_user.get(&user);
        let all = ids.into_iter().flatten().filter_map(|id| orders.by_id.get(id));
        Listing::cut(all, ids.map_or(0, BTreeSet::len), page)
    }

    pub(crate) fn get(&self, id: u64) -> Result<Order, Problem> {
        self.lock().by_id.get(&id).cloned().ok_or_else(|| absent(id))
    }

    pub(crate) fn change(&self, id: u64, change: Change) -> Result<Order, Problem> {
        let mut orders = self.lock();
        let order = orders.by_id.get_mut(&id).ok_or_else(|| absent(id))?;
        *order = order.changed(change)?;
        Ok(order.clone())
    }

    pub(crate) fn delete(&self, id: u64) -> Result<(), Problem> {
        let mut orders = self.lock();
        let order = orders.by_id.remove(&id).ok_or_else(|| absent(id))?;
        if let Some(ids) = orders.by_user.get_mut(&order.user_id) {
            ids.remove(&id);
            if ids.is_empty() {
                orders.by_user.remove(&order.user_id);
            }
        }
        Ok(())
    }

    /// No code panics with the lock held, so a poisoned one is still consistent.
    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn absent(id: u64) -> Problem {
    Problem::not_found(format!("no order has the id {id}")).at("id")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Page = Page { limit: 100, offset: 0 };

    fn draft(user_id: u64) -> Draft {
        Draft { user_id, items: Vec::new() }
    }

    #[test]
    fn a_full_store_refuses_until_one_is_deleted_and_ids_are_not_reused() {
        let store = Store::new(2);
        store.create(draft(1)).unwrap();
        store.create(draft(1)).unwrap();
        assert_eq!(store.create(draft(1)).unwrap_err().status(), 507);
        store.delete(2).unwrap();
        assert_eq!(store.create(draft(1)).unwrap().id, 3);
    }

    #[test]
    fn the_lists_of_users_follow_creation_and_deletion() {
        let store = Store::new(9);
        for user in [7, 8, 7] {
            store.create(draft(user)).unwrap();
        }
        let ids =
            |user| store.list_of(user, ALL).items.iter().map(|order| order.id).collect::<Vec<_>>();
        assert_eq!((ids(7), ids(8), ids(9)), (vec![1, 3], vec![2], vec![]));
        assert_eq!(store.list_of(7, Page { limit: 1, offset: 1 }).total, 2);
        store.delete(1).unwrap();
        store.delete(2).unwrap();
        assert_eq!((ids(7), ids(8)), (vec![3], vec![]));
        assert_eq!(store.lock().by_user.len(), 1);
        assert_eq!(store.list(ALL).total, 1);
    }
}
