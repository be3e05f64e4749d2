//! Canaries: shares by weight, clients that stay with what they got first, cookies as conditions.

use stitch_kit::http::{self, Connection, Response};
use stitch_kit::{Scratch, Stitch, curl, free_port, wait_until};

/// Mocks that say their own name, and routes.
fn mocks(names: &[&str], routes: &str) -> String {
    let one = |name: &&str| {
        format!("  {name}: {{ endpoints: [{{ path: /**, method: ANY, response: {name} }}] }}\n")
    };
    format!("services:\n{}routes:\n{routes}", names.iter().map(one).collect::<String>())
}

/// `/**` to `old` and `new` with these weights, and a client stays.
fn sticky(old: u32, new: u32) -> String {
    mocks(
        &["old", "new"],
        &format!(
            "- match: /**\n  \
               to: [{{ service: old, weight: {old} }}, {{ service: new, weight: {new} }}]\n  \
               sticky: version\n"
        ),
    )
}

fn get(stitch: &Stitch, cookie: &str) -> Response {
    http::get(stitch.proxy(), "/shop", &[("cookie", cookie)])
}

#[test]
fn shares_follow_the_weights() {
    const REQUESTS: u32 = 3000;
    let stitch = Stitch::up(&mocks(
        &["old", "new", "off"],
        "- match: /**\n  to: [{ service: old, weight: 80 }, { service: new, weight: 20 }, \
           { service: off, weight: 0 }]\n",
    ));
    let mut client = Connection::open(stitch.proxy());
    let mut new = 0;
    for _ in 0..REQUESTS {
        let answer = client.request("GET", "/shop", &[], b"");
        assert_eq!(answer.header("set-cookie"), None, "nobody asked to stay");
        match answer.text().as_str() {
            "new" => new += 1,
            other => assert_eq!(other, "old"),
        }
    }
    // Five standard deviations are less than 4 %.
    let share = f64::from(new) / f64::from(REQUESTS);
    assert!((share - 0.2).abs() < 0.04, "{share} instead of 0.2");
}

#[test]
fn curl_stays_with_the_service_that_it_got_first() {
    let stitch = Stitch::up(&sticky(1, 1));
    let (mut old, mut new) = (0, 0);
    // Each client has one chance in two; that 60 of them agree has one in 2^59.
    for number in 0..60 {
        let folder = Scratch::new();
        let jar = folder.join("jar").display().to_string();
        let url = format!("{}/shop", stitch.proxy_url());
        let ask = |urls: &[&str]| {
            let args = [&["-b", &jar, "-c", &jar, "-D", "-", "-w", "\\n"], urls].concat();
            curl(&args).success().stdout
        };
        let first = ask(&[&url]);
        let name = first.lines().last().unwrap_or_default().to_owned();
        let cookie = format!("set-cookie: version={name}; Path=/; HttpOnly; SameSite=Lax");
        assert!(first.contains(&cookie), "{first}");
        let kept = std::fs::read_to_string(&jar).unwrap();
        assert!(kept.contains(&format!("version\t{name}")), "{kept}");
        let later = ask(&[&url, &url, &url]);
        let names = later.lines().filter(|line| ["old", "new"].contains(line));
        assert_eq!(names.collect::<Vec<_>>(), [&name; 3], "{later}");
        assert!(!later.contains("set-cookie"), "{later}");
        *(if name == "old" { &mut old } else { &mut new }) += 1;
        if number >= 4 && old > 0 && new > 0 {
            return;
        }
    }
    panic!("{old} clients got old and {new} got new");
}

#[test]
fn a_cookie_that_names_no_live_target_is_drawn_anew() {
    let stitch = Stitch::up(&sticky(1, 0));
    let stays = get(&stitch, "a=b; version=old");
    assert_eq!((stays.text().as_str(), stays.header("set-cookie")), ("old", None));
    for gone in ["version=new", "version=gone", "version=", "version=OLD", "Version=old", ""] {
        let answer = get(&stitch, gone);
        assert_eq!(answer.text(), "old", "{gone}");
        let cookie = answer.header("set-cookie").unwrap_or_default();
        assert!(cookie.starts_with("version=old; "), "{gone}: {cookie}");
    }
}

#[test]
fn a_canary_that_is_switched_off_loses_its_clients() {
    let stitch = Stitch::up(&sticky(0, 1));
    assert_eq!(get(&stitch, "version=new").text(), "new");
    stitch.rewrite(&sticky(1, 0));
    let limit = std::time::Duration::from_secs(20);
    assert!(wait_until(limit, || get(&stitch, "version=new").text() == "old"));
    let moved = get(&stitch, "version=new");
    assert!(moved.header("set-cookie").unwrap().starts_with("version=old; "));
}

#[test]
fn explain_says_that_clients_stay() {
    let stitch = Stitch::up(&sticky(3, 1));
    let file = stitch.path().display().to_string();
    let explained = Stitch::run(&["explain", &file, "GET", "/shop"]).output().success().stdout;
    for part in ["1/4", "a client stays with the one that its cookie version names"] {
        assert!(explained.contains(part), "{part} is not in {explained}");
    }
}

#[test]
fn nobody_stays_with_what_is_broken_from_the_start() {
    let port = free_port();
    let stitch = Stitch::up(&format!(
        "services:\n  a: {{ url: 'http://127.0.0.1:{port}' }}\n  b: {{ url: 'http://127.0.0.1:{port}' }}\n\
         routes: [{{ match: /**, to: [a, b], sticky: version }}]\n"
    ));
    let answer = get(&stitch, "");
    assert_eq!((answer.status, answer.header("set-cookie")), (502, None));
}

#[test]
fn cookies_and_headers_choose_the_canary() {
    let stitch = Stitch::up(&mocks(
        &["stable", "canary", "both"],
        "- { match: /**, to: stable }\n\
         - { match: { path: /**, cookies: { canary: '1' } }, to: canary }\n\
         - { match: { path: /**, headers: { x-canary: always } }, to: canary }\n\
         - { match: { path: /**, cookies: { canary: '1', beta: yes } }, to: both }\n",
    ));
    for (headers, expected) in [
        (&[("cookie", "session=x; canary=1")][..], "canary"),
        (&[("cookie", "canary=1;beta=yes")], "both"),
        (&[("cookie", "canary=1"), ("cookie", "beta=yes")], "both"),
        (&[("x-canary", "always")], "canary"),
        (&[("cookie", "canary=0")], "stable"),
        (&[("cookie", "xcanary=1")], "stable"),
        (&[("cookie", "canary=\"1\"")], "stable"),
        (&[("x-canary", "never")], "stable"),
        (&[], "stable"),
    ] {
        let answer = http::get(stitch.proxy(), "/shop", headers);
        assert_eq!(answer.text(), expected, "{headers:?}");
    }
}
