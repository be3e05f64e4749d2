//! `timeout:` of defaults, services and routes.

use super::context::Context;
use crate::decode::{At, ShortOr};
use crate::model::{Kind, TimeoutOverrides, Timeouts};
use crate::raw::RawTimeout;
use std::time::Duration;

/// The timers that were written; a bare duration is the whole request's.
pub(super) fn read(raw: ShortOr<At<Duration>, RawTimeout>) -> RawTimeout {
    match raw {
        ShortOr::Short(request) => RawTimeout { request: Some(request), ..RawTimeout::default() },
        ShortOr::Long(timers) => timers,
    }
}

/// The timer, unless it would fire at once.
pub(super) fn positive(cx: &mut Context<'_>, timer: Option<At<Duration>>) -> Option<Duration> {
    let timer = timer?;
    if timer.value.is_zero() {
        cx.push(
            timer
                .spot
                .error("a timeout of 0 would fail every request")
                .hint("write how long to wait, such as 30s"),
        );
        return None;
    }
    Some(timer.value)
}

/// What is inherited, overridden by what was written.
pub(super) fn merge(cx: &mut Context<'_>, raw: RawTimeout) -> Timeouts {
    let inherited = cx.timeout;
    overrides(cx, raw).over(inherited)
}

/// The timers that were written.
pub(super) fn overrides(cx: &mut Context<'_>, raw: RawTimeout) -> TimeoutOverrides {
    TimeoutOverrides {
        connect: positive(cx, raw.connect),
        first_byte: None,
        per_try: None,
        request: positive(cx, raw.request),
        idle: positive(cx, raw.idle),
    }
}

/// The timers of a service.
pub(super) fn of_service(
    cx: &mut Context<'_>,
    raw: Option<At<ShortOr<At<Duration>, RawTimeout>>>,
    kind: Kind,
) -> Timeouts {
    let mut timers = raw.map(|raw| read(raw.value)).unwrap_or_default();
    if kind != Kind::Tcp {
        return merge(cx, timers);
    }
    if let Some(request) = timers.request.take() {
        cx.push(
            request
                .spot
                .error("a timeout of requests means nothing with type: tcp")
                .hint("write timeout: { connect: 2s, idle: 5m }"),
        );
    }
    Timeouts { request: None, ..merge(cx, timers) }
}
