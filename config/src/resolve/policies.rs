//! Policies of `defaults`, services and routes: one step per policy, in the order of the model.

use super::breaker;
use super::context::Context;
use super::retry;
use super::{edge, mirror};
use super::{edits, respond};
use crate::decode::At;
use crate::model::{Kind, Policies, Setting};
use crate::raw::{Enabled, OrOff, RawPolicies};

/// Whose policies these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Defaults,
    /// A service by its name.
    Service(String, Kind),
    /// A route by its number, from 1.
    Route(usize),
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
        retry: {
            let raw = of_requests(cx, owner, "retry", raw.retry);
            retry::resolve(cx, raw)
        },
        breaker: breaker::breaker(cx, raw.breaker, owner),
        eject: breaker::eject(cx, raw.eject, owner),
        headers: edits::headers(cx, raw.headers, owner),
        body: edits::body(cx, raw.body, owner),
        fallback: respond::fallback(cx, raw.fallback, owner),
        mirror: mirror::read(cx, raw.mirror, owner),
        cors: edge::cors(cx, raw.cors, owner),
        compression: {
            let raw = of_requests(cx, owner, "compression", raw.compression);
            compression(raw)
        },
        ..Policies::default()
    }
}

fn compression(raw: Option<At<OrOff<Enabled>>>) -> Setting<()> {
    match raw.map(|compression| compression.value) {
        None => Setting::Inherited,
        Some(OrOff::Off) => Setting::Off,
        Some(OrOff::On(Enabled)) => Setting::On(()),
    }
}

/// A policy of requests, unless its owner has none: then it is refused.
fn of_requests<T>(
    cx: &mut Context<'_>,
    owner: &Owner,
    key: &str,
    raw: Option<At<T>>,
) -> Option<At<T>> {
    let (Owner::Service(_, kind @ (Kind::Tcp | Kind::Infra)), Some(raw)) = (owner, &raw) else {
        return raw;
    };
    let (kind, why) = match kind {
        Kind::Tcp => ("tcp", "its bytes are passed on as they are, and hold no requests"),
        _ => ("infra", "compose starts infrastructure and the proxy leaves it alone"),
    };
    let wrong = raw.spot.error(format!("{key:?} means nothing with type: {kind}"));
    cx.push(wrong.hint(format!("{why}; remove the key or the type")));
    None
}
