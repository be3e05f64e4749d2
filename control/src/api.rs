//! What the API shows: plain structs, filled by whoever composes the process.

use serde::Serialize;
use serde_json::{Map, Value};
use stitch_proxy::{PlanView, Reading, TcpReading};

/// One service, as `/api/services` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceView {
    /// Its name, which is its id.
    pub name: String,
    /// `real`, `mock`, `mixed` or `infra`.
    pub kind: &'static str,
    /// The mode in force; absent for infrastructure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    /// The mode in the file, where another one was set at run time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode_in_file: Option<&'static str>,
    /// Where it can be reached.
    pub urls: Vec<String>,
    /// Its real endpoints, and how they are doing.
    pub upstreams: Vec<stitch_proxy::EndpointView>,
    /// Its mocked endpoints.
    pub endpoints: Vec<EndpointView>,
    /// Its subscriptions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<String>,
    /// What it has had to do so far.
    pub counters: Counters,
    /// The policies in force, with what else can be changed at run time.
    pub policies: Value,
    /// What those of them do now that have a state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PlanView>,
    /// The routes to it that have policies of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteView>,
    /// What was changed at run time, as it would be written; `null` where the file's value is taken
    /// away. Secrets are masked.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub overrides: Map<String, Value>,
    /// The program that we run for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Value>,
}

/// A route with policies of its own, on the page of a service that it leads to.
#[derive(Clone, Debug, Serialize)]
pub struct RouteView {
    /// The route's id.
    pub id: String,
    /// What its policies are called, in metrics and as a breaker: `service@route`.
    pub plan: String,
    /// What it asks of a request.
    #[serde(rename = "match")]
    pub matches: Value,
    /// Its own policies; all others are the service's.
    pub policies: Value,
    /// What its policies do now, the service's among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PlanView>,
}

/// Counters by what a service is spoken to in.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum Counters {
    /// Requests, by who answered.
    Requests(Reading),
    /// Connections of a service of type tcp.
    Connections(TcpReading),
}

/// One mocked endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointView {
    /// `payments POST /charge`.
    pub id: String,
    /// The methods that it answers.
    pub methods: Vec<String>,
    /// Its path pattern.
    pub path: String,
    /// Answers so far, failures included.
    pub hits: u64,
    /// Failures injected so far.
    pub failures: u64,
}

/// A change of one service at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Merges a patch into what its files and earlier changes say.
    Patch {
        /// The service.
        service: String,
        /// A JSON object (RFC 7396), as it came.
        patch: String,
        /// Its keys.
        keys: Vec<String>,
        /// Whether the change is written to the overlay file.
        persist: bool,
    },
    /// Takes changes back.
    Undo {
        /// The service.
        service: String,
        /// The key; all without one.
        key: Option<String>,
    },
}

impl Change {
    /// The service that is changed.
    pub fn service(&self) -> &str {
        match self {
            Self::Patch { service, .. } | Self::Undo { service, .. } => service,
        }
    }
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeRefused {
    /// No such service; the nearest name, if one is near.
    Unknown(Option<String>),
    /// There is nothing to take back.
    NotChanged {
        /// The key that was named.
        key: String,
        /// Those that were changed.
        changed: Vec<String>,
    },
    /// The configuration would have problems with it.
    Invalid(Vec<ChangeProblem>),
    /// The files have problems without it.
    FilesWrong(Vec<ChangeProblem>),
    /// It is fine in itself, but cannot be put in force or written.
    Conflict(String),
    /// The process is about to end.
    Stopping,
}

/// One problem of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeProblem {
    /// `line:column` in the body of the request, or `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The key path.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Why a mode was not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetModeRefused {
    /// No such service; the nearest name, if one is near.
    Unknown(Option<String>),
    /// Nothing could answer in that mode.
    Impossible(String),
}
