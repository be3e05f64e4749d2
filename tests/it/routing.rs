//! Who gets a request: hosts, ports, urls, routes, in the documented order.

use std::collections::HashMap;
use stitch_kit::http::{self, Connection, Response};
use stitch_kit::{Stitch, Upstream};

fn get(stitch: &Stitch, host: &str, target: &str) -> Response {
    http::get(stitch.proxy(), target, &[("host", host)])
}

/// Mocks that say their own name at every path.
fn mocks(names: &[&str]) -> String {
    let one = |name: &&str| {
        format!("  {name}: {{ endpoints: [{{ path: /**, method: ANY, response: {name} }}] }}\n")
    };
    format!("services:\n{}", names.iter().map(one).collect::<String>())
}

#[test]
fn a_service_answers_to_its_name_and_under_localhost() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!("services: {{ users: {{ url: '{}' }} }}", upstream.url()));
    for host in ["users", "users.localhost", "USERS", "Users.LocalHost:1234", "users:80", "users."]
    {
        let answer = get(&stitch, host, "/who?a=b");
        assert_eq!((answer.status, &answer.json()["target"]), (200, &"/who?a=b".into()), "{host}");
    }
    for host in ["user", "users.example", "a.users", "users.localhost.example"] {
        let answer = get(&stitch, host, "/who");
        assert_eq!(answer.status, 404, "{host}");
        assert_eq!(answer.header("x-stitch-reason"), Some("no_service"), "{host}");
    }
}

#[test]
fn declared_hosts_take_the_place_of_the_name() {
    let stitch = Stitch::up(
        "services:\n  \
         shop: { hosts: [shop.test, 'api.test:81'], endpoints: [{ path: /, response: shop }] }\n  \
         wild: { hosts: '*.test', endpoints: [{ path: /, response: wild }] }\n  \
         deep: { hosts: '*.deep.test', endpoints: [{ path: /, response: deep }] }\n",
    );
    for (host, who) in [
        ("shop.test", "shop"),
        ("shop.test:9", "shop"),
        ("api.test:81", "shop"),
        ("api.test:82", "wild"),
        ("api.test", "wild"),
        ("a.b.test", "wild"),
        ("a.deep.test", "deep"),
    ] {
        assert_eq!(get(&stitch, host, "/").text(), who, "{host}");
    }
    // Its name is no host of it any more: only mocks by path are left, all of them.
    let answer = get(&stitch, "shop", "/nowhere");
    assert_eq!(answer.header("x-stitch-reason"), Some("no_service"));
}

#[test]
fn a_port_of_its_own_beats_every_host() {
    let stitch = Stitch::up(
        "services:\n  a: { port: 0, endpoints: [{ path: /, response: a }] }\n  \
         b: { port: 0, endpoints: [{ path: /, response: b }] }\n\
         routes: [{ match: /**, to: b }]",
    );
    for host in ["a", "b", "example.com"] {
        assert_eq!(http::get(stitch.service("a"), "/", &[("host", host)]).text(), "a");
        assert_eq!(http::get(stitch.service("b"), "/", &[("host", host)]).text(), "b");
    }
    // An absolute target makes no difference there.
    assert_eq!(http::get(stitch.service("a"), "http://b/", &[("host", "b")]).text(), "a");
    let missed = http::get(stitch.service("a"), "/else", &[]);
    assert_eq!(missed.header("x-stitch-reason"), Some("no_endpoint"));
}

#[test]
fn the_most_specific_path_wins_and_captures_are_rewritten() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!(
        "services: {{ users: {{ url: '{}/base' }} }}\nroutes:\n\
         - {{ match: /api/**, to: users, rewrite: /rest/** }}\n\
         - {{ match: '/api/users/{{id}}', to: users, rewrite: '/one/{{id}}/card' }}\n\
         - {{ match: /api/users/me, to: users }}\n\
         - {{ match: '~^/v[12]/ping$', to: users, rewrite: /pong }}\n",
        upstream.url()
    ));
    for (path, seen) in [
        ("/api/users/me", "/base/api/users/me"),
        ("/api/users/7", "/base/one/7/card"),
        ("/api/users/a%2Fb?x=1&y=%20", "/base/one/a%2Fb/card?x=1&y=%20"),
        ("/api/users/7/cart", "/base/rest/users/7/cart"),
        ("/v2/ping", "/base/pong"),
    ] {
        let answer = get(&stitch, "gateway.test", path);
        assert_eq!((answer.status, &answer.json()["target"]), (200, &seen.into()), "{path}");
    }
    assert_eq!(get(&stitch, "gateway.test", "/v3/ping").status, 404);
}

#[test]
fn a_route_can_ask_for_host_method_headers_and_query() {
    let text = mocks(&["host", "method", "header", "query", "rest"])
        + "routes:\n\
         - { match: { path: /**, host: shop.test }, to: host }\n\
         - { match: { path: /**, method: [PUT, DELETE] }, to: method }\n\
         - { match: { path: /**, headers: { x-canary: '1' } }, to: header }\n\
         - { match: { path: /**, query: { v: '2' } }, to: query }\n\
         - { match: /**, to: rest }\n";
    let stitch = Stitch::up(&text);
    let ask = |method, target, headers: &[(&str, &str)]| {
        http::send(stitch.proxy(), method, target, headers, b"").text()
    };
    assert_eq!(ask("GET", "/a", &[("host", "SHOP.test:99")]), "host");
    assert_eq!(ask("PUT", "/a", &[]), "method");
    assert_eq!(ask("DELETE", "/a", &[]), "method");
    assert_eq!(ask("GET", "/a", &[("X-Canary", "1")]), "header");
    assert_eq!(ask("GET", "/a", &[("x-canary", "2")]), "rest");
    assert_eq!(ask("GET", "/a?b=c&v=2", &[]), "query");
    assert_eq!(ask("GET", "/a?v=22", &[]), "rest");
    assert_eq!(ask("POST", "/a", &[]), "rest");
}

#[test]
fn a_host_with_routes_of_its_own_still_meets_those_of_a_wildcard() {
    let text = mocks(&["shop", "wild", "port"])
        + "routes:\n- { match: { host: shop.test, path: /a }, to: shop }\n\
           - { match: { host: 'shop.test:81', path: /c }, to: port }\n\
           - { match: { host: '*.test', path: /** }, to: wild }\n";
    let stitch = Stitch::up(&text);
    assert_eq!(get(&stitch, "shop.test", "/a").text(), "shop");
    assert_eq!(get(&stitch, "shop.test", "/b").text(), "wild");
    assert_eq!(get(&stitch, "shop.test:81", "/c").text(), "port");
    assert_eq!(get(&stitch, "shop.test:81", "/a").text(), "shop");
}

#[test]
fn priority_beats_anything_more_specific() {
    let text = mocks(&["wide", "narrow"])
        + "routes:\n- { match: /a/b, to: narrow }\n- { match: /a/**, to: wide, priority: 1 }\n\
           - { match: /c/b, to: narrow }\n- { match: /c/**, to: wide }\n";
    let stitch = Stitch::up(&text);
    assert_eq!(get(&stitch, "gateway.test", "/a/b").text(), "wide");
    assert_eq!(get(&stitch, "gateway.test", "/c/b").text(), "narrow");
}

#[test]
fn weights_share_the_traffic() {
    let text = mocks(&["old", "new", "never"])
        + "routes: [{ match: /**, to: [{ service: old, weight: 3 }, { service: new }, \
           { service: never, weight: 0 }] }]";
    let stitch = Stitch::up(&text);
    let mut connection = Connection::open(stitch.proxy());
    let mut counts = HashMap::<String, u32>::new();
    for _ in 0..400 {
        let answer = connection.request("GET", "/", &[("host", "gateway.test")], b"");
        *counts.entry(answer.text()).or_default() += 1;
    }
    // Expected 300 and 100; ten standard deviations (8.7) away is no accident.
    assert!((213..387).contains(&counts["old"]), "{counts:?}");
    assert!((13..187).contains(&counts["new"]) && counts.len() == 2, "{counts:?}");
}

#[test]
fn several_urls_share_by_weight_too() {
    let (one, two) = (Upstream::echo(), Upstream::echo());
    let stitch = Stitch::up(&format!(
        "services: {{ users: {{ urls: ['{}', {{ url: '{}', weight: 3 }}] }} }}",
        one.url(),
        two.url()
    ));
    let mut connection = Connection::open(stitch.proxy());
    for _ in 0..200 {
        assert_eq!(connection.request("GET", "/", &[("host", "users")], b"").status, 200);
    }
    let (one, two) = (one.requests().len(), two.requests().len());
    assert_eq!(one + two, 200);
    assert!(one > 5 && two > one, "{one} and {two}");
}

#[test]
fn a_redirect_carries_captures_and_query_along() {
    let stitch = Stitch::up(
        "routes:\n- { match: /old/**, redirect: { to: /new/**, status: 308 } }\n\
         - { match: '/u/{id}', redirect: 'http://users.test/{id}?from=u' }\n",
    );
    let answer = get(&stitch, "gateway.test", "/old/a/b?c=d&e");
    assert_eq!((answer.status, answer.header("location")), (308, Some("/new/a/b?c=d&e")));
    let answer = get(&stitch, "gateway.test", "/u/7?x=1");
    assert_eq!(
        (answer.status, answer.header("location")),
        (307, Some("http://users.test/7?from=u&x=1"))
    );
    // A path cannot write headers, nor make a relative target an absolute one.
    let answer = get(&stitch, "gateway.test", "/old/%0d%0aset-cookie:x");
    assert_eq!(answer.header("location"), Some("/new/%0d%0aset-cookie:x"));
    assert_eq!(answer.header("set-cookie"), None);
}

#[test]
fn stitch_itself_is_a_destination() {
    let stitch =
        Stitch::up("routes: [{ match: /health/**, to: stitch }, { match: /metrics, to: stitch }]");
    let ready = get(&stitch, "gateway.test", "/health/ready");
    assert_eq!((ready.status, ready.json()["status"].as_str()), (200, Some("ready")));
    let metrics = get(&stitch, "gateway.test", "/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().lines().any(|line| line.starts_with("stitch_")), "{}", metrics.text());
    // Read-only, and nothing else of the admin API.
    assert_eq!(get(&stitch, "gateway.test", "/api/services").status, 404);
    let write = http::send(stitch.proxy(), "POST", "/health/ready", &[], b"");
    assert!(matches!(write.status, 404 | 405), "{}", write.status);
}

/// One file in which every step of the order could answer.
fn every_step(upstream: &Upstream) -> String {
    format!(
        "proxy: {{ forward: {{ allow: [] }} }}\nservices:\n  \
         declared: {{ endpoints: [{{ path: /declared, response: declared }}] }}\n  \
         real: {{ url: '{}' }}\n  \
         hosted: {{ endpoints: [{{ path: /declared, response: hosted }}] }}\n  \
         pathed: {{ endpoints: [{{ path: /pathed, response: pathed }}] }}\n  \
         mocked: {{ endpoints: [{{ path: /mocked, response: never }}, {{ path: /only-mocked, response: mocked }}] }}\n\
         routes:\n- {{ match: {{ host: [shop.test, declared], path: /** }}, to: hosted }}\n\
         - {{ match: /declared, to: pathed, rewrite: /pathed }}\n\
         - {{ match: /mocked/**, to: pathed, rewrite: /pathed }}\n",
        upstream.url()
    )
}

#[test]
fn hosts_come_before_urls_before_routes_before_forward_before_paths_before_mocks() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&every_step(&upstream));
    // 2: a declared host, although routes name that host and that path.
    assert_eq!(get(&stitch, "declared", "/declared").text(), "declared");
    // The authority of an absolute target is such a host, whatever Host says.
    assert_eq!(get(&stitch, "shop.test", "http://declared/declared").text(), "declared");
    // 3: the address of a service's url, as an application with HTTP_PROXY would ask for it.
    let answer = get(&stitch, "x", &format!("{}/declared", upstream.url()));
    assert_eq!(answer.header("x-stitch-source"), Some("real"));
    assert_eq!(answer.json()["target"], "/declared");
    // An absolute path with that Host alone is no such target.
    let host = upstream.addr().to_string();
    assert_eq!(get(&stitch, &host, "/declared").text(), "pathed");
    // 4: routes with a host, in both forms.
    assert_eq!(get(&stitch, "shop.test", "/declared").text(), "hosted");
    assert_eq!(get(&stitch, "x", "http://shop.test/declared").text(), "hosted");
    // 5: any other absolute target is for `forward`, not for routes and mocks by path.
    let denied = get(&stitch, "127.0.0.1:1", "http://127.0.0.1:1/pathed");
    assert_eq!((denied.status, denied.header("x-stitch-reason")), (403, Some("denied")));
    // 6 and 7.
    assert_eq!(get(&stitch, "example.com", "/mocked").text(), "pathed");
    assert_eq!(get(&stitch, "example.com", "/only-mocked").text(), "mocked");
    // 8.
    assert_eq!(get(&stitch, "example.com", "/nothing").status, 404);
}

#[test]
fn localhost_in_a_url_is_matched_by_its_addresses_too() {
    let upstream = Upstream::echo();
    let port = upstream.addr().port();
    let stitch = Stitch::up(&format!(
        "proxy: {{ forward: {{ allow: [] }} }}\nservices: {{ users: {{ url: 'http://localhost:{port}' }} }}"
    ));
    let answer = get(&stitch, "x", &format!("http://localhost:{port}/a"));
    assert_eq!(answer.header("x-stitch-source"), Some("real"), "{}", answer.text());
    let answer = get(&stitch, "x", &format!("http://LOCALHOST:{port}/a"));
    assert_eq!(answer.header("x-stitch-source"), Some("real"), "{}", answer.text());
}

#[test]
fn nobody_is_said_with_what_is_near() {
    let stitch = Stitch::up("services: { payments: { endpoints: [{ path: /charges/today }] } }");
    let answer = get(&stitch, "gateway.test", "/charge/today");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("x-stitch-reason"), Some("no_service"));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert!(problem["nearest"].to_string().contains("/charges/today"), "{problem}");
}
