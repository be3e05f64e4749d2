//! An order as stored, and the two ways a caller writes one: raw as typed, checked as meant.
//!
//! Money is whole cents. The total is always computed; a caller who sends one is only told when it differs.

use chassis::Problem;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::status::Status;

const MOST_ITEMS: usize = 100;
const LONGEST_SKU: usize = 64;
const MOST_PIECES: i64 = 10_000;
/// A million in whole currency; with the two bounds above no total overflows.
const MOST_CENTS: i64 = 100_000_000;

/// An order as stored and as answered.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) user_id: u64,
    pub(crate) items: Vec<Item>,
    pub(crate) total_cents: i64,
    pub(crate) status: Status,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// One line of an order. Signed, so that a negative number is a rule broken and not a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    sku: String,
    quantity: i64,
    price_cents: i64,
}

/// An order as a caller writes it.
#[derive(Debug, Deserialize)]
pub(crate) struct RawOrder {
    user_id: i64,
    items: Vec<Item>,
    total_cents: Option<i64>,
    status: Option<String>,
}

/// A new order, checked; whether the user exists is for `users` to say.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) user_id: u64,
    pub(crate) items: Vec<Item>,
}

/// A change to an order: what is absent stays.
#[derive(Debug, Deserialize)]
pub(crate) struct RawChange {
    user_id: Option<i64>,
    items: Option<Vec<Item>>,
    total_cents: Option<i64>,
    status: Option<String>,
}

/// A change, checked as far as it can be without the order.
#[derive(Debug)]
pub(crate) struct Change {
    user_id: Option<u64>,
    items: Option<Vec<Item>>,
    total_cents: Option<i64>,
    status: Option<Status>,
}

impl RawOrder {
    pub(crate) fn check(self) -> Result<Draft, Problem> {
        let user_id = user_id(self.user_id)?;
        check_items(&self.items)?;
        check_total(self.total_cents, total(&self.items))?;
        match self.status.as_deref().map(status).transpose()? {
            None | Some(Status::Pending) => Ok(Draft { user_id, items: self.items }),
            Some(other) => {
                let detail = format!("a new order is pending, not {other}; leave `status` out");
                Err(Problem::invalid("status", detail))
            }
        }
    }
}

impl RawChange {
    pub(crate) fn check(self) -> Result<Change, Problem> {
        if let Some(items) = &self.items {
            check_items(items)?;
        }
        Ok(Change {
            user_id: self.user_id.map(user_id).transpose()?,
            items: self.items,
            total_cents: self.total_cents,
            status: self.status.as_deref().map(status).transpose()?,
        })
    }
}

impl Order {
    pub(crate) fn new(id: u64, draft: Draft) -> Self {
        let now = Timestamp::now();
        Self {
            id,
            user_id: draft.user_id,
            total_cents: total(&draft.items),
            items: draft.items,
            status: Status::Pending,
            created_at: now,
            updated_at: now,
        }
    }

    /// The order after `change`, or the first rule that forbids it.
    pub(crate) fn changed(&self, change: Change) -> Result<Self, Problem> {
        let mut order = self.clone();
        if change.user_id.is_some_and(|user| user != self.user_id) {
            let detail = format!("the order belongs to user {} and stays there", self.user_id);
            return Err(Problem::invalid("user_id", detail));
        }
        if let Some(items) = change.items.filter(|items| *items != self.items) {
            if self.status != Status::Pending {
                let detail =
                    format!("the order is {}; items change only while pending", self.status);
                return Err(Problem::conflict("items", detail));
            }
            order.total_cents = total(&items);
            order.items = items;
        }
        check_total(change.total_cents, order.total_cents)?;
        if let Some(status) = change.status.filter(|status| *status != self.status) {
            self.check_step(status)?;
            order.status = status;
        }
        order.updated_at = Timestamp::now();
        Ok(order)
    }

    fn check_step(&self, to: Status) -> Result<(), Problem> {
        let next = self.status.next();
        if next.contains(&to) {
            return Ok(());
        }
        let allowed: Vec<String> = next.iter().map(Status::to_string).collect();
        let from = self.status;
        let detail = if allowed.is_empty() {
            format!("the order is {from} and stays so; it cannot become {to}")
        } else {
            format!(
                "the order is {from} and cannot become {to}; it can become {}",
                allowed.join(" or ")
            )
        };
        Err(Problem::invalid("status", detail))
    }
}

/// The status called `name`.
fn status(name: &str) -> Result<Status, Problem> {
    Status::named(name).ok_or_else(|| {
        let detail = format!("`{name}` is not a status; give one of {}", Status::names());
        Problem::invalid("status", detail)
    })
}

fn user_id(id: i64) -> Result<u64, Problem> {
    u64::try_from(id).ok().filter(|id| *id > 0).ok_or_else(|| {
        Problem::invalid("user_id", format!("`user_id` is {id}; ids are positive integers"))
    })
}

fn check_items(items: &[Item]) -> Result<(), Problem> {
    let count = items.len();
    if !(1..=MOST_ITEMS).contains(&count) {
        let detail = format!("an order of {count} items; give 1 to {MOST_ITEMS}");
        return Err(Problem::invalid("items", detail));
    }
    for (index, item) in items.iter().enumerate() {
        let field = |name: &str| format!("items[{index}].{name}");
        let Item { sku, quantity, price_cents } = item;
        if sku.trim().is_empty() || sku.len() > LONGEST_SKU {
            let detail = format!("`sku` is `{sku}`; give 1 to {LONGEST_SKU} bytes");
            return Err(Problem::invalid(field("sku"), detail));
        }
        if !(1..=MOST_PIECES).contains(quantity) {
            let detail = format!("`quantity` is {quantity}; give 1 to {MOST_PIECES}");
            return Err(Problem::invalid(field("quantity"), detail));
        }
        if !(0..=MOST_CENTS).contains(price_cents) {
            let detail = format!("`price_cents` is {price_cents}; give 0 to {MOST_CENTS}");
            return Err(Problem::invalid(field("price_cents"), detail));
        }
    }
    Ok(())
}

fn total(items: &[Item]) -> i64 {
    items.iter().map(|item| item.quantity * item.price_cents).sum()
}

fn check_total(claimed: Option<i64>, total: i64) -> Result<(), Problem> {
    match claimed {
        Some(claimed) if claimed != total => {
            let detail = format!(
                "`total_cents` is {claimed} and the items add up to {total}; leave it out or mend it"
            );
            Err(Problem::invalid("total_cents", detail))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn order() -> Value {
        json!({"user_id": 1, "items": [{"sku": "tea", "quantity": 3, "price_cents": 450}]})
    }

    fn with(pointer: &str, value: Value) -> Result<Draft, Problem> {
        let mut order = order();
        match order.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => order[&pointer[1..]] = value,
        }
        from_value::<RawOrder>(order).unwrap().check()
    }

    fn change(order: &Order, change: Value) -> Result<Order, Problem> {
        order.changed(from_value::<RawChange>(change).unwrap().check()?)
    }

    fn field<T: std::fmt::Debug>(result: Result<T, Problem>) -> (u16, String) {
        let problem = result.unwrap_err();
        (problem.status().as_u16(), problem.field().unwrap_or_default().to_owned())
    }

    #[test]
    fn the_total_is_computed_and_a_claimed_one_has_to_agree() {
        let order = Order::new(1, with("/total_cents", json!(1350)).unwrap());
        assert_eq!((order.total_cents, order.status), (1350, Status::Pending));
        assert_eq!(field(with("/total_cents", json!(-5))), (422, "total_cents".into()));
        let most = json!({"sku": "gold", "quantity": MOST_PIECES, "price_cents": MOST_CENTS});
        let order = Order::new(1, with("/items", json!(vec![most; MOST_ITEMS])).unwrap());
        assert_eq!(order.total_cents, 100_000_000_000_000);
    }

    #[test]
    fn a_draft_is_refused_by_field() {
        let item = order()["items"][0].clone();
        for (pointer, value, at) in [
            ("/user_id", json!(0), "user_id"),
            ("/user_id", json!(-1), "user_id"),
            ("/items", json!([]), "items"),
            ("/items", json!(vec![item; MOST_ITEMS + 1]), "items"),
            ("/items/0/sku", json!(" "), "items[0].sku"),
            ("/items/0/sku", json!("s".repeat(65)), "items[0].sku"),
            ("/items/0/quantity", json!(0), "items[0].quantity"),
            ("/items/0/price_cents", json!(-1), "items[0].price_cents"),
            ("/items/0/price_cents", json!(i64::MAX), "items[0].price_cents"),
            ("/status", json!("lost"), "status"),
            ("/status", json!("shipped"), "status"),
        ] {
            assert_eq!(field(with(pointer, value.clone())), (422, at.into()), "{pointer} {value}");
        }
        assert!(with("/status", json!("pending")).is_ok());
    }

    #[test]
    fn an_order_goes_its_way_and_no_other() {
        let mut order = Order::new(1, with("/user_id", json!(1)).unwrap());
        assert_eq!(field(change(&order, json!({"status": "delivered"}))), (422, "status".into()));
        for status in ["confirmed", "confirmed", "shipped", "delivered"] {
            order = change(&order, json!({"status": status})).unwrap();
            assert_eq!(order.status.to_string(), status);
        }
        let problem = change(&order, json!({"status": "cancelled"})).unwrap_err();
        assert!(problem.detail().contains("delivered and stays so"), "{}", problem.detail());
    }

    #[test]
    fn items_change_only_while_pending_and_the_user_never() {
        let items = json!({"items": [{"sku": "mug", "quantity": 1, "price_cents": 900}]});
        let order = Order::new(1, with("/user_id", json!(1)).unwrap());
        let changed = change(&order, items.clone()).unwrap();
        assert_eq!(changed.total_cents, 900);
        assert_eq!(field(change(&order, json!({"user_id": 2}))), (422, "user_id".into()));
        assert_eq!(field(change(&order, json!({"total_cents": -1}))), (422, "total_cents".into()));
        assert_eq!(field(change(&order, json!({"items": []}))), (422, "items".into()));

        let confirmed = change(&changed, json!({"status": "confirmed"})).unwrap();
        let mut same = items;
        same["user_id"] = json!(1);
        assert!(change(&confirmed, same).is_ok(), "writing back what is there changes nothing");
        assert_eq!(field(change(&confirmed, order_items())), (409, "items".into()));
    }

    fn order_items() -> Value {
        json!({"items": order()["items"]})
    }
}
