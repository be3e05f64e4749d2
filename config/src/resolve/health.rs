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
    if let Some(At { spot, value: name }) = grpc {
        let http2 = |upstream: &Upstream| matches!(upstream.scheme, Scheme::H2c | Scheme::Https);
        if path.is_some() {
            cx.push(spot.error("\"grpc\" stands beside \"path\"").hint("keep one of the two"));
        } else if upstreams::are_unknown(raw, upstreams) {
            // The url is wrong, and has been reported.
        } else if upstreams.is_empty() || !upstreams.iter().all(http2) {
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
        return (None, Some(name.clone()));
    }
    let Some(At { spot, value }) = path else {
        let has_command = raw.command.is_some();
        return ((has_command && kind == Kind::Http).then(|| "/health".to_owned()), None);
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
