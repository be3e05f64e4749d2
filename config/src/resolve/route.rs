//! One route: what it claims and where it leads.

use super::body::header_name;
use super::context::Context;
use super::endpoint::unique_id;
use super::fit::BUILT_IN;
use super::policies::{self, Owner};
use super::{edits, mirror, respond, timeouts};
use crate::decode::{
    AnyText, At, Many, Named, NonEmpty, Record as _, RedirectStatus, ShortOr, Verb, Word, Wrong,
};
use crate::model::{Kind, Route, RouteAction, RouteMatch, Target};
use crate::pattern::{PathPattern, PathTemplate};
use crate::problem::Problem;
use crate::raw::{RawMatch, RawRedirect, RawRoute, RawTarget};
use crate::yaml::Spot;
use http::{HeaderName, Method};

/// What `to:` lists: service and weight, or a bare name.
type Destination = ShortOr<At<Word>, RawTarget>;

/// The route, unless what it matches or where it leads is unknown.
pub(super) fn resolve(cx: &mut Context<'_>, number: usize, raw: At<RawRoute>) -> Option<Route> {
    let At { spot, value: mut raw } = raw;
    let matches = raw.matches.take().map(|matches| conditions(cx, matches));
    let pattern = matches.as_ref().map(|matches| &matches.path);
    let timeout = raw.timeout.take();
    let raw_policies = raw.take_policies();
    if let Some(pattern) = pattern {
        edits::check_names(cx, &raw_policies, pattern);
    }
    let written = raw_policies.asked_for();
    let policies = {
        let owner = owner(cx, pattern);
        policies::resolve(cx, raw_policies, &owner)
    };
    let wrong = raw.has("to") && raw.to.is_none()
        || raw.has("redirect") && raw.redirect.is_none()
        || raw.has("respond") && raw.respond.is_none();
    let sticky = raw.sticky.take();
    if let Some(sticky) = sticky.as_ref().filter(|_| raw.to.is_none() && !wrong) {
        cx.push(lonely(sticky));
    }
    let action = match (raw.to, raw.redirect, raw.respond) {
        _ if wrong => return None,
        (None, None, Some(answer)) => {
            refuse_beside_respond(cx, raw.rewrite.map(|rewrite| rewrite.spot), "rewrite");
            RouteAction::Respond(respond::resolve(cx, answer.value))
        }
        (to, redirect, Some(_)) => {
            refuse_beside_respond(cx, to.map(|to| to.spot), "to");
            refuse_beside_respond(cx, redirect.map(|redirect| redirect.spot), "redirect");
            return None;
        }
        (Some(to), None, None) => forward(cx, to, raw.rewrite, pattern, sticky)?,
        (None, Some(to), None) => redirect(cx, to, raw.rewrite, pattern)?,
        (Some(_), Some(redirect), None) => {
            cx.push(
                redirect
                    .spot
                    .error("\"redirect\" stands beside \"to\"")
                    .hint("keep one of the two"),
            );
            return None;
        }
        (None, None, None) => {
            cx.push(
                spot.error("the route leads nowhere")
                    .hint("add to: and a service, redirect: or respond:"),
            );
            return None;
        }
    };
    let timeout = timeouts::of_route(cx, timeout, &services(&action));
    mirror::along(cx, &policies.mirror, &action);
    if !matches!(action, RouteAction::Services { .. }) {
        refuse_without_service(cx, &written);
    }
    let matches = matches?;
    Some(Route {
        id: format!("route {number} {}", matches.path).into(),
        place: spot.place,
        matches,
        priority: raw.priority.unwrap_or(0),
        action,
        timeout,
        policies,
    })
}

/// The services that may get the route's requests.
fn services(action: &RouteAction) -> Vec<&str> {
    match action {
        RouteAction::Services { targets, .. } => {
            targets.iter().map(|target| &*target.service).collect()
        }
        RouteAction::Redirect { .. } | RouteAction::Respond(_) | RouteAction::Stitch => Vec::new(),
    }
}

/// Whose policies they are: the path stays what it is when routes are added or moved.
fn owner(cx: &mut Context<'_>, pattern: Option<&PathPattern>) -> Owner {
    let path = pattern.map(ToString::to_string).unwrap_or_default();
    Owner::Route(unique_id(path, &mut cx.routes))
}

fn everything() -> PathPattern {
    PathPattern::parse("/**").expect("the pattern of every path is well formed")
}

fn conditions(cx: &mut Context<'_>, raw: ShortOr<At<PathPattern>, RawMatch>) -> RouteMatch {
    let raw = match raw {
        ShortOr::Short(path) => RawMatch { path: Some(path), ..RawMatch::default() },
        ShortOr::Long(raw) => raw,
    };
    RouteMatch {
        path: raw.path.map_or_else(everything, |path| path.value),
        hosts: raw.host.map(|list| list.0.0).unwrap_or_default(),
        methods: methods(raw.method),
        headers: headers(cx, raw.headers),
        query: raw
            .query
            .map(|query| query.0)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name.value, value.0))
            .collect(),
        cookies: cookies(cx, raw.cookies),
    }
}

fn methods(raw: Option<NonEmpty<Many<Verb>>>) -> Vec<Method> {
    let verbs = raw.map(|list| list.0.0).unwrap_or_default();
    let methods = verbs.into_iter().map(|verb| match verb {
        Verb::Any => None,
        Verb::Only(method) => Some(method),
    });
    methods.collect::<Option<_>>().unwrap_or_default()
}

fn headers(cx: &mut Context<'_>, raw: Option<Named<AnyText>>) -> Vec<(HeaderName, String)> {
    let headers = raw.map(|headers| headers.0).unwrap_or_default();
    headers
        .into_iter()
        .filter_map(|(name, value)| Some((header_name(cx, &name)?, value.0)))
        .collect()
}

fn cookies(cx: &mut Context<'_>, raw: Option<Named<AnyText>>) -> Vec<(String, String)> {
    let cookies = raw.map(|cookies| cookies.0).unwrap_or_default();
    cookies
        .into_iter()
        .filter_map(|(name, value)| Some((cookie_name(cx, &name.spot, name.value)?, value.0)))
        .collect()
}

/// The name of a cookie, which has the letters of a header's.
fn cookie_name(cx: &mut Context<'_>, spot: &Spot, name: String) -> Option<String> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        cx.push(
            spot.error(format!("{name:?} is not the name of a cookie"))
                .hint("letters, digits, - and _, such as canary"),
        );
        return None;
    }
    Some(name)
}

/// `sticky` without a choice that could stay.
fn lonely(sticky: &At<Word>) -> Problem {
    sticky
        .spot
        .error("\"sticky\" needs several services to choose from")
        .hint("list them under to:, each with its weight, or remove it")
}

fn refuse_beside_respond(cx: &mut Context<'_>, spot: Option<Spot>, key: &str) {
    if let Some(spot) = spot {
        cx.push(
            spot.error(format!("{key:?} stands beside \"respond\""))
                .hint("respond answers by itself; keep one of the two"),
        );
    }
}

/// Policies are about what a service is asked; auth above all must not seem to be in force.
fn refuse_without_service(cx: &mut Context<'_>, written: &[(&'static str, Spot)]) {
    for (key, spot) in written {
        cx.push(
            spot.error(format!("{key:?} stands in a route that leads to no service"))
                .hint("policies are about requests to services; remove it"),
        );
    }
}

fn forward(
    cx: &mut Context<'_>,
    to: At<NonEmpty<Many<Destination>>>,
    rewrite: Option<At<Word>>,
    pattern: Option<&PathPattern>,
    sticky: Option<At<Word>>,
) -> Option<RouteAction> {
    let At { spot, value: NonEmpty(Many(destinations)) } = to;
    if let Some(sticky) = sticky.as_ref().filter(|_| destinations.len() < 2) {
        cx.push(lonely(sticky));
    }
    if matches!(destinations.as_slice(), [ShortOr::Short(name)] if name.value.0 == BUILT_IN) {
        if let Some(rewrite) = rewrite {
            cx.push(
                rewrite.spot.error("\"rewrite\" cannot stand with to: stitch").hint(
                    "the proxy's own paths are /health/live, /health/ready and /metrics; match them as they are",
                ),
            );
        }
        return Some(RouteAction::Stitch);
    }
    let reported = cx.report.errors();
    let targets: Vec<_> =
        destinations.into_iter().filter_map(|destination| target(cx, destination)).collect();
    if targets.iter().map(|target| u64::from(target.weight)).sum::<u64>() == 0 {
        if reported == cx.report.errors() {
            cx.push(
                spot.error("no service gets any of this route's requests")
                    .hint("give one a weight of at least 1"),
            );
        }
        return None;
    }
    let rewrite = rewrite.and_then(|rewrite| template(cx, &rewrite, pattern, false));
    let sticky = sticky.and_then(|sticky| cookie_name(cx, &sticky.spot, sticky.value.0));
    Some(RouteAction::Services { targets, rewrite, sticky })
}

fn target(cx: &mut Context<'_>, raw: Destination) -> Option<Target> {
    let (name, weight) = match raw {
        ShortOr::Short(name) => (name, 1),
        ShortOr::Long(RawTarget { service, weight, .. }) => (service?, weight.unwrap_or(1)),
    };
    if name.value.0 == BUILT_IN {
        cx.push(
            name.spot
                .error("\"stitch\" cannot be one of several services")
                .hint("it stands alone: to: stitch"),
        );
        return None;
    }
    let kind = cx.find_service(&name)?;
    let service = name.value.0.as_str();
    let (what, hint) = match kind {
        Kind::Http => return Some(Target { service: service.into(), weight }),
        Kind::Tcp => (
            "is of type tcp, and routes lead to HTTP services",
            "it is reached by its port, or over TLS by its hosts; route to another service",
        ),
        Kind::Infra => (
            "is infrastructure, which the proxy leaves alone",
            "remove its type: infra, or route to another service",
        ),
    };
    cx.push(name.spot.error(format!("the service {service:?} {what}")).hint(hint));
    None
}

fn redirect(
    cx: &mut Context<'_>,
    raw: At<ShortOr<At<Word>, RawRedirect>>,
    rewrite: Option<At<Word>>,
    pattern: Option<&PathPattern>,
) -> Option<RouteAction> {
    if let Some(rewrite) = rewrite {
        cx.push(
            rewrite
                .spot
                .error("\"rewrite\" stands beside \"redirect\"")
                .hint("keep one of the two"),
        );
    }
    let (to, status) = match raw.value {
        ShortOr::Short(to) => (to, None),
        ShortOr::Long(RawRedirect { to, status, .. }) => (to?, status),
    };
    let to = template(cx, &to, pattern, true)?;
    Some(RouteAction::Redirect { to, status: status.map_or(307, |RedirectStatus(status)| status) })
}

fn template(
    cx: &mut Context<'_>,
    raw: &At<Word>,
    pattern: Option<&PathPattern>,
    url: bool,
) -> Option<PathTemplate> {
    let text = raw.value.0.as_str();
    let absolute = url && (text.starts_with("http://") || text.starts_with("https://"));
    let clean = text.bytes().all(|byte| byte.is_ascii_graphic());
    if !clean || !(text.starts_with('/') || absolute) {
        let what = if url { "a path or absolute URL" } else { "a path" };
        let wrong = Wrong::new(format!("{text:?} is not {what}")).hint(if clean {
            "start it with a slash"
        } else {
            "percent-encode spaces and foreign letters"
        });
        return cx.check(&raw.spot, Err(wrong));
    }
    cx.check(&raw.spot, PathTemplate::parse(text, pattern?))
}
