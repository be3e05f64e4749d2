//! All policies of one place in the file, and how they are inherited.

use super::{
    Auth, Balance, BodyEdits, Breaker, Concurrency, Cors, Eject, HeaderEdits, Mirror, RateLimit,
    Respond, Retry,
};
use std::time::Duration;

/// One policy as a place in the file has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Setting<T> {
    /// Not written: what stands above decides.
    #[default]
    Inherited,
    /// Written as off (`false`, `none`, `0`), whatever stands above.
    Off,
    /// Written.
    On(T),
}

impl<T> Setting<T> {
    /// The policy in force here; `None` when there is none.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::On(value) => Some(value),
            Self::Inherited | Self::Off => None,
        }
    }

    /// Whether something was written here.
    pub fn is_written(&self) -> bool {
        !matches!(self, Self::Inherited)
    }
}

impl<T: Clone> Setting<T> {
    /// This, or what stands above if nothing was written.
    #[must_use]
    pub fn or(&self, above: &Self) -> Self {
        if self.is_written() { self.clone() } else { above.clone() }
    }
}

/// The policies of a service (merged with `defaults`) or of a route (as written). Each is inherited
/// as a whole: a route that writes `retry` has none of its service's `retry`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policies {
    /// `retry`.
    pub retry: Setting<Retry>,
    /// `breaker`. A route that writes it has a breaker of its own.
    pub breaker: Setting<Breaker>,
    /// `eject`, per endpoint; services and defaults only.
    pub eject: Setting<Eject>,
    /// `rate_limit`: all of these have to agree. Never empty.
    pub rate_limit: Setting<Vec<RateLimit>>,
    /// `concurrency`. A route that writes it has a bulkhead of its own.
    pub concurrency: Setting<Concurrency>,
    /// `balance`; services and defaults only.
    pub balance: Setting<Balance>,
    /// `slow_start`: how long a new or recovered endpoint takes to get its whole share; services and
    /// defaults only.
    pub slow_start: Setting<Duration>,
    /// `mirror`.
    pub mirror: Setting<Mirror>,
    /// `headers`.
    pub headers: Setting<HeaderEdits>,
    /// `body`.
    pub body: Setting<BodyEdits>,
    /// `compression`.
    pub compression: Setting<()>,
    /// `auth`.
    pub auth: Setting<Auth>,
    /// `cors`.
    pub cors: Setting<Cors>,
    /// `fallback`: the answer when nothing else can give one.
    pub fallback: Setting<Respond>,
}

impl Policies {
    /// These policies, and those of `above` where nothing was written.
    #[must_use]
    pub fn over(&self, above: &Self) -> Self {
        Self {
            retry: self.retry.or(&above.retry),
            breaker: self.breaker.or(&above.breaker),
            eject: self.eject.or(&above.eject),
            rate_limit: self.rate_limit.or(&above.rate_limit),
            concurrency: self.concurrency.or(&above.concurrency),
            balance: self.balance.or(&above.balance),
            slow_start: self.slow_start.or(&above.slow_start),
            mirror: self.mirror.or(&above.mirror),
            headers: self.headers.or(&above.headers),
            body: self.body.or(&above.body),
            compression: self.compression.or(&above.compression),
            auth: self.auth.or(&above.auth),
            cors: self.cors.or(&above.cors),
            fallback: self.fallback.or(&above.fallback),
        }
    }

    /// Whether nothing was written at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
