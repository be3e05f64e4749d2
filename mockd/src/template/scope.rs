//! What names stand for while one request is answered or one message is handled.
//!
//! Reserved names win. Any other name is looked up in the response body, the request body, the
//! path and the query, in this order; for messages in the message's data.

use super::chance::{Chance, Now, Random, Uuid};
use super::views::{MessageView, RequestView, ResponseView};
use jiff::Timestamp;
use minijinja::value::{Object, Value};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Bytes that the templates of one request may write together.
const MAX_OUTPUT: usize = 8 << 20;

/// The root of every look-up.
#[derive(Debug)]
pub(crate) struct Scope {
    request: Option<Arc<RequestView>>,
    message: Option<Arc<MessageView>>,
    response: OnceLock<Arc<ResponseView>>,
    vars: Value,
    chance: Arc<Chance>,
    /// One instant for everything that a request renders.
    now: OnceLock<Timestamp>,
    spent: AtomicUsize,
}

impl Scope {
    /// For answering a request.
    pub(crate) fn request(request: RequestView, vars: &Value, chance: Chance) -> Arc<Self> {
        Self::new(Some(Arc::new(request)), None, vars, chance)
    }

    /// For reacting to a message.
    pub(crate) fn message(message: MessageView, vars: &Value, chance: Chance) -> Arc<Self> {
        Self::new(None, Some(Arc::new(message)), vars, chance)
    }

    fn new(
        request: Option<Arc<RequestView>>,
        message: Option<Arc<MessageView>>,
        vars: &Value,
        chance: Chance,
    ) -> Arc<Self> {
        Arc::new(Self {
            request,
            message,
            response: OnceLock::new(),
            vars: vars.clone(),
            chance: Arc::new(chance),
            now: OnceLock::new(),
            spent: AtomicUsize::new(0),
        })
    }

    /// Lets headers and publishes see the answer.
    pub(crate) fn answered(&self, response: Arc<ResponseView>) {
        // Set once per request; a second answer does not exist.
        let _ = self.response.set(response);
    }

    /// Counts output; false when the bound is passed.
    pub(super) fn spend(&self, bytes: usize) -> bool {
        self.spent.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= MAX_OUTPUT
    }

    /// A name that is not reserved.
    fn bare(&self, name: &str) -> Option<Value> {
        let member =
            |value: &Value| value.get_attr(name).ok().filter(|found| !found.is_undefined());
        if let Some(message) = &self.message {
            return member(&message.data);
        }
        let request = self.request.as_ref()?;
        self.response
            .get()
            .and_then(|response| member(&response.body))
            .or_else(|| member(request.body_value()))
            .or_else(|| request.param(name))
            .or_else(|| {
                let mut query = request.query().into_iter();
                query.find(|(known, _)| known == name).map(|(_, value)| Value::from(value))
            })
    }
}

impl Object for Scope {
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "request" => self.request.clone().map(Value::from_dyn_object),
            "response" => self.response.get().cloned().map(Value::from_dyn_object),
            "message" => self.message.clone().map(Value::from_dyn_object),
            "vars" => Some(self.vars.clone()),
            "uuid" => Some(Value::from_object(Uuid(self.chance.clone()))),
            "now" => Some(Value::from_object(Now::new(*self.now.get_or_init(Timestamp::now)))),
            "random" => Some(Value::from_object(Random(self.chance.clone()))),
            "state" | "calls" => None,
            name => self.bare(name),
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }
}
