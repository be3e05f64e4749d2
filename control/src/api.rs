//! What the API shows: plain structs, filled by whoever composes the process.

use serde::Serialize;
use serde_json::Value;
use stitch_proxy::{Reading, TcpReading};

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
    /// The program that we run for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Value>,
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

/// Why a mode was not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetModeRefused {
    /// No such service; the nearest name, if one is near.
    Unknown(Option<String>),
    /// Nothing could answer in that mode.
    Impossible(String),
}
