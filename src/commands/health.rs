//! `stitch health`: one question to the admin API, for container health checks.
//!
//! Where the admin API is, is decided here for `wait` too.

use crate::cli::{Endpoint, HealthArgs};
use crate::exit::{ExitCode, Failure};
use crate::http_get;
use serde_json::Value;
use std::collections::BTreeMap;
use std::env;
use std::io;
use std::time::Duration;

/// Where the admin API is when nothing says otherwise.
pub(super) const DEFAULT_ADMIN: &str = "127.0.0.1:9900";
/// Shorter than what container engines usually allow a health check.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn run(args: &HealthArgs) -> Result<ExitCode, Failure> {
    let admin = match &args.admin {
        Some(admin) => admin.clone(),
        None => match from_env()? {
            Some(admin) => admin,
            None => DEFAULT_ADMIN.parse().map_err(|error: String| Failure::usage(error))?,
        },
    };
    let path = if args.live { "/health/live" } else { "/health/ready" };
    match Health::of(&http_get::get(admin.authority(), path, LIMIT).await) {
        Health::Ready => Ok(ExitCode::Ok),
        other => Err(Failure::runtime(other.describe(&admin, &[]))),
    }
}

/// `$STITCH_ADMIN`.
pub(super) fn from_env() -> Result<Option<Endpoint>, Failure> {
    let Ok(admin) = env::var("STITCH_ADMIN") else { return Ok(None) };
    let admin =
        admin.parse().map_err(|error: String| Failure::usage(format!("STITCH_ADMIN: {error}")))?;
    Ok(Some(admin))
}

/// What the admin API says of itself, or that it says nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// All is well.
    Ready,
    /// These are not ready, and why.
    Waiting(BTreeMap<String, String>),
    /// Something answers that is not what was expected.
    Strange(u16),
    /// Nobody answers.
    Silent(String),
}

impl Health {
    pub(super) fn of(answer: &io::Result<http_get::Answer>) -> Self {
        match answer {
            Err(error) => Self::Silent(error.to_string()),
            Ok(answer) if answer.status.is_success() => Self::Ready,
            Ok(answer) => match waiting_for(&answer.body) {
                Some(missing) => Self::Waiting(missing),
                None => Self::Strange(answer.status.as_u16()),
            },
        }
    }

    /// Whether these services (all, when none is named) are ready.
    pub(super) fn suffices(&self, services: &[String]) -> bool {
        match self {
            Self::Ready => true,
            Self::Waiting(missing) => {
                !services.is_empty() && !services.iter().any(|name| missing.contains_key(name))
            }
            Self::Strange(_) | Self::Silent(_) => false,
        }
    }

    /// What is missing of these services, as a fragment.
    pub(super) fn describe(&self, admin: &Endpoint, services: &[String]) -> String {
        match self {
            Self::Ready => format!("{admin} is ready"),
            Self::Waiting(missing) => {
                let asked = |name: &String| services.is_empty() || services.contains(name);
                let missing = missing.iter().filter(|(name, _)| asked(name));
                let missing: Vec<_> =
                    missing.map(|(name, why)| format!("{name} ({why})")).collect();
                format!("not ready: {}", missing.join(", "))
            }
            Self::Strange(status) => {
                format!("{admin} answers {status}; is that the admin address of stitch?")
            }
            Self::Silent(why) => format!("no stitch answers at {admin}: {why}"),
        }
    }
}

fn waiting_for(body: &[u8]) -> Option<BTreeMap<String, String>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let missing = body.get("waiting_for")?.as_object()?;
    let why = |why: &Value| why.as_str().unwrap_or("not ready").to_owned();
    Some(missing.iter().map(|(name, text)| (name.clone(), why(text))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::answering;
    use http::StatusCode;

    fn answer(status: u16, body: &'static str) -> Health {
        let status = StatusCode::from_u16(status).unwrap();
        Health::of(&Ok(http_get::Answer { status, body: body.into() }))
    }

    fn admin() -> Endpoint {
        DEFAULT_ADMIN.parse().unwrap()
    }

    #[tokio::test]
    async fn the_exit_code_is_the_answer() {
        let answer = |asked| match asked {
            0 => ("200 OK", "{}"),
            _ => ("503 Wait", r#"{"waiting_for":{"users":"starting"}}"#),
        };
        let admin: Endpoint = answering(answer).await.to_string().parse().unwrap();
        let args = |live| HealthArgs { admin: Some(admin.clone()), live };
        assert_eq!(run(&args(true)).await.unwrap(), ExitCode::Ok);
        let failure = run(&args(false)).await.unwrap_err();
        assert_eq!(failure.exit, ExitCode::Runtime);
        assert_eq!(failure.message().unwrap(), "not ready: users (starting)");
    }

    #[test]
    fn waiting_names_what_is_missing() {
        let health = answer(503, r#"{"waiting_for":{"users":"starting","web":"crashed","db":1}}"#);
        let told = "not ready: db (not ready), users (starting), web (crashed)";
        assert_eq!(health.describe(&admin(), &[]), told);
        assert_eq!(health.describe(&admin(), &["web".into()]), "not ready: web (crashed)");
        assert!(!health.suffices(&[]));
        assert!(!health.suffices(&["web".into(), "orders".into()]));
        assert!(health.suffices(&["orders".into()]));
    }

    #[test]
    fn ready_is_enough_for_everyone() {
        let health = answer(200, "{}");
        assert_eq!(health, Health::Ready);
        assert!(health.suffices(&[]) && health.suffices(&["web".into()]));
        assert!(health.describe(&admin(), &[]).ends_with("is ready"));
    }

    #[test]
    fn strangers_and_silence_are_not_ready() {
        let stranger = answer(404, "not here");
        assert_eq!(stranger, Health::Strange(404));
        assert!(stranger.describe(&admin(), &[]).contains("answers 404"));
        let silent = Health::of(&Err(io::ErrorKind::ConnectionRefused.into()));
        assert!(!silent.suffices(&["web".into()]) && !stranger.suffices(&["web".into()]));
        assert!(
            silent.describe(&admin(), &[]).contains("no stitch answers at http://127.0.0.1:9900")
        );
    }
}
