//! `mirror`: who is copied to whom, and that no copy comes back to where it began.

use super::context::Context;
use super::graph;
use super::policies::{Owner, of_requests};
use crate::decode::{At, ShortOr, Word};
use crate::model::{Kind, Mirror, RouteAction, Setting};
use crate::raw::{MirrorChoice, OrOff, RawMirror};
use crate::yaml::Spot;
use std::sync::Arc;

/// Copies in flight at once, unless the file says otherwise.
const MAX: u32 = 64;
/// Largest body that is copied, unless the file says otherwise.
const MAX_BODY: u64 = 64 * 1024;

/// Who is mirrored to whom.
#[derive(Debug, Default)]
pub(super) struct Mirrors {
    calls: graph::Calls,
    /// What services inherit.
    inherited: Option<(Arc<str>, Spot)>,
    /// Where the route that is being read writes its own.
    route: Option<Spot>,
}

impl Mirrors {
    /// Reports every circle.
    pub(super) fn check(&self, cx: &mut Context<'_>) {
        self.calls.check(
            cx,
            "services mirror to each other in a circle",
            "remove one of these mirrors: a copy is not copied again",
        );
    }
}

/// The policy as written by its owner.
pub(super) fn read(
    cx: &mut Context<'_>,
    raw: Option<At<OrOff<MirrorChoice>>>,
    owner: &Owner,
) -> Setting<Mirror> {
    cx.mirrors.route = None;
    if raw.is_none()
        && let Owner::Service(name, Kind::Http) = owner
        && let Some((to, spot)) = cx.mirrors.inherited.clone()
    {
        let hint = "remove the mirror from \"defaults\", or write mirror: false in that service";
        link(cx, name, &to, &spot, hint);
    }
    let Some(At { spot, value }) = of_requests(cx, "mirror", raw, owner) else {
        return Setting::Inherited;
    };
    if let Owner::Route(_) = owner {
        cx.mirrors.route = Some(spot.clone());
    }
    let OrOff::On(raw) = value else { return Setting::Off };
    let Some(mirror) = resolve(cx, raw) else { return Setting::Inherited };
    match owner {
        Owner::Defaults => cx.mirrors.inherited = Some((mirror.to.clone(), spot)),
        Owner::Service(name, _) => {
            link(cx, name, &mirror.to, &spot, "name another service");
        }
        Owner::Route(_) => {}
    }
    Setting::On(mirror)
}

/// What a route's mirror means for the services that it leads to.
pub(super) fn along(cx: &mut Context<'_>, mirror: &Setting<Mirror>, action: &RouteAction) {
    let Some(spot) = cx.mirrors.route.take() else { return };
    match (action, mirror) {
        (RouteAction::Services { targets, .. }, Setting::On(mirror)) => {
            for target in targets {
                let hint = "name a service that the route does not lead to";
                link(cx, &target.service, &mirror.to, &spot, hint);
            }
        }
        (RouteAction::Services { .. }, _) => {}
        _ => cx.push(
            spot.error("\"mirror\" stands in a route that leads to no service")
                .hint("what the proxy answers itself is not sent anywhere; remove it"),
        ),
    }
}

fn link(cx: &mut Context<'_>, from: &str, to: &str, spot: &Spot, hint: &str) {
    if from == to {
        cx.push(spot.error(format!("{from:?} would be mirrored to itself")).hint(hint));
    } else {
        cx.mirrors.calls.add(from, to, spot);
    }
}

fn resolve(cx: &mut Context<'_>, raw: MirrorChoice) -> Option<Mirror> {
    let raw = match raw {
        ShortOr::Short(to) => RawMirror { to: Some(to), ..RawMirror::default() },
        ShortOr::Long(raw) => raw,
    };
    if let Some(At { spot, .. }) = raw.percent.as_ref().filter(|percent| percent.value.0 <= 0.0) {
        cx.push(
            spot.error("a mirror of 0 per cent copies nothing")
                .hint("write a larger share, or mirror: false"),
        );
    }
    if let Some(At { spot, .. }) = raw.max.as_ref().filter(|max| max.value == 0) {
        cx.push(
            spot.error("a mirror with max: 0 copies nothing")
                .hint("write at least 1, or mirror: false"),
        );
    }
    Some(Mirror {
        to: target(cx, &raw.to?)?,
        share: raw.percent.map_or(1.0, |percent| percent.value.0),
        max: raw.max.map_or(MAX, |max| max.value),
        max_body: raw.max_body.map_or(MAX_BODY, |size| size.value.0),
    })
}

/// The declared service, if it has requests.
fn target(cx: &mut Context<'_>, name: &At<Word>) -> Option<Arc<str>> {
    let service = name.value.0.as_str();
    let what = match cx.find_service(name)? {
        Kind::Http => return Some(service.into()),
        Kind::Tcp => "is of type tcp, and copies are HTTP requests",
        Kind::Infra => "is infrastructure, which the proxy leaves alone",
    };
    cx.push(
        name.spot
            .error(format!("the service {service:?} {what}"))
            .hint("mirror to a service with a url or endpoints"),
    );
    None
}
