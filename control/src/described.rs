//! What each metric is, in the words that are scraped with it.
//!
//! Whoever counts something says so here and in `docs/operations.md`; its labels stand only there.

use metrics::{describe_counter, describe_gauge, describe_histogram};

const COUNTERS: &[(&str, &str)] = &[
    ("stitch_accept_errors_total", "Connections that could not be accepted."),
    ("stitch_access_log_dropped_total", "Lines that the access log had no time to write."),
    ("stitch_auth_total", "Requests by what became of their credentials."),
    ("stitch_bad_requests_total", "What was refused before it became a request."),
    ("stitch_body_edits_total", "Bodies that were to be edited."),
    ("stitch_circuit_breaker_calls_total", "Calls by what breakers made of them."),
    ("stitch_circuit_breaker_transitions_total", "Changes of the states of breakers."),
    ("stitch_concurrency_rejected_total", "Requests that got no place in a bulkhead."),
    ("stitch_endpoint_ejections_total", "How often an endpoint was ejected."),
    ("stitch_events_delivered_total", "Messages that reached a subscription."),
    ("stitch_events_dropped_total", "Messages lost to full queues or cut off as loops."),
    ("stitch_events_failed_total", "Messages whose action or reply failed."),
    ("stitch_events_published_total", "Messages handed to the bus."),
    ("stitch_failures_total", "Answers that did not come from where they were meant to."),
    ("stitch_health_checks_total", "Health checks of endpoints."),
    ("stitch_mirror_requests_total", "Copies of requests for another service."),
    ("stitch_rate_limit_requests_total", "Requests that a rate limit let pass or refused."),
    ("stitch_requests_total", "Requests that were answered."),
    ("stitch_retries_total", "Attempts besides the first, and those that were not allowed."),
    ("stitch_tcp_bytes_total", "Bytes that were relayed."),
    ("stitch_tcp_connections_total", "Relayed connections that ended."),
    ("stitch_tls_tunnels_total", "CONNECT tunnels to declared services with TLS inside."),
    ("stitch_transparent_connections_total", "Connections that the firewall redirected."),
    ("stitch_tunnel_bytes_total", "Bytes of CONNECT tunnels and upgrades that ended."),
    ("stitch_upstream_informational_dropped_total", "1xx answers that were not passed on."),
];

const GAUGES: &[(&str, &str)] = &[
    ("stitch_circuit_breaker_state", "1 for the state that a breaker is in."),
    ("stitch_concurrency_in_flight", "Requests that have a place in a bulkhead."),
    ("stitch_concurrency_limit", "Places that a bulkhead has."),
    ("stitch_concurrency_queued", "Requests that wait for a place in a bulkhead."),
    ("stitch_endpoint_healthy", "Whether health checks of an endpoint pass."),
    ("stitch_endpoints", "Endpoints by the state that they are in."),
    ("stitch_rate_limit_keys", "Keys that a rate limit remembers."),
    ("stitch_requests_in_flight", "Requests that are being answered."),
    ("stitch_tcp_connections_open", "Relayed connections."),
];

const HISTOGRAMS: &[(&str, &str)] =
    &[("stitch_request_duration_seconds", "Time from a request's arrival to its answer's end.")];

/// Tells the recorder in force.
pub(super) fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(*name, *help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(*name, *help);
    }
    for (name, help) in HISTOGRAMS {
        describe_histogram!(*name, *help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_is_described_is_documented_and_the_other_way_round() {
        let described = [COUNTERS, GAUGES, HISTOGRAMS].concat();
        let described: BTreeSet<_> = described.into_iter().map(|(name, _)| name).collect();
        let page = include_str!("../../docs/operations.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `stitch_"));
        let names = rows.flat_map(|row| row.split('|').next().unwrap().split("`, `stitch_"));
        let names: BTreeSet<_> =
            names.map(|name| format!("stitch_{}", name.trim_end_matches(['`', ' ']))).collect();
        assert_eq!(described, names.iter().map(String::as_str).collect());
    }
}
