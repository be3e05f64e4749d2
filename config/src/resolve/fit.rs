//! What may stand together in one service, and what a service needs at least.

use super::context::Context;
use crate::decode::{At, Record as _};
use crate::model::Kind;
use crate::raw::{RawService, ServiceType};
use crate::yaml::Spot;

/// The destination that the proxy itself serves.
pub(super) const BUILT_IN: &str = "stitch";

pub(super) fn kind(raw: &RawService) -> Kind {
    match raw.kind.as_ref().map(|kind| kind.value) {
        Some(ServiceType::Infra) => Kind::Infra,
        Some(ServiceType::Tcp) => Kind::Tcp,
        Some(ServiceType::Http | ServiceType::Mock) | None => Kind::Http,
    }
}

/// A name is a DNS label, because it is the first part of the service's hosts.
pub(super) fn name(cx: &mut Context<'_>, name: &At<String>) {
    let text = name.value.as_str();
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let label = (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if text == BUILT_IN {
        cx.push(
            name.spot
                .error(format!(
                    "the name {BUILT_IN:?} is taken: routes use it for the proxy itself"
                ))
                .hint("call the service something else"),
        );
    } else if !label {
        let better: String = text
            .to_ascii_lowercase()
            .chars()
            .map(|c| if inner(c) { c } else { '-' })
            .take(63)
            .collect();
        let better = better.trim_matches('-');
        let rule = "a name is part of a host: lower-case letters, digits and -, at most 63";
        let hint =
            if better.is_empty() { rule.to_owned() } else { format!("{rule}; write {better}") };
        cx.push(name.spot.error(format!("{text:?} cannot be the name of a service")).hint(hint));
    }
}

/// Infrastructure is started by compose and spoken to directly; what only the proxy or `stitch up`
/// could do for it is refused.
pub(super) fn infra(cx: &mut Context<'_>, spot: &Spot, raw: &mut RawService) {
    let refused = [
        ("url", raw.url.take().map(|at| at.spot)),
        ("urls", raw.urls.take().map(|at| at.spot)),
        ("endpoints", raw.endpoints.take().map(|at| at.spot)),
        ("nats_subscribe", raw.nats_subscribe.take().map(|at| at.spot)),
        ("mode", raw.mode.take().map(|at| at.spot)),
        ("mock_on", raw.mock_on.take().map(|at| at.spot)),
        ("hosts", raw.hosts.take().map(|at| at.spot)),
        ("preserve_host", raw.preserve_host.take().map(|at| at.spot)),
        ("timeout", raw.timeout.take().map(|at| at.spot)),
        ("command", raw.command.take().map(|at| at.spot)),
        ("proxied", raw.proxied.take().map(|at| at.spot)),
        ("tls", raw.tls.take().map(|at| at.spot)),
        ("proxy_protocol", raw.proxy_protocol.take().map(|at| at.spot)),
    ];
    for (key, spot) in refused {
        let Some(spot) = spot else { continue };
        cx.push(
            spot.error(format!("{key:?} means nothing with type: infra"))
                .hint("compose starts infrastructure and the proxy leaves it alone; remove the key or the type"),
        );
    }
    if let Some(port) = raw.port.take() {
        cx.push(
            port.spot
                .warning("\"port\" is ignored with type: infra, the proxy does not listen for it")
                .hint("publish ports of the container with ports: [\"4222:4222\"]"),
        );
    }
    if !raw.has("image") && !raw.has("build") {
        cx.push(
            spot.error("an infra service needs an image")
                .hint("write image: nats:2.10-alpine, or build:"),
        );
    }
}

/// Bytes have no requests that could be mocked or told apart.
pub(super) fn tcp(cx: &mut Context<'_>, spot: &Spot, raw: &mut RawService) {
    let refused = [
        ("endpoints", raw.endpoints.take().map(|at| at.spot)),
        ("nats_subscribe", raw.nats_subscribe.take().map(|at| at.spot)),
        ("mode", raw.mode.take().map(|at| at.spot)),
        ("mock_on", raw.mock_on.take().map(|at| at.spot)),
        ("preserve_host", raw.preserve_host.take().map(|at| at.spot)),
    ];
    for (key, spot) in refused {
        let Some(spot) = spot else { continue };
        cx.push(spot.error(format!("{key:?} means nothing with type: tcp")).hint(
            "the bytes of such a service are passed on as they are; remove the key or the type",
        ));
    }
    if !raw.has("url") && !raw.has("urls") {
        cx.push(
            spot.error("a service of type tcp needs a url")
                .hint("write url: tcp://localhost:5432, tls://HOST:PORT or unix:/path"),
        );
    }
}

/// Connections that carry requests are shared by clients, and a PROXY header names one.
pub(super) fn http(cx: &mut Context<'_>, raw: &mut RawService) {
    if let Some(version) = raw.proxy_protocol.take() {
        cx.push(version.spot.error("\"proxy_protocol\" is for services of type tcp").hint(
            "requests of many clients share a connection, and name theirs in x-forwarded-for; \
             proxy.proxy_protocol is for connections that come in",
        ));
    }
}

/// A service is reached, mocked, or at least started by compose.
pub(super) fn purpose(cx: &mut Context<'_>, spot: &Spot, raw: &RawService) {
    let reachable = raw.has("url") || raw.has("urls");
    let mocked = raw.has("endpoints") || raw.has("nats_subscribe");
    let container = raw.has("image") || raw.has("build");
    if reachable || mocked {
        return;
    }
    if let Some(command) = &raw.command {
        cx.push(
            command
                .spot
                .error("\"command\" starts a program, but no \"url\" says where it listens")
                .hint("add the address that the program listens on, such as url: http://localhost:8000"),
        );
    } else if raw.has("command") {
        // It was wrong, and has been reported.
    } else if container {
        cx.push(spot.warning("this container has no \"url\", so the proxy cannot reach it").hint(
            "add url: http://localhost:PORT, or type: infra if the proxy has nothing to do with it",
        ));
    } else {
        cx.push(
            spot.error("the service has neither a url nor endpoints").hint(
                "write url: http://localhost:8000 for a real service, or endpoints: for a mock",
            ),
        );
    }
}

/// Keys that only a container or a program gives a meaning.
pub(super) fn container_keys(cx: &mut Context<'_>, raw: &RawService) {
    let container = raw.has("image") || raw.has("build");
    let only_for_containers = [
        ("ports", raw.ports.as_ref().map(|at| &at.spot)),
        ("volumes", raw.volumes.as_ref().map(|at| &at.spot)),
        ("environment", raw.environment.as_ref().map(|at| &at.spot)),
    ];
    for (key, spot) in only_for_containers {
        if let Some(spot) = spot.filter(|_| !container) {
            cx.push(
                spot.warning(format!("{key:?} does nothing without \"image\" or \"build\"")).hint(
                    if key == "environment" {
                        "a command takes its variables from \"env\""
                    } else {
                        "remove it"
                    },
                ),
            );
        }
    }
    if let Some(env) = raw.env.as_ref().filter(|_| !container && !raw.has("command")) {
        cx.push(
            env.spot
                .error("\"env\" stands without a program or container that could read it")
                .hint("add command:, image: or build:, or remove it"),
        );
    }
    if let Some(proxied) = raw.proxied.as_ref().filter(|_| !raw.has("command")) {
        cx.push(
            proxied
                .spot
                .error("\"proxied\" stands without a command")
                .hint("it gives HTTP_PROXY to the program that \"command\" starts"),
        );
    }
}
