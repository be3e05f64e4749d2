//! Changes of a service at run time: `PATCH`, its mode, and the way back.

use crate::admin::{Admin, no_such_service_near, respond, service};
use crate::api::{Change, ChangeProblem, ChangeRefused, SetModeRefused};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use stitch_config::model::Mode;
use stitch_net::{Problem, Reason};

/// How large the body of a change may be.
pub(crate) const MAX_BODY: usize = 64 << 10;

type Body = Result<Bytes, BytesRejection>;
/// What can be said of a body.
type Read<T> = Result<T, Box<Problem>>;

/// A JSON merge patch of the policies of a service.
pub(crate) async fn patch(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match read_patch(name.clone(), &query, &headers, body) {
        Ok(change) => make(admin, change, headers).await,
        Err(problem) => respond(&problem, &headers),
    }
}

fn read_patch(
    service: String,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
    body: Body,
) -> Read<Change> {
    if !is_json(headers) {
        return Err(Problem::new(Reason::BadRequest, "the body is not said to be JSON")
            .status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .hint("send content-type: application/merge-patch+json, or application/json")
            .into());
    }
    let persist = match query.get("persist").map(String::as_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            let detail = format!("persist is neither true nor false but {other:?}");
            return Err(Problem::new(Reason::BadRequest, detail).into());
        }
    };
    let body = read(body)?;
    let wrong = |detail: String| -> Box<Problem> {
        Problem::new(Reason::BadRequest, detail)
            .hint("send the keys to change, such as {\"timeout\": {\"request\": \"5s\"}}")
            .into()
    };
    let keys = match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(patch)) => patch.into_iter().map(|(key, _)| key).collect(),
        Ok(_) => return Err(wrong("the body is not a JSON object".to_owned())),
        Err(error) => return Err(wrong(format!("the body is not JSON: {error}"))),
    };
    // What was read as JSON is UTF-8.
    let patch = String::from_utf8_lossy(&body).into_owned();
    Ok(Change::Patch { service, patch, keys, persist })
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    ["application/json", "application/merge-patch+json"]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}

fn read(body: Body) -> Read<Bytes> {
    body.map_err(|rejection| {
        let problem = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = format!("the body is larger than {} KiB", MAX_BODY >> 10);
                Problem::new(Reason::TooLarge, detail)
            }
            _ => Problem::new(Reason::BadRequest, "the body broke off"),
        };
        problem.into()
    })
}

/// Sets the mode, as a patch of that key alone.
pub(crate) async fn set_mode(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mode = match read(body).and_then(|body| read_mode(&body)) {
        Ok(mode) => mode,
        Err(problem) => return respond(&problem, &headers),
    };
    let problem = match admin.view.refuses_mode(&name, mode) {
        None => {
            let patch = json!({ "mode": mode.as_str() }).to_string();
            let (keys, persist) = (vec!["mode".to_owned()], false);
            let change = Change::Patch { service: name, patch, keys, persist };
            return make(admin, change, headers).await;
        }
        Some(SetModeRefused::Unknown(near)) => no_such_service_near(&name, near),
        Some(SetModeRefused::Impossible(why)) => {
            let detail = format!("{name} cannot be {}: {why}", mode.as_str());
            Problem::new(Reason::BadRequest, detail).status(StatusCode::CONFLICT)
        }
    };
    respond(&problem, &headers)
}

fn read_mode(body: &[u8]) -> Read<Mode> {
    let wanted = serde_json::from_slice::<Map<String, Value>>(body).ok();
    let wanted = wanted.as_ref().and_then(|body| body.get("mode")).and_then(Value::as_str);
    wanted.and_then(Mode::parse).ok_or_else(|| {
        let names = Mode::ALL.map(Mode::as_str).join(", ");
        let detail = match wanted {
            Some(wanted) => format!("there is no mode {wanted:?}"),
            None => "the body names no mode".to_owned(),
        };
        Problem::new(Reason::BadRequest, detail)
            .hint(format!("send {{\"mode\": \"…\"}} with one of: {names}"))
            .into()
    })
}

/// Takes back every change of a service.
pub(crate) async fn undo_all(
    State(admin): State<Admin>,
    Path(service): Path<String>,
    headers: HeaderMap,
) -> Response {
    make(admin, Change::Undo { service, key: None }, headers).await
}

/// Takes back the change of one key.
pub(crate) async fn undo(
    State(admin): State<Admin>,
    Path((service, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    make(admin, Change::Undo { service, key: Some(key) }, headers).await
}

/// Makes a change, and shows the service when it is in force.
async fn make(admin: Admin, change: Change, headers: HeaderMap) -> Response {
    let name = change.service().to_owned();
    match admin.view.change(change).await {
        Ok(()) => service(State(admin), Path(name), headers).await,
        Err(refused) => respond(&problem_of(&name, refused), &headers),
    }
}

fn problem_of(service: &str, refused: ChangeRefused) -> Problem {
    let list = |problems: Vec<ChangeProblem>| -> Value {
        problems.into_iter().map(|problem| json!(problem)).collect()
    };
    match refused {
        ChangeRefused::Unknown(near) => no_such_service_near(service, near),
        ChangeRefused::NotChanged { key, changed } => {
            let detail = format!("{key:?} of {service} was not changed at run time");
            let hint = match changed.as_slice() {
                [] => "nothing of it was".to_owned(),
                keys => format!("changed are: {}", keys.join(", ")),
            };
            Problem::new(Reason::NoEndpoint, detail).hint(hint)
        }
        ChangeRefused::Invalid(problems) => {
            let detail = format!("{service} cannot be changed like that; nothing was");
            Problem::new(Reason::BadRequest, detail)
                .status(StatusCode::UNPROCESSABLE_ENTITY)
                .with("problems", list(problems))
        }
        ChangeRefused::FilesWrong(problems) => Problem::new(
            Reason::BadRequest,
            "the file has problems of its own; nothing was changed",
        )
        .status(StatusCode::CONFLICT)
        .with("problems", list(problems))
        .hint("what is in force was read before they came in; put the file right first"),
        ChangeRefused::Conflict(why) => {
            Problem::new(Reason::BadRequest, why).status(StatusCode::CONFLICT)
        }
        ChangeRefused::Stopping => Problem::new(Reason::Draining, "stitch is stopping"),
    }
}
