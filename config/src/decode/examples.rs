//! How a policy is written: hints for whoever wrote one value where a map stands, as in
//! `retry: true`. A hint that knows more about the value goes first; see `record`.

/// Key paths below a service, a route or `defaults`, and what may stand there; HEX and SERVICE are
/// for the reader to replace. A path with `defaults` before it is for that place alone.
const EXAMPLES: [(&str, &[&str]); 24] = [
    ("auth", &["auth: { jwt: { jwks: ./keys.json } }", "auth: { basic: { file: ./htpasswd } }"]),
    ("auth.api_key", &["auth: { api_key: { keys: { alice: sha256:HEX } } }"]),
    ("auth.basic", &["auth: { basic: { file: ./htpasswd } }"]),
    ("auth.forward", &["auth: { forward: \"http://localhost:8000/check\" }"]),
    ("auth.jwt", &["auth: { jwt: { jwks: ./keys.json } }"]),
    ("balance", &["balance: round_robin"]),
    ("body", &["body: { response: { remove: $.secret } }"]),
    ("breaker", &["breaker: true", "breaker: { consecutive: 5 }"]),
    ("breaker.slow", &["breaker: { slow: { over: 2s } }"]),
    ("compression", &["compression: true"]),
    ("concurrency", &["concurrency: { max: 64 }", "concurrency: adaptive"]),
    ("concurrency.adaptive", &["concurrency: { adaptive: { max: 200 } }"]),
    ("cors", &["cors: { origins: \"*\" }"]),
    ("defaults.health", &["health: { every: 10s }"]),
    ("eject", &["eject: true", "eject: { consecutive: 5 }"]),
    ("fallback", &["fallback: { status: 503 }"]),
    ("headers", &["headers: { request: { set: { x-from: stitch } } }"]),
    ("health", &["health: { path: /health }"]),
    ("mirror", &["mirror: SERVICE", "mirror: { to: SERVICE, percent: 10% }"]),
    ("rate_limit", &["rate_limit: 100/s", "rate_limit: { rate: 100/s, by: client_ip }"]),
    ("retry", &["retry: 2", "retry: { retries: 2, on: [connect, 503] }"]),
    ("retry.hedge", &["retry: { hedge: { after: p95 } }"]),
    ("slow_start", &["slow_start: 30s"]),
    ("timeout", &["timeout: 30s", "timeout: { request: 30s, connect: 2s }"]),
];

/// What to write at a key path of the file.
pub(super) fn hint(path: &str) -> Option<String> {
    let find = |path: &str| EXAMPLES.iter().find(|(known, _)| *known == path);
    let (_, examples) = find(path).or_else(|| find(below(path)?))?;
    Some(format!("write {}", examples.join(", or ")))
}

/// What a path says below the service or route whose key it is.
fn below(path: &str) -> Option<&str> {
    let (place, rest) = path.split_once('.')?;
    match place {
        "defaults" => Some(rest),
        "services" => rest.split_once('.').map(|(_, rest)| rest),
        _ if place.starts_with("routes[") => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load_text;

    /// What cannot stand in a route.
    const NOT_IN_ROUTES: [&str; 4] = ["balance", "eject", "health", "slow_start"];

    /// A file with a policy in each place that may have it.
    fn files(path: &str, policy: &str) -> Vec<String> {
        let policy = policy.replace("HEX", &"0a".repeat(32)).replace("SERVICE", "b");
        let b = "b: { url: http://localhost:1, mirror: false }";
        let in_service =
            format!("services:\n  {b}\n  a:\n    url: http://localhost:2\n    {policy}\n");
        let in_defaults = format!("defaults:\n  {policy}\nservices:\n  {b}\n");
        let c = "c: { url: http://localhost:3 }";
        let in_route =
            format!("services:\n  {b}\n  {c}\nroutes:\n  - match: /x\n    to: c\n    {policy}\n");
        match path {
            "defaults.health" => vec![in_defaults],
            "health" => vec![in_service],
            path if NOT_IN_ROUTES.contains(&path) => vec![in_service, in_defaults],
            _ => vec![in_service, in_defaults, in_route],
        }
    }

    fn report(file: &str) -> String {
        let loaded = load_text("x.yaml", file, &|_| None);
        loaded.report.render(&loaded.sources)
    }

    #[test]
    fn every_example_works() {
        for (path, examples) in EXAMPLES {
            for example in examples {
                for file in files(path, example) {
                    assert_eq!(report(&file), "", "{file}");
                }
            }
        }
    }

    #[test]
    fn every_example_is_told_for_a_bare_value() {
        for (path, examples) in EXAMPLES {
            let keys: Vec<_> = path.trim_start_matches("defaults.").split('.').collect();
            let told = |value: &str| {
                let value = keys[1..]
                    .iter()
                    .rev()
                    .fold(value.to_owned(), |value, key| format!("{{ {key}: {value} }}"));
                let reports: Vec<_> = files(path, &format!("{}: {value}", keys[0]))
                    .iter()
                    .map(|file| report(file))
                    .collect();
                reports.iter().all(|report| examples.iter().all(|example| report.contains(example)))
            };
            assert!(["true", "5", "5.5"].into_iter().any(told), "{path}");
        }
    }

    #[test]
    fn other_keys_of_these_names_have_no_example() {
        for path in ["routes[0].match.headers", "services.a.endpoints[0].body", "proxy.forward"] {
            assert_eq!(hint(path), None, "{path}");
        }
    }
}
