//! Policies of `defaults`, services and routes: one step per policy, in the order of the model.

use super::context::Context;
use super::{auth, balance, breaker, edge, edits, limits, mirror, respond, retry};
use crate::decode::At;
use crate::model::{Kind, Policies};
use crate::raw::RawPolicies;

/// Whose policies these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Defaults,
    /// A service by its name.
    Service(String, Kind),
    /// A route by its path, which stays when others are added; with `#2` where it is the second of
    /// that path.
    Route(String),
}

/// The policies of a service over those of `defaults`.
pub(super) fn of_service(
    cx: &mut Context<'_>,
    name: &str,
    kind: Kind,
    raw: RawPolicies,
) -> Policies {
    let own = resolve(cx, raw, &Owner::Service(name.to_owned(), kind));
    match kind {
        Kind::Http => own.over(&cx.policies),
        Kind::Tcp | Kind::Infra => own,
    }
}

/// The policies as written by their owner.
pub(super) fn resolve(cx: &mut Context<'_>, raw: RawPolicies, owner: &Owner) -> Policies {
    Policies {
        retry: retry::resolve(cx, raw.retry, owner),
        breaker: breaker::breaker(cx, raw.breaker, owner),
        eject: breaker::eject(cx, raw.eject, owner),
        headers: edits::headers(cx, raw.headers, owner),
        body: edits::body(cx, raw.body, owner),
        fallback: respond::fallback(cx, raw.fallback, owner),
        mirror: mirror::read(cx, raw.mirror, owner),
        cors: edge::cors(cx, raw.cors, owner),
        compression: edge::compression(cx, raw.compression, owner),
        auth: auth::resolve(cx, raw.auth, owner),
        rate_limit: limits::rate_limit(cx, raw.rate_limit, owner),
        concurrency: limits::concurrency(cx, raw.concurrency, owner),
        balance: balance::balance(cx, raw.balance, owner),
        slow_start: balance::slow_start(cx, raw.slow_start, owner),
    }
}

/// The policy, unless its owner has no requests that it could be about.
pub(super) fn of_requests<T>(
    cx: &mut Context<'_>,
    key: &str,
    raw: Option<At<T>>,
    owner: &Owner,
) -> Option<At<T>> {
    let raw = raw?;
    let (kind, why) = match owner {
        Owner::Service(_, Kind::Tcp) => {
            ("tcp", "the bytes of such a service are passed on as they are")
        }
        Owner::Service(_, Kind::Infra) => ("infra", "the proxy leaves infrastructure alone"),
        Owner::Service(_, Kind::Http) | Owner::Defaults | Owner::Route(_) => return Some(raw),
    };
    let problem = raw.spot.error(format!("{key:?} means nothing with type: {kind}"));
    cx.push(problem.hint(format!("{why}; remove the key or the type")));
    None
}
