//! Policies of `defaults`, services and routes: one step per policy, in the order of the model.

use super::context::Context;
use crate::model::{Kind, Policies, Setting};
use crate::raw::{OrOff, RawPolicies};

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
pub(super) fn resolve(_cx: &mut Context<'_>, raw: RawPolicies, _owner: &Owner) -> Policies {
    Policies {
        compression: match raw.compression.map(|compression| compression.value) {
            None => Setting::Inherited,
            Some(OrOff::Off) => Setting::Off,
            Some(OrOff::On(_)) => Setting::On(()),
        },
        ..Policies::default()
    }
}
