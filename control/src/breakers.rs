//! `/api/breakers`: what they are, what they do, and who may tell them otherwise.

use crate::admin::{Admin, data, respond};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use stitch_config::{near, notation};
use stitch_net::{Problem, Reason};
use stitch_proxy::breaker::Mode;
use stitch_proxy::{Breaker, Followed};
use tokio::time::Instant;

/// Longest reason, in characters.
const REASON_LENGTH: usize = 200;
/// What the body of a mode may hold.
const KEYS: [&str; 3] = ["mode", "ttl", "reason"];

pub(crate) fn routes() -> Router<Admin> {
    Router::new()
        .route("/breakers", get(list))
        .route("/breakers/events", get(events))
        .route("/breakers/{id}", get(one))
        .route("/breakers/{id}/mode", put(set_mode))
        .route("/breakers/{id}/reset", post(reset))
}

async fn list(State(admin): State<Admin>) -> Response {
    let now = Instant::now();
    let breakers = admin.view.breakers().list();
    data(breakers.iter().map(|breaker| breaker.view(now)).collect::<Vec<_>>())
}

async fn one(State(admin): State<Admin>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    with(&admin, &id, &headers, |_, _| Ok(()))
}

async fn reset(State(admin): State<Admin>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    with(&admin, &id, &headers, |breaker, now| {
        breaker.reset(now);
        Ok(())
    })
}

async fn set_mode(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    with(&admin, &id, &headers, |breaker, now| {
        let wanted = Wanted::read(&body)?;
        breaker.set_mode(wanted.mode, wanted.ttl, wanted.reason, now);
        Ok(())
    })
}

/// Does something with the breaker of that id and shows what it is then.
fn with(
    admin: &Admin,
    id: &str,
    headers: &HeaderMap,
    act: impl FnOnce(&Breaker, Instant) -> Result<(), Wrong>,
) -> Response {
    let breakers = admin.view.breakers();
    let Some(breaker) = breakers.get(id) else {
        let known = breakers.list();
        let hint = match known.is_empty() {
            true => "no service and no route has a breaker; write breaker: true".to_owned(),
            false => near::suggest("breakers", id, known.iter().map(|breaker| &**breaker.id())),
        };
        let problem = Problem::new(Reason::NoService, format!("there is no breaker {id:?}"));
        return respond(&problem.status(StatusCode::NOT_FOUND).hint(hint), headers);
    };
    let now = Instant::now();
    match act(&breaker, now) {
        Ok(()) => data(breaker.view(now)),
        Err(wrong) => respond(&wrong.problem(), headers),
    }
}

/// What somebody wants a breaker to do.
struct Wanted {
    mode: Mode,
    ttl: Option<Duration>,
    reason: Option<Arc<str>>,
}

impl Wanted {
    fn read(body: &[u8]) -> Result<Self, Wrong> {
        let body: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
            wrong(
                format!("the body is no JSON object: {error}"),
                "send {\"mode\": \"forced_open\"}",
            )
        })?;
        if let Some(key) = body.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let hint = near::suggest("keys", key, KEYS);
            return Err(wrong(format!("unknown key {key:?}"), hint));
        }
        let mode = mode(body.get("mode"))?;
        let ttl = ttl(body.get("ttl"))?;
        if mode == Mode::Auto && ttl.is_some() {
            let hint = "auto lasts until another mode is set; leave \"ttl\" out";
            return Err(wrong("\"ttl\" stands beside the mode \"auto\"", hint));
        }
        Ok(Self { mode, ttl, reason: reason(body.get("reason"))? })
    }
}

fn mode(value: Option<&Value>) -> Result<Mode, Wrong> {
    let names = Mode::ALL.map(Mode::as_str).join(", ");
    let hint = format!("send one of: {names}");
    match value {
        None => Err(wrong("\"mode\" is missing", hint)),
        Some(Value::String(name)) => {
            Mode::parse(name).ok_or_else(|| wrong(format!("there is no mode {name:?}"), hint))
        }
        Some(other) => Err(wrong(format!("\"mode\" is {other}, which is no text"), hint)),
    }
}

fn ttl(value: Option<&Value>) -> Result<Option<Duration>, Wrong> {
    const HINT: &str = "send a time such as \"30s\" or \"5m\"";
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text,
        Some(other) => return Err(wrong(format!("\"ttl\" is {other}, which is no text"), HINT)),
    };
    match notation::duration(text) {
        Ok(ttl) if ttl.is_zero() => Err(wrong("a \"ttl\" of 0 is over at once", HINT)),
        Ok(ttl) => Ok(Some(ttl)),
        Err(problem) => {
            let hint = problem.hint.unwrap_or_else(|| HINT.to_owned());
            Err(wrong(format!("\"ttl\": {}", problem.message), hint))
        }
    }
}

fn reason(value: Option<&Value>) -> Result<Option<Arc<str>>, Wrong> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= REASON_LENGTH => {
            Ok(Some(text.as_str().into()))
        }
        Some(Value::String(_)) => {
            let hint = format!("at most {REASON_LENGTH} characters");
            Err(wrong("the \"reason\" is too long", hint))
        }
        Some(other) => {
            Err(wrong(format!("\"reason\" is {other}, which is no text"), "send some words"))
        }
    }
}

/// What is wrong with a request, and what to send instead.
struct Wrong {
    detail: String,
    hint: String,
}

impl Wrong {
    fn problem(self) -> Problem {
        Problem::new(Reason::BadRequest, self.detail).hint(self.hint)
    }
}

fn wrong(detail: impl Into<String>, hint: impl Into<String>) -> Wrong {
    Wrong { detail: detail.into(), hint: hint.into() }
}

/// Every transition as it happens, from behind the one that `Last-Event-ID` names.
async fn events(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let after = match headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?")) {
        None | Some("") => None,
        Some(id) => match id.parse::<u64>() {
            Ok(after) => Some(after),
            Err(_) => {
                let detail = format!("Last-Event-ID is {id:?}, which is no number");
                let wrong = wrong(detail, "send the id of the last event that was read");
                return respond(&wrong.problem(), &headers);
            }
        },
    };
    let follower = admin.view.breakers().transitions().follow(after);
    let events = stream::unfold(follower, |mut follower| async move {
        let followed = follower.next().await?;
        Some((Ok::<_, Infallible>(event(&followed)), follower))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

fn event(followed: &Followed) -> Event {
    match followed {
        Followed::Transition(transition) => Event::default()
            .event("transition")
            .id(transition.seq.to_string())
            .data(json!(transition).to_string()),
        Followed::Missed(count) => {
            Event::default().event("missed").data(json!({ "missed": count }).to_string())
        }
    }
}
