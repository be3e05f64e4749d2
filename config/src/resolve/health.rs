//! `health:` — what start order waits for: a path, a gRPC service, or a connection.

use super::context::Context;
use super::upstreams;
use crate::decode::At;
use crate::model::{Kind, Scheme, Upstream};
use crate::raw::RawService;

/// `health.path` and `health.grpc`.
pub(super) fn resolve(
    cx: &mut Context<'_>,
    raw: &RawService,
    kind: Kind,
    upstreams: &[Upstream],
) -> (Option<String>, Option<String>) {
    let health = raw.health.as_ref().map(|health| &health.value);
    let path = health.and_then(|health| health.path.as_ref());
    let grpc = health.and_then(|health| health.grpc.as_ref());
    if let Some(name) = grpc {
        if path.is_some() {
            let both = name.spot.error("\"grpc\" stands beside \"path\"");
            cx.push(both.hint("keep one of the two"));
        } else if !upstreams::are_unknown(raw, upstreams) {
            check_grpc(cx, name, upstreams);
        }
        return (None, Some(name.value.clone()));
    }
    let Some(At { spot, value }) = path else {
        // Who speaks HTTP/2 alone is a gRPC server more often than not, and has no pages.
        let has_pages = upstreams.first().is_none_or(|upstream| upstream.scheme != Scheme::H2c);
        let connects = health.is_some_and(|health| health.tcp.is_some());
        let default = raw.command.is_some() && kind == Kind::Http && has_pages && !connects;
        return (default.then(|| "/health".to_owned()), None);
    };
    if kind == Kind::Tcp {
        cx.push(
            spot.error("\"health.path\" means nothing with type: tcp")
                .hint("start order waits until the service accepts connections"),
        );
    } else if !value.0.starts_with('/') || value.0.contains(char::is_whitespace) {
        cx.push(spot.error(format!("{:?} is not a path", value.0)).hint("write it as /health"));
    } else {
        return (Some(value.0.clone()), None);
    }
    (None, None)
}

/// The gRPC service of that name can be asked for at each of these endpoints.
fn check_grpc(cx: &mut Context<'_>, name: &At<String>, upstreams: &[Upstream]) {
    let http2 = |upstream: &Upstream| matches!(upstream.scheme, Scheme::H2c | Scheme::Https);
    let At { spot, value: name } = name;
    if upstreams.is_empty() || !upstreams.iter().all(http2) {
        cx.push(
            spot.error("\"grpc\" stands without an h2c:// or https:// url")
                .hint("gRPC needs HTTP/2; write url: h2c://localhost:50051, or health.path"),
        );
    } else if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        cx.push(
            spot.error(format!("{name:?} is not the name of a gRPC service"))
                .hint("write package.Service, or \"\" for the whole server"),
        );
    }
}
