//! Which policies are in force, in the order in which a request meets them.

use super::{resilience, traffic};
use crate::dump::{balance_text, time};
use crate::model::{HealthCheck, HealthProbe, Kind, Service, Setting, Timeouts};
use serde::Serialize;

/// One policy in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Described {
    /// The key in the file.
    pub key: &'static str,
    /// What it says, shortly. No secret is in it.
    pub says: String,
}

/// The timers and every policy of a service, as far as they are in force.
pub fn in_force(service: &Service) -> Vec<Described> {
    let policies = &service.policies;
    let mut all = Vec::new();
    let mut add = |key, says: Option<String>| {
        all.extend(says.map(|says| Described { key, says }));
    };
    add("timeout", Some(timers(&service.timeout, service.kind)));
    add("cors", on(&policies.cors, traffic::cors));
    add("auth", on(&policies.auth, traffic::auth));
    for limit in policies.rate_limit.get().into_iter().flatten() {
        add("rate_limit", Some(resilience::rate_limit(limit)));
    }
    add("concurrency", on(&policies.concurrency, resilience::concurrency));
    add("headers", on(&policies.headers, traffic::headers));
    add("body", on(&policies.body, traffic::body));
    add("mirror", on(&policies.mirror, traffic::mirror));
    add("retry", on(&policies.retry, resilience::retry));
    add("breaker", on(&policies.breaker, resilience::breaker));
    add("balance", on(&policies.balance, balance_text));
    add("slow_start", on(&policies.slow_start, |over| time(*over)));
    add("eject", on(&policies.eject, resilience::eject));
    add("health", service.health_check.as_ref().map(check));
    add("fallback", on(&policies.fallback, traffic::fallback));
    add("compression", on(&policies.compression, |()| "as the client accepts it".to_owned()));
    all
}

fn on<T>(setting: &Setting<T>, words: impl FnOnce(&T) -> String) -> Option<String> {
    setting.get().map(words)
}

fn timers(timeouts: &Timeouts, kind: Kind) -> String {
    let idle = time(timeouts.idle);
    let mut text = format!("connect {}", time(timeouts.connect));
    for (name, limit) in [("first_byte", timeouts.first_byte), ("per_try", timeouts.per_try)] {
        if let Some(limit) = limit {
            text.push_str(&format!(", {name} {}", time(limit)));
        }
    }
    if kind == Kind::Tcp {
        return format!("{text}, idle {idle}");
    }
    let request = timeouts.request.map_or_else(|| "none".to_owned(), time);
    format!("{text}, request {request}, idle {idle}")
}

fn check(check: &HealthCheck) -> String {
    let asked = match &check.probe {
        HealthProbe::Http(path) => format!("GET {path}"),
        HealthProbe::Grpc(name) if name.is_empty() => "grpc".to_owned(),
        HealthProbe::Grpc(name) => format!("grpc {name}"),
        HealthProbe::Tcp => "connect".to_owned(),
    };
    let HealthCheck { every, timeout, healthy, unhealthy, .. } = check;
    format!(
        "{asked} every {}, timeout {}; out after {unhealthy}, back after {healthy}",
        time(*every),
        time(*timeout)
    )
}
