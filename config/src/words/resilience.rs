//! What is done when a service is slow, down, or asked too much.

use super::numbers::{percent, range};
use crate::dump::{after, time};
use crate::model::{Breaker, Concurrency, Eject, RateLimit, Retry, RetryOn};

/// `3 on connect, reset, 503; 25ms..250ms; budget 20%`.
pub(super) fn retry(retry: &Retry) -> String {
    let (on, wait, budget) = (conditions(&retry.on), range(retry.backoff), percent(retry.budget));
    let mut text = format!("{} on {on}; {wait}; budget {budget}", retry.retries);
    if retry.repeats_unsafe {
        text.push_str("; unsafe");
    }
    if let Some(hedge) = retry.hedge {
        text.push_str(&format!("; hedge after {}, at most {}", after(hedge.after), hedge.max));
    }
    text
}

fn conditions(on: &RetryOn) -> String {
    let words = [
        (on.connect, "connect"),
        (on.reset, "reset"),
        (on.timeout, "timeout"),
        (on.all_5xx, "5xx"),
    ];
    let words = words.into_iter().filter(|(there, _)| *there).map(|(_, word)| word.to_owned());
    let statuses = on.statuses.iter().map(ToString::to_string);
    let all: Vec<_> = words.chain(statuses).chain(on.grpc_names().map(str::to_owned)).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

/// `5 in a row or 50% of 20 in 10s; open 60s`.
pub(super) fn breaker(breaker: &Breaker) -> String {
    let within = format!("{} in {}", breaker.min_calls, time(breaker.window));
    let row = breaker.consecutive.map(|count| format!("{count} in a row"));
    let rate = breaker.failure_rate.map(|rate| format!("{} of {within}", percent(rate)));
    let slow = breaker
        .slow
        .map(|slow| format!("{} over {} of {within}", percent(slow.rate), time(slow.over)));
    let causes: Vec<_> = [row, rate, slow].into_iter().flatten().collect();
    let mut text = format!("{}; open {}", causes.join(" or "), time(breaker.open));
    if breaker.open_factor > 1.0 {
        text.push_str(&format!(", times {} each time", breaker.open_factor));
    }
    text
}

/// `5 in a row; out for 30s; at most 50%`.
pub(super) fn eject(eject: &Eject) -> String {
    let (lasts, most) = (time(eject.lasts), percent(eject.max));
    format!("{} in a row; out for {lasts}; at most {most}", eject.consecutive)
}

/// `100/s by header:x-user; burst 20`.
pub(super) fn rate_limit(limit: &RateLimit) -> String {
    let by = limit.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    format!("{}{by}; burst {}", limit.rate, limit.burst)
}

/// `max 100; queue 20 for 1s`.
pub(super) fn concurrency(concurrency: &Concurrency) -> String {
    match concurrency {
        Concurrency::Fixed { max, queue: 0, .. } => format!("max {max}"),
        Concurrency::Fixed { max, queue, wait } => {
            format!("max {max}; queue {queue} for {}", time(*wait))
        }
        Concurrency::Adaptive { min, max, tolerance } => {
            format!("adaptive {min}..{max}; tolerance {tolerance}")
        }
    }
}
