//! Rate limits and bulkheads: names, defaults, inheritance, the dump.

use super::config;
use std::path::Path;
use std::time::Duration;
use stitch_config::model::{Concurrency, LimitKey, RateLimit, Setting};
use stitch_config::{Config, dump, load};

fn limits() -> Config {
    load(Path::new("tests/fixtures/valid/limits.yaml"), &super::env).config
}

fn rate_limits(setting: &Setting<Vec<RateLimit>>) -> Vec<(String, String, u32)> {
    let limits = setting.get().into_iter().flatten();
    limits.map(|limit| (limit.id.to_string(), limit.rate.to_string(), limit.burst)).collect()
}

fn entry(id: &str, rate: &str, burst: u32) -> (String, String, u32) {
    (id.to_owned(), rate.to_owned(), burst)
}

#[test]
fn rate_limits_are_named_after_where_they_are_written() {
    let config = limits();
    let users = &config.service("users").unwrap().policies.rate_limit;
    let expected = [
        entry("users#1", "100/s", 20),
        entry("users#2", "5000/h", 5000),
        entry("users#3", "10/m", 10),
    ];
    assert_eq!(rate_limits(users), expected);
    let [first, second, third] = users.get().unwrap().as_slice() else { panic!("{users:?}") };
    assert_eq!((&first.by, first.keys), (&Some(LimitKey::ClientIp), 100_000));
    let header = LimitKey::Header("x-api-key".parse().unwrap());
    assert_eq!((&second.by, second.keys), (&Some(header), 5000));
    assert_eq!(third.by, None);
    let inherited = &config.service("inheriting").unwrap().policies.rate_limit;
    assert_eq!(rate_limits(inherited), [entry("defaults#1", "1000/s", 1000)]);
    assert_eq!(config.service("open").unwrap().policies.rate_limit, Setting::Off);
    assert_eq!(config.service("db").unwrap().policies.rate_limit, Setting::Inherited);
}

#[test]
fn names_of_routes_limits_stay_when_routes_are_added() {
    let config = limits();
    let of = |route: usize| rate_limits(&config.routes[route].policies.rate_limit);
    assert_eq!(of(0), [entry("route /api/users/**#1", "3/s", 3)]);
    let second = [
        entry("route /api/users/** #2#1", "1/s", 1),
        entry("route /api/users/** #2#2", "30/m", 30),
    ];
    assert_eq!(of(1), second);
    assert_eq!(config.routes[2].policies.rate_limit, Setting::Off);
    let more = super::config(
        "services: { users: { url: \"http://localhost:8000\" } }\n\
         routes:\n\
         \x20 - { match: /first, to: users }\n\
         \x20 - { match: /api/users/**, to: users, rate_limit: 3/s }\n",
    );
    assert_eq!(rate_limits(&more.routes[1].policies.rate_limit), of(0));
}

#[test]
fn bulkheads_as_written() {
    let config = limits();
    let of = |service: &str| config.service(service).unwrap().policies.concurrency.clone();
    let fixed = |max, queue, millis| {
        Setting::On(Concurrency::Fixed { max, queue, wait: Duration::from_millis(millis) })
    };
    let adaptive = |min, max, tolerance| Setting::On(Concurrency::Adaptive { min, max, tolerance });
    assert_eq!(of("users"), fixed(64, 32, 250));
    assert_eq!(of("warned"), fixed(5, 0, 1000));
    assert_eq!(of("orders"), adaptive(2, 50, 1.5));
    assert_eq!(of("inheriting"), adaptive(3, 1000, 2.0));
    assert_eq!(of("small"), adaptive(2, 2, 2.0));
    assert_eq!(of("open"), Setting::Off);
    assert_eq!(config.routes[0].policies.concurrency, fixed(1, 0, 1000));
    assert_eq!(config.routes[1].policies.concurrency, Setting::Inherited);
}

#[test]
fn they_are_in_the_dump() {
    let json = dump(&limits());
    let users = &json["services"]["users"];
    assert_eq!(
        users["rate_limit"][1],
        serde_json::json!({
            "id": "users#2", "rate": "5000/h", "burst": 5000, "by": "header:x-api-key", "keys": 5000,
        })
    );
    assert_eq!(users["concurrency"]["wait"], "250ms");
    assert_eq!(json["services"]["orders"]["concurrency"]["adaptive"]["tolerance"], 1.5);
    assert_eq!(json["services"]["open"]["rate_limit"], false);
    assert_eq!(json["routes"][0]["rate_limit"][0]["id"], "route /api/users/**#1");
    assert!(json["routes"][1]["concurrency"].is_null());
}

#[test]
fn a_list_of_one_is_one() {
    let one = config("services: { a: { url: \"http://localhost:1\", rate_limit: [5/s] } }");
    let short = config("services: { a: { url: \"http://localhost:1\", rate_limit: 5/s } }");
    let of = |config: &Config| config.service("a").unwrap().policies.clone();
    assert_eq!(of(&one), of(&short));
}
