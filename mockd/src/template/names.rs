//! Which names a template may mention, checked at load.

use super::chance::RANDOM;
use super::compile::{Role, Site};
use super::lex::{Use, uses};
use super::views::{MESSAGE, REQUEST, RESPONSE};
use minijinja::{Environment, ErrorKind};

/// Names with a meaning of their own.
const RESERVED: [&str; 9] =
    ["request", "response", "vars", "state", "now", "uuid", "random", "message", "calls"];

/// What is wrong with a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// A guess; the name may still turn up at run time.
    pub(super) warning: bool,
}

impl Wrong {
    fn new(message: String, hint: impl Into<Option<String>>) -> Self {
        Self { message, hint: hint.into(), warning: false }
    }
}

/// What a name that was found to be right asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    RequestBody,
}

/// Judges one dotted name, such as `request.body.amount`.
pub(super) fn check(name: &str, site: &Site<'_>, vars: &[&str]) -> Result<Need, Wrong> {
    let mut parts = name.split('.');
    let root = parts.next().unwrap_or_default();
    let member = parts.next();
    match root {
        "request" if site.role.is_message() => Err(elsewhere(root, "a subscription; use message")),
        "request" => {
            known(root, member, &REQUEST)?;
            if let ("path", Some(param)) = (member.unwrap_or_default(), parts.next()) {
                known("request.path", Some(param), site.params)?;
            }
            let reads = matches!(member, None | Some("body" | "body_text"));
            Ok(if reads { Need::RequestBody } else { Need::Nothing })
        }
        "response" if site.role.is_message() => Err(elsewhere(root, "a subscription")),
        "response" if site.role == Role::Body => Err(Wrong::new(
            format!("the body reads {name}, which is made from it"),
            "response.* is for headers and nats_publish".to_owned(),
        )),
        "response" => known(root, member, &RESPONSE).map(|()| Need::Nothing),
        "message" if site.role.is_message() => {
            known(root, member, &MESSAGE).map(|()| Need::Nothing)
        }
        "message" => Err(elsewhere(root, "an endpoint; use request")),
        "vars" => known(root, member, vars).map(|()| Need::Nothing),
        "random" => known(root, member, &RANDOM).map(|()| Need::Nothing),
        "uuid" | "now" => Ok(Need::Nothing),
        "state" | "calls" => {
            Err(Wrong::new(format!("{root} is not supported yet"), "remove it".to_owned()))
        }
        _ => bare(root, site),
    }
}

/// Judges filters, tests and functions.
pub(super) fn check_uses(source: &str, environment: &Environment<'_>) -> Vec<Wrong> {
    let mut state = environment.empty_state();
    let globals: Vec<_> = environment.globals().map(|(name, _)| name).collect();
    let own_names = source.contains("{%");
    let unknown = uses(source).into_iter().filter_map(|found| match found {
        Use::Filter(name) => {
            let error = state.apply_filter(name, &[]).err()?;
            (error.kind() == ErrorKind::UnknownFilter).then_some(("filter", name))
        }
        Use::Test(name) => {
            let error = state.perform_test(name, &[]).err()?;
            (error.kind() == ErrorKind::UnknownTest).then_some(("test", name))
        }
        Use::Call(name) => {
            let known = own_names || globals.contains(&name) || ["uuid", "now"].contains(&name);
            (!known).then_some(("function", name))
        }
    });
    unknown.map(|(kind, name)| Wrong::new(format!("unknown {kind} {name:?}"), None)).collect()
}

fn elsewhere(root: &str, place: &str) -> Wrong {
    Wrong::new(format!("{root} has no meaning in {place}"), None)
}

fn known(root: &str, member: Option<&str>, members: &[&str]) -> Result<(), Wrong> {
    let Some(member) = member else { return Ok(()) };
    if members.contains(&member) {
        return Ok(());
    }
    let hint = match near(member, members) {
        Some(near) => format!("did you mean {root}.{near}?"),
        None if members.is_empty() => format!("{root} has no members here"),
        None => format!("it has {}", members.join(", ")),
    };
    Err(Wrong::new(format!("unknown name {root}.{member}"), hint))
}

/// A name that is looked up in bodies, path and query at run time.
fn bare(name: &str, site: &Site<'_>) -> Result<Need, Wrong> {
    if site.response_keys.iter().any(|key| key == name) {
        return Ok(Need::Nothing);
    }
    match near(name, &RESERVED).filter(|_| !site.params.contains(&name)) {
        Some(near) => Err(Wrong {
            message: format!("{name} is only known if a body or the query holds it"),
            hint: Some(format!("did you mean {near}?")),
            warning: true,
        }),
        None if site.role.is_message() => Ok(Need::Nothing),
        None => Ok(Need::RequestBody),
    }
}

/// The member that differs by a slip of the finger.
fn near<'a>(name: &str, members: &[&'a str]) -> Option<&'a str> {
    let distance = |member: &str| strsim::osa_distance(name, member);
    let close = |member: &&&str| distance(member) <= (member.len() / 3).clamp(1, 2);
    members.iter().filter(close).min_by_key(|member| distance(member)).copied()
}
