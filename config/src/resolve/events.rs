//! Subjects of events, and what a service does with them.

use super::context::Context;
use crate::data::Text;
use crate::decode::{At, FromScalar as _, Many, Record as _, Verb, Word, Wrong};
use crate::model::{Action, Reaction, Subscription};
use crate::raw::RawSubscription;
use std::sync::Arc;

/// Subjects are kept in tries and sent with every message.
const MAX_SUBJECT: usize = 255;

/// Checks a subject: tokens of visible characters, separated by dots.
pub(super) fn check_subject(subject: &str, wildcards: bool) -> Result<(), Wrong> {
    let wrong = |what: &str, hint: &str| {
        Err(Wrong::new(format!("the subject {subject:?} {what}")).hint(hint))
    };
    if subject.len() > MAX_SUBJECT {
        return wrong("is longer than 255 bytes", "shorten it");
    }
    if subject.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return wrong("holds a space", "separate tokens with dots, such as payments.completed");
    }
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        let wild = token.contains(['*', '>']);
        match token {
            "" => {
                return wrong("has an empty token", "write no dot at the ends and no two together");
            }
            _ if wild && !wildcards => {
                return wrong(
                    "holds a wildcard",
                    "an event is published to one subject, without * and >",
                );
            }
            "*" => {}
            ">" if tokens.peek().is_none() => {}
            ">" => {
                return wrong("goes on after \">\"", "\">\" stands for the rest, so it comes last");
            }
            _ if wild => {
                return wrong(
                    "mixes text and a wildcard",
                    "* and > stand for whole tokens: payments.*.done",
                );
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every sound entry of `nats_subscribe`.
pub(super) fn subscriptions(
    cx: &mut Context<'_>,
    raw: Option<At<Many<At<RawSubscription>>>>,
) -> Vec<Arc<Subscription>> {
    let entries = raw.map(|many| many.value.0).unwrap_or_default();
    entries.into_iter().filter_map(|raw| subscription(cx, raw)).collect()
}

fn subscription(cx: &mut Context<'_>, raw: At<RawSubscription>) -> Option<Arc<Subscription>> {
    let At { spot, value: raw } = raw;
    let wrong = raw.has("action") && raw.action.is_none();
    let RawSubscription { subject, action, reply, .. } = raw;
    if let Some(subject) = &subject {
        cx.check(&subject.spot, check_subject(&subject.value.0, true));
    }
    let reaction = match (action, reply) {
        _ if wrong => return None,
        (Some(action), None) => Reaction::Action(cx.check(&action.spot, parse_action(&action))?),
        (None, Some(reply)) => Reaction::Reply(reply.value),
        (Some(_), Some(reply)) => {
            cx.push(
                reply.spot.error("\"reply\" stands beside \"action\"").hint("keep one of the two"),
            );
            return None;
        }
        (None, None) => {
            cx.push(spot.error("the subscription does nothing").hint(
                "write action: \"POST /path\" to call the service, or reply: with an answer",
            ));
            return None;
        }
    };
    Some(Arc::new(Subscription {
        subject: subject?.value.0,
        place: spot.place,
        path_in_file: spot.path.to_string(),
        reaction,
    }))
}

/// `POST /notify`.
fn parse_action(action: &At<Word>) -> Result<Action, Wrong> {
    let text = action.value.0.as_str();
    let wrong = || {
        Wrong::new(format!("{text:?} is not a method and a path"))
            .hint("write it as \"POST /notify\"")
    };
    let (method, path) = text.trim().split_once(char::is_whitespace).ok_or_else(wrong)?;
    let method = match Verb::from_text(method)? {
        Verb::Only(method) => method,
        Verb::Any => return Err(wrong()),
    };
    let path = path.trim_start();
    // A template may hold spaces: /users/{{ message.data.id }}
    let bare_space = path.contains(' ') && !path.contains("{{");
    if !path.starts_with('/') || bare_space {
        return Err(wrong());
    }
    Ok(Action { method, path: Text { text: path.to_owned(), place: action.spot.place } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_follow_nats() {
        for subject in ["a", "payments.done", "a.*.c", "a.>", "*", ">"] {
            assert_eq!(check_subject(subject, true), Ok(()), "{subject}");
        }
        for subject in ["a..b", ".a", "a.", "", "a b", "a.>.c", "a*", "a.b>", &"x".repeat(256)] {
            assert!(check_subject(subject, true).is_err(), "{subject}");
        }
        for subject in ["a.*", ">"] {
            assert!(check_subject(subject, false).is_err(), "{subject}");
        }
    }

    #[test]
    fn actions_have_a_method_and_a_path() {
        let parse = |text: &str| {
            parse_action(&At { spot: crate::yaml::Spot::default(), value: Word(text.to_owned()) })
        };
        let action = parse("POST  /users/{{ message.data.id }}").unwrap();
        assert_eq!(
            (action.method.as_str(), action.path.text.as_str()),
            ("POST", "/users/{{ message.data.id }}")
        );
        for text in ["POST", "/notify", "PSOT /x", "POST x", "ANY /x", "POST /a b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
