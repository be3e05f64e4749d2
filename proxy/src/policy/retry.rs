//! Whether, and after how long, a request is tried again.
//!
//! Retries multiply load just when there is too much of it. So they are few, spread out, and bound
//! by a budget that is a share of what is in flight, as linkerd and Envoy have it.

use super::{Fault, Outcome};
use http::{HeaderMap, Method};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};
use stitch_config::model::RetryOn;

/// Retries that a budget always allows, however little is in flight.
const FLOOR: u32 = 3;

/// Whether an outcome is worth another attempt.
pub(crate) fn is_worth_another(on: &RetryOn, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Status(status) => on.status(status),
        Outcome::Grpc(code) => on.grpc.contains(&code),
        Outcome::Failed(Fault::Connect) => on.connect,
        Outcome::Failed(Fault::Reset) => on.reset,
        Outcome::Failed(Fault::Timeout) => on.timeout,
        Outcome::Failed(Fault::Deadline | Fault::Ours) => false,
    }
}

/// Whether a request may be sent again after this outcome: nothing has come of it, or its method
/// (RFC 9110 §9.2.2), its `idempotency-key` or the configuration say that twice is as good as once.
/// Every call of gRPC is a POST, and codes have a rule of their own: what was answered without
/// messages (Trailers-Only) may be asked again (gRFC A6).
pub(crate) fn may_repeat(
    method: &Method,
    headers: &HeaderMap,
    repeats_unsafe: bool,
    outcome: Outcome,
) -> bool {
    matches!(outcome, Outcome::Failed(Fault::Connect) | Outcome::Grpc(_))
        || repeats_unsafe
        || method.is_idempotent()
        || headers.contains_key("idempotency-key")
}

/// The wait before retry number `n` (from 1): between nothing and a bound that doubles each time.
/// `draw` is from 0 to 1.
pub(crate) fn backoff((least, most): (Duration, Duration), n: u32, draw: f64) -> Duration {
    let doubled = least.checked_mul(1_u32.checked_shl(n.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.map_or(most, |bound| bound.min(most)).mul_f64(draw.clamp(0.0, 1.0))
}

/// What `Retry-After` asks for (RFC 9110 §10.2.3): seconds, or a date that is compared with `now`.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    let now = jiff::Timestamp::try_from(now).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// How many retries may be in flight: a share of the requests in flight.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    requests: AtomicU32,
    retries: AtomicU32,
}

/// A request that counts.
#[derive(Debug)]
pub(crate) struct Active(Arc<Budget>);

/// A retry in flight.
#[derive(Debug)]
pub(crate) struct Retrying(Arc<Budget>);

impl Budget {
    /// A request has begun.
    pub fn begin(self: &Arc<Self>) -> Active {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Active(self.clone())
    }

    /// Takes a retry out of the budget, if there is one left.
    pub fn take(self: &Arc<Self>, share: f64) -> Option<Retrying> {
        let requests = f64::from(self.requests.load(Ordering::Relaxed));
        let taken = self.retries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |retries| {
            let next = retries + 1;
            (next <= FLOOR || f64::from(next) <= requests * share).then_some(next)
        });
        taken.is_ok().then(|| Retrying(self.clone()))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Retrying {
    fn drop(&mut self) {
        self.0.retries.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const CONNECT: Outcome = Outcome::Failed(Fault::Connect);
    const RESET: Outcome = Outcome::Failed(Fault::Reset);

    #[test]
    fn the_defaults_try_again_what_may_pass() {
        let on = RetryOn::default();
        for (outcome, worth) in [
            (CONNECT, true),
            (RESET, true),
            (Outcome::Failed(Fault::Timeout), true),
            (Outcome::Failed(Fault::Deadline), false),
            (Outcome::Failed(Fault::Ours), false),
            (Outcome::Status(500), false),
            (Outcome::Status(502), true),
            (Outcome::Status(503), true),
            (Outcome::Status(504), true),
            (Outcome::Status(429), false),
            (Outcome::Status(200), false),
            (Outcome::Grpc(14), true),
            (Outcome::Grpc(13), false),
        ] {
            assert_eq!(is_worth_another(&on, outcome), worth, "{outcome:?}");
        }
        let wide = RetryOn { all_5xx: true, ..on };
        assert!(is_worth_another(&wide, Outcome::Status(500)));
        assert!(!is_worth_another(&wide, Outcome::Status(499)));
    }

    #[test]
    fn what_is_not_idempotent_is_repeated_only_if_nothing_happened() {
        let none = HeaderMap::new();
        let mut key = HeaderMap::new();
        key.insert("idempotency-key", HeaderValue::from_static("1"));
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE] {
            assert!(may_repeat(&method, &none, false, RESET), "{method}");
        }
        for method in [Method::POST, Method::PATCH] {
            assert!(!may_repeat(&method, &none, false, RESET), "{method}");
            assert!(!may_repeat(&method, &none, false, Outcome::Status(503)), "{method}");
            assert!(may_repeat(&method, &none, false, CONNECT), "{method}");
            assert!(may_repeat(&method, &key, false, RESET), "{method}");
            assert!(may_repeat(&method, &none, true, RESET), "{method}");
            // Every call of gRPC is a POST.
            assert!(may_repeat(&method, &none, false, Outcome::Grpc(14)), "{method}");
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_are_drawn_from_nothing() {
        let between = (Duration::from_millis(100), Duration::from_secs(1));
        let bounds: Vec<_> = (1..=6).map(|n| backoff(between, n, 1.0).as_millis()).collect();
        assert_eq!(bounds, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff(between, 3, 0.5).as_millis(), 200);
        assert_eq!(backoff(between, 3, 0.0), Duration::ZERO);
        assert_eq!(backoff(between, u32::MAX, 1.0), Duration::from_secs(1));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(value, now), expected, "{value:?}");
        }
    }

    #[test]
    fn retries_are_a_share_of_requests_but_three_are_always_there() {
        let budget = Arc::new(Budget::default());
        let requests: Vec<_> = (0..40).map(|_| budget.begin()).collect();
        let mut retries: Vec<_> = std::iter::from_fn(|| budget.take(0.2)).collect();
        assert_eq!(retries.len(), 8);
        retries.pop();
        assert!(budget.take(0.2).is_some(), "one was given back, and so is this");
        drop(requests);
        assert!(budget.take(0.2).is_none());
        retries.truncate(2);
        retries.extend(budget.take(0.2));
        assert_eq!(retries.len(), 3);
        assert!(budget.take(0.2).is_none());
    }

    #[test]
    fn a_budget_is_exact_from_many_threads() {
        let budget = Arc::new(Budget::default());
        let _requests: Vec<_> = (0..100).map(|_| budget.begin()).collect();
        let most = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        let _retry = budget.take(0.1);
                        most.fetch_max(budget.retries.load(Ordering::Relaxed), Ordering::Relaxed);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 10);
        assert_eq!(budget.retries.load(Ordering::Relaxed), 0);
    }
}
