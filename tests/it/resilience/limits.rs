//! Rate limits: who is counted together, how many come through, and what the others are told.

use super::{ask, at_once, get, in_front_of, metric, with_status};
use crate::grpc::trailers_only;
use std::time::Duration;
use stitch_kit::http::{self, Response};
use stitch_kit::{Stitch, Upstream, curl, wait_until};

/// The status that curl gets, which asks from one of the addresses of this machine.
fn from(stitch: &Stitch, client: &str) -> String {
    let url = format!("{}/a", stitch.proxy_url());
    let ask = ["--interface", client, "-o", "/dev/null", "-w", "%{http_code}", "-H", "host: users"];
    curl(&[&ask[..], &[&url]].concat()).success().stdout
}

/// The status that a program gets which uses stitch as its proxy under this name.
fn by_caller(stitch: &Stitch, caller: &str) -> String {
    let proxy = format!("http://{caller}:x@{}", stitch.proxy());
    let ask = ["-x", &proxy, "-o", "/dev/null", "-w", "%{http_code}", "http://users/a"];
    curl(&ask).success().stdout
}

fn at(stitch: &Stitch, host: &str, target: &str) -> u16 {
    http::get(stitch.proxy(), target, &[("host", host)]).status
}

/// Which limit refused it.
fn limit_of(answer: &Response) -> String {
    assert_eq!((answer.status, answer.header("x-stitch-reason")), (429, Some("rate_limited")));
    answer.json()["limit"].as_str().unwrap().to_owned()
}

#[test]
fn of_sixty_callers_at_once_exactly_the_twenty_that_the_limit_allows_come_through() {
    let upstream = Upstream::echo();
    let stitch = in_front_of(&upstream, "    rate_limit: 20/h\n");
    let answers = at_once(60, |_| get(&stitch));
    assert_eq!((with_status(&answers, 200), with_status(&answers, 429)), (20, 40));
    assert_eq!(upstream.requests().len(), 20);
    for (outcome, count) in [("allowed", 20.0), ("refused", 40.0)] {
        let labels = ["\"users#1\"", &format!("\"{outcome}\"")];
        let told = metric(&stitch, "stitch_rate_limit_requests_total", &labels);
        assert!(told.eq(&count), "{outcome}: {told}");
    }
}

#[test]
fn tokens_come_back_one_by_one() {
    let upstream = Upstream::echo();
    let stitch = in_front_of(&upstream, "    rate_limit: { rate: 2/s, burst: 1 }\n");
    let start = std::time::Instant::now();
    let mut through = 0;
    // Every half a second somebody gets through, however many ask.
    assert!(wait_until(Duration::from_secs(20), || {
        through += usize::from(get(&stitch).status == 200);
        through == 4
    }));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1450), "{took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(upstream.requests().len(), 4);
}

#[test]
fn who_is_refused_is_told_when_to_come_again_and_by_which_limit() {
    let upstream = Upstream::echo();
    let stitch = in_front_of(&upstream, "    rate_limit: 2/m\n");
    assert_eq!([get(&stitch).status, get(&stitch).status], [200, 200]);
    let answer = get(&stitch);
    assert_eq!(limit_of(&answer), "users#1");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((20..=30).contains(&wait), "a token comes every 30 s: {wait}");
    assert_eq!(answer.header("ratelimit-policy"), Some("\"users#1\";q=2;w=60"));
    assert_eq!(answer.header("ratelimit"), Some(&*format!("\"users#1\";r=0;t={wait}")));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

#[test]
fn each_address_of_a_client_has_a_bucket_of_its_own() {
    let upstream = Upstream::echo();
    let stitch = in_front_of(&upstream, "    rate_limit: { rate: 2/h, by: client_ip }\n");
    for client in ["127.0.0.2", "127.0.0.3", "127.0.0.4"] {
        let told: Vec<_> = (0..4).map(|_| from(&stitch, client)).collect();
        assert_eq!(told, ["200", "200", "429", "429"], "{client}");
    }
    assert_eq!(upstream.requests().len(), 6);
    assert!(metric(&stitch, "stitch_rate_limit_keys", &["\"users#1\""]).eq(&3.0));
}

#[test]
fn each_value_of_a_header_has_a_bucket_and_those_without_share_one() {
    let upstream = Upstream::echo();
    let stitch = in_front_of(&upstream, "    rate_limit: { rate: 2/h, by: header:x-key }\n");
    for headers in [&[("x-key", "a")][..], &[("X-Key", "b")], &[]] {
        let told = [0; 3].map(|_| ask(&stitch, "GET", headers, "").status);
        assert_eq!(told, [200, 200, 429], "{headers:?}");
    }
}

#[test]
fn each_caller_has_a_bucket_of_its_own() {
    let upstream = Upstream::echo();
    let stitch = in_front_of(&upstream, "    rate_limit: { rate: 2/h, by: caller }\n");
    for caller in ["web", "batch"] {
        let told: Vec<_> = (0..3).map(|_| by_caller(&stitch, caller)).collect();
        assert_eq!(told, ["200", "200", "429"], "{caller}");
    }
    assert_eq!(upstream.requests().len(), 4);
}

#[test]
fn services_that_inherit_a_limit_share_it_and_a_route_has_its_own() {
    let upstream = Upstream::echo();
    let url = upstream.url();
    let stitch = Stitch::up(&format!(
        "defaults: {{ rate_limit: 3/h }}\n\
         services:\n\
         \x20 one: {{ url: '{url}' }}\n\
         \x20 two: {{ url: '{url}' }}\n\
         \x20 own: {{ url: '{url}', rate_limit: 1/h }}\n\
         \x20 free: {{ url: '{url}', rate_limit: none }}\n\
         routes:\n\
         - {{ match: /login, to: own, rate_limit: 2/h }}\n\
         - {{ match: /open, to: own, rate_limit: none }}\n\
         - {{ match: /plain, to: own }}\n"
    ));
    let told = ["one", "two", "one", "two", "one"].map(|host| at(&stitch, host, "/a"));
    assert_eq!(told, [200, 200, 200, 429, 429]);
    let refused = http::get(stitch.proxy(), "/a", &[("host", "one")]);
    assert_eq!(limit_of(&refused), "defaults#1");
    assert_eq!([0; 5].map(|_| at(&stitch, "free", "/a")), [200; 5]);
    assert_eq!([0; 3].map(|_| at(&stitch, "any", "/login")), [200, 200, 429]);
    assert_eq!(limit_of(&http::get(stitch.proxy(), "/login", &[])), "route /login#1");
    assert_eq!([0; 5].map(|_| at(&stitch, "any", "/open")), [200; 5]);
    // A route that says nothing has what its service has, and the same bucket.
    assert_eq!([at(&stitch, "own", "/a"), at(&stitch, "any", "/plain")], [200, 429]);
    assert_eq!(limit_of(&http::get(stitch.proxy(), "/plain", &[])), "own#1");
}

#[test]
fn of_several_limits_the_narrowest_is_asked_first_and_what_it_gave_stays_spent() {
    let upstream = Upstream::echo();
    let stitch = in_front_of(
        &upstream,
        "    rate_limit:\n      - 3/h\n      - { rate: 4/h, by: header:x-key }\n",
    );
    let as_a = || ask(&stitch, "GET", &[("x-key", "a")], "");
    assert_eq!([0; 3].map(|_| as_a().status), [200; 3]);
    // The key still has one token. It is spent although everybody's limit refuses.
    assert_eq!(limit_of(&as_a()), "users#1");
    assert_eq!(limit_of(&as_a()), "users#2");
    assert_eq!(limit_of(&ask(&stitch, "GET", &[("x-key", "b")], "")), "users#1");
    assert_eq!(upstream.requests().len(), 3);
}

#[test]
fn a_grpc_caller_is_told_resource_exhausted() {
    let upstream = Upstream::echo();
    let stitch = in_front_of(&upstream, "    rate_limit: 1/h\n");
    assert_eq!(get(&stitch).status, 200);
    let headers = trailers_only(&format!("{}/a.B/C", stitch.proxy_url()), "users", &[]);
    assert!(headers.contains("\ngrpc-status: 8\r"), "{headers}");
    for name in ["retry-after: ", "ratelimit: ", "ratelimit-policy: ", "x-stitch-reason: rate_"] {
        assert!(headers.contains(&format!("\n{name}")), "{name} is not in {headers}");
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_limit_outlives_a_reload_that_is_about_something_else() {
    let upstream = Upstream::echo();
    let text = |rate: &str, more: &str| {
        format!(
            "services:\n  users:\n    url: '{}'\n    rate_limit: {rate}\n{more}",
            upstream.url()
        )
    };
    let stitch = Stitch::up(&text("2/h", ""));
    let reloaded = |text: &str| {
        let so_far = || stitch.stdout().matches("\"event\":\"reloaded\"").count();
        let before = so_far();
        stitch.rewrite(text);
        assert!(wait_until(Duration::from_secs(20), || so_far() > before), "{}", stitch.stdout());
    };
    assert_eq!([0; 3].map(|_| get(&stitch).status), [200, 200, 429]);
    reloaded(&text("2/h", "    timeout: 9s\n"));
    assert_eq!(get(&stitch).status, 429, "what was spent stays spent");
    reloaded(&text("3/h", "    timeout: 9s\n"));
    assert_eq!([0; 4].map(|_| get(&stitch).status), [200, 200, 200, 429], "a new limit is full");
}

#[test]
fn mocks_are_limited_too_also_those_that_are_found_by_their_path() {
    let stitch = Stitch::up(
        "services:\n  users:\n    rate_limit: 3/h\n    endpoints: [{ path: /a, response: mock }]\n",
    );
    assert_eq!([at(&stitch, "users", "/a"), at(&stitch, "any.test", "/a")], [200, 200]);
    let answer = http::get(stitch.proxy(), "/a", &[]);
    assert_eq!((answer.status, answer.header("x-stitch-source")), (200, Some("mock")));
    assert_eq!([at(&stitch, "users", "/a"), at(&stitch, "any.test", "/a")], [429, 429]);
    assert_eq!(at(&stitch, "any.test", "/none"), 404, "what is nobody's is not limited");
}

#[test]
fn what_is_refused_is_not_read() {
    let upstream = Upstream::echo();
    let stitch = in_front_of(&upstream, "    rate_limit: 1/h\n");
    assert_eq!(get(&stitch).status, 200);
    let mut client = http::Connection::open(stitch.proxy());
    client.send(
        "POST /a HTTP/1.1\r\nhost: users\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n",
    );
    let answer = client.read_response();
    assert_eq!((answer.status, answer.interim.len()), (429, 0), "nobody asked for the body");
}
