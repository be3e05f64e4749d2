//! `endpoints:` and `nats_subscribe:` — what a mock answers and what it does besides.

use crate::data::{Data, Text};
use crate::pattern::PathPattern;
use crate::place::Place;
use http::{HeaderName, Method};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One mocked endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Derived, unique: `payments POST /charge`, then `… #2` for the same rank.
    pub id: Arc<str>,
    /// The key path, for problems found later (`services.payments.endpoints[0]`).
    pub path_in_file: String,
    /// Where it is declared.
    pub place: Place,
    /// `path`.
    pub path: PathPattern,
    /// `method`. Default GET.
    pub methods: Methods,
    /// `response`. Default 200 without a body.
    pub response: ResponseSpec,
    /// `delay`, before the first byte.
    pub delay: Option<DelayRange>,
    /// `failure_rate`.
    pub failures: Vec<Failure>,
    /// `nats_publish`, after the reply.
    pub publishes: Vec<Publish>,
}

/// Which methods an endpoint answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Methods {
    /// `ANY`.
    Any,
    /// These.
    Only(Vec<Method>),
}

impl Methods {
    /// Whether the endpoint answers this method.
    pub fn contains(&self, method: &Method) -> bool {
        match self {
            Self::Any => true,
            Self::Only(methods) => methods.contains(method),
        }
    }
}

/// What an endpoint answers.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseSpec {
    /// Status code; 200 unless given.
    pub status: u16,
    /// Header templates in file order.
    pub headers: Vec<(HeaderName, Text)>,
    /// The body.
    pub body: ResponseBody,
    /// Whether `response:` was a descriptor (`status`, `body`, `file`) rather than the body itself.
    pub descriptor: bool,
}

/// A mock's body.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseBody {
    /// Nothing.
    Empty,
    /// Text, a template.
    Text(Text),
    /// JSON whose strings are templates. A [`Data::Text`] never stands at the top.
    Json(Data),
    /// The content of a file, sent as it is; the path is already relative to the declaring file.
    File(PathBuf, Place),
}

/// `delay: 20ms` or `20ms..80ms`, uniform, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelayRange {
    /// Shortest.
    pub min: Duration,
    /// Longest; equal to `min` for a fixed delay.
    pub max: Duration,
}

/// A share of calls that fail.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Probability, 0 to 1.
    pub share: f64,
    /// The status they answer.
    pub status: u16,
}

/// One event to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// Subject template.
    pub subject: Text,
    /// Payload; its strings are templates.
    pub data: Data,
    /// Extra delay after the reply.
    pub delay: Option<Duration>,
}

/// One `nats_subscribe` entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Subject, with `*` and `>` wildcards, already checked.
    pub subject: String,
    /// Where it is declared.
    pub place: Place,
    /// The key path.
    pub path_in_file: String,
    /// What a message does.
    pub reaction: Reaction,
}

/// What a message on a subscription does.
#[derive(Clone, Debug, PartialEq)]
pub enum Reaction {
    /// A request to the service itself, through the proxy's own flow.
    Action(Action),
    /// An answer to the message's reply subject; strings are templates.
    Reply(Data),
}

/// `action: "POST /notify"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The method.
    pub method: Method,
    /// The path, a template.
    pub path: Text,
}
