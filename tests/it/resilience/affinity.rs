//! Who gets which endpoint, and keeps it.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;
use stitch_kit::http::{self, Connection, Response};
use stitch_kit::{Answer, Scratch, Stitch, Upstream, curl, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);
const NAMES: [&str; 3] = ["a", "b", "c"];

fn three() -> [Upstream; 3] {
    NAMES.map(|name| Upstream::http(move |_| Answer::new(200, name)))
}

fn urls(upstreams: &[Upstream]) -> String {
    let urls: Vec<_> = upstreams.iter().map(|upstream| format!("'{}'", upstream.url())).collect();
    format!("[{}]", urls.join(", "))
}

fn balanced(upstreams: &[Upstream], balance: &str) -> Stitch {
    Stitch::up(&format!(
        "services:\n  users: {{ urls: {}, balance: '{balance}' }}\n\
         routes:\n- {{ match: '/tenants/{{tenant}}/**', to: users }}\n- {{ match: /**, to: users }}\n",
        urls(upstreams)
    ))
}

/// Each key has to lead to one endpoint every time, and all of them have to reach all three.
#[track_caller]
fn spreads(keys: usize, ask: impl Fn(usize) -> String) {
    let mut homes = HashMap::<String, usize>::new();
    for key in 0..keys {
        let home = ask(key);
        for _ in 0..3 {
            assert_eq!(ask(key), home, "key {key}");
        }
        *homes.entry(home).or_default() += 1;
    }
    let least = keys / 10;
    assert!(
        NAMES.iter().all(|name| homes.get(*name).is_some_and(|count| *count >= least)),
        "{homes:?}"
    );
}

#[test]
fn a_header_a_cookie_or_a_part_of_the_path_leads_to_one_of_three() {
    let upstreams = three();
    for (balance, header) in
        [("hash:header:x-tenant", "x-tenant"), ("hash:cookie:tenant", "cookie")]
    {
        let stitch = balanced(&upstreams, balance);
        spreads(60, |key| {
            let value =
                if header == "cookie" { format!("x=1; tenant=t{key}") } else { format!("t{key}") };
            http::get(stitch.proxy(), "/a", &[(header, &value)]).text()
        });
    }
    let stitch = balanced(&upstreams, "hash:path:tenant");
    spreads(60, |key| http::get(stitch.proxy(), &format!("/tenants/t{key}/{key}"), &[]).text());
}

#[test]
fn a_client_is_led_to_one_of_three_by_its_address() {
    let upstreams = three();
    let stitch = balanced(&upstreams, "hash:client_ip");
    let url = format!("{}/a", stitch.proxy_url());
    spreads(30, |key| {
        let client = format!("127.0.0.{}", key + 2);
        curl(&["--fail", "--interface", &client, &url]).success().stdout
    });
}

#[test]
fn the_keys_of_one_that_is_gone_move_and_only_those() {
    let [a, b, c] = three();
    let address = c.addr();
    let stitch = Stitch::up(&format!(
        "services:\n  users:\n    urls: ['{}', '{}', '{}']\n    balance: hash:header:x-tenant\n    \
         retry: 1\n    health: {{ every: 20ms, tcp: true, unhealthy: 1, healthy: 1, timeout: 2s }}\n",
        a.url(),
        b.url(),
        c.url()
    ));
    let home = |key: usize| {
        let value = format!("t{key}");
        http::get(stitch.proxy(), "/a", &[("host", "users"), ("x-tenant", &value)]).text()
    };
    let homes = || (0..60).map(home).collect::<Vec<_>>();
    let before = homes();
    drop(c);
    assert!(wait_until(PATIENCE, || endpoint(&stitch, address) == "unhealthy"));
    let without = homes();
    for (before, now) in before.iter().zip(&without) {
        assert!(if before == "c" { now != "c" } else { now == before }, "{before} is {now} now");
    }
    assert!(before.iter().any(|home| home == "c"));
    let _c = Upstream::http_on(address, |_| Answer::new(200, "c"));
    assert!(wait_until(PATIENCE, || endpoint(&stitch, address) == "ready"));
    assert_eq!(homes(), before, "they come back");
}

/// The state of an endpoint.
fn endpoint(stitch: &Stitch, address: SocketAddr) -> String {
    let told = http::get(stitch.admin(), "/api/services/users", &[]).json();
    let all = told["data"]["upstreams"].as_array().unwrap();
    let one = all.iter().find(|one| one["address"] == address.to_string()).unwrap();
    one["state"].as_str().unwrap().to_owned()
}

/// A browser: curl with a jar.
struct Browser(Scratch);

impl Browser {
    fn new() -> Self {
        Self(Scratch::new())
    }

    fn get(&self, stitch: &Stitch) -> String {
        let jar = self.0.path().join("jar");
        let jar = jar.to_str().unwrap();
        // Cookies belong to a host, whatever its port.
        let url = format!("http://127.0.0.1:{}/a", stitch.proxy().port());
        curl(&["--fail", "-b", jar, "-c", jar, &url]).success().stdout
    }
}

#[test]
fn a_browser_stays_with_its_endpoint_over_a_restart_and_moves_on_when_it_dies() {
    let upstreams = three();
    let addresses = upstreams.each_ref().map(Upstream::addr);
    let stitch = balanced(&upstreams, "sticky:home");
    let browsers: Vec<_> = (0..12).map(|_| Browser::new()).collect();
    let homes: Vec<_> = browsers.iter().map(|browser| browser.get(&stitch)).collect();
    let distinct: HashSet<_> = homes.iter().collect();
    assert!(distinct.len() >= 2, "{homes:?}");
    let again =
        |stitch: &Stitch| browsers.iter().map(|browser| browser.get(stitch)).collect::<Vec<_>>();
    assert_eq!((again(&stitch), again(&stitch)), (homes.clone(), homes.clone()));
    drop(stitch);

    let text = format!(
        "services:\n  users:\n    urls: {}\n    balance: sticky:home\n    retry: 2\n    \
         health: {{ every: 20ms, tcp: true, unhealthy: 1, timeout: 2s }}\n\
         routes: [{{ match: /**, to: users }}]\n",
        urls(&upstreams)
    );
    let stitch = Stitch::up(&text);
    assert_eq!(again(&stitch), homes, "the cookie means the same to the next stitch");
    let dead = NAMES.iter().position(|name| *name == homes[0]).unwrap();
    let mut left: Vec<_> = upstreams.into_iter().map(Some).collect();
    drop(left[dead].take());
    assert!(wait_until(PATIENCE, || endpoint(&stitch, addresses[dead]) == "unhealthy"));
    let moved = again(&stitch);
    for (home, now) in homes.iter().zip(&moved) {
        assert!(if *home == homes[0] { now != home } else { now == home }, "{homes:?} {moved:?}");
    }
    assert_eq!(again(&stitch), moved, "they stay where they are now");
}

#[test]
fn the_cookie_names_no_address_and_is_sent_once() {
    let upstreams = three();
    let stitch = balanced(&upstreams, "sticky:home");
    let first = http::get(stitch.proxy(), "/a", &[]);
    let cookie = first.header("set-cookie").unwrap();
    let (pair, rest) = cookie.split_once("; ").unwrap();
    assert_eq!(rest, "Path=/; HttpOnly; SameSite=Lax");
    let value = pair.strip_prefix("home=").unwrap();
    assert!(value.len() == 16 && value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{cookie}");
    let second = http::get(stitch.proxy(), "/a", &[("cookie", pair)]);
    assert_eq!((second.text(), second.header("set-cookie")), (first.text(), None));
    let stranger = http::get(stitch.proxy(), "/a", &[("cookie", "home=0123456789abcdef")]);
    assert!(stranger.header("set-cookie").is_some(), "it names nobody");
}

#[test]
fn the_second_tier_works_only_while_the_first_has_nobody() {
    let [a, b, c] = three();
    let (a_at, b_at) = (a.addr(), b.addr());
    let stitch = Stitch::up(&format!(
        "services:\n  users:\n    urls: ['{}', '{}', {{ url: '{}', tier: 2 }}]\n    \
         balance: round_robin\n    retry: 2\n    \
         health: {{ every: 20ms, tcp: true, unhealthy: 1, healthy: 1, timeout: 2s }}\n",
        a.url(),
        b.url(),
        c.url()
    ));
    let is = |address, state: &str| {
        assert!(wait_until(PATIENCE, || endpoint(&stitch, address) == state), "{state}");
    };
    let asked = || {
        let one = || {
            let answer = http::get(stitch.proxy(), "/a", &[("host", "users")]);
            assert_eq!(answer.status, 200);
            answer.text()
        };
        (0..12).map(|_| one()).collect::<HashSet<_>>()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
    assert_eq!(asked(), set(&["a", "b"]));
    drop(a);
    is(a_at, "unhealthy");
    assert_eq!(asked(), set(&["b"]));
    drop(b);
    is(b_at, "unhealthy");
    assert_eq!(asked(), set(&["c"]));
    let _a = Upstream::http_on(a_at, |_| Answer::new(200, "a"));
    is(a_at, "ready");
    assert_eq!(asked(), set(&["a"]), "the first tier has somebody again");
}

/// How often each answered.
fn counted(stitch: &Stitch, requests: usize) -> [usize; 3] {
    let mut connection = Connection::open(stitch.proxy());
    let mut ask = || -> Response { connection.request("GET", "/a", &[("host", "users")], b"") };
    let told: Vec<_> = (0..requests).map(|_| ask().text()).collect();
    NAMES.map(|name| told.iter().filter(|told| *told == name).count())
}

#[test]
fn weights_are_exact_in_turns_and_about_right_by_chance() {
    let [a, b, c] = three();
    let with = |balance: &str| {
        Stitch::up(&format!(
            "services:\n  users:\n    urls:\n    - {{ url: '{}', weight: 5 }}\n    \
             - {{ url: '{}', weight: 3 }}\n    - {{ url: '{}', weight: 2 }}\n    balance: {balance}\n",
            a.url(),
            b.url(),
            c.url()
        ))
    };
    assert_eq!(counted(&with("round_robin"), 100), [50, 30, 20]);
    for balance in ["random", "least_request"] {
        let told = counted(&with(balance), 1000);
        // Five standard deviations: once in a million runs.
        for (told, expected) in told.into_iter().zip([500_usize, 300, 200]) {
            assert!(told.abs_diff(expected) < 80, "{balance}: {told} is not about {expected}");
        }
    }
}

#[test]
fn a_busy_endpoint_gets_less_than_idle_ones() {
    let slow = Upstream::http(|_| Answer::new(200, "a").after(Duration::from_millis(400)));
    let quick = ["b", "c"].map(|name| Upstream::http(move |_| Answer::new(200, name)));
    let stitch = Stitch::up(&format!(
        "services:\n  users:\n    urls: ['{}', '{}', '{}']\n",
        slow.url(),
        quick[0].url(),
        quick[1].url()
    ));
    // Six callers who ask one after another, with a third of the requests each if all were alike.
    super::at_once(6, |_| counted(&stitch, 30));
    let (slow, quick) = (slow.requests().len(), quick.map(|one| one.requests().len()));
    assert_eq!(slow + quick[0] + quick[1], 180);
    assert!(slow * 2 < quick[0] && slow * 2 < quick[1], "{slow} and {quick:?}");
}
