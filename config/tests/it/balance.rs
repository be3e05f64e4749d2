//! `balance`, `slow_start` and `tier`: what the file says becomes what the model holds.

use http::HeaderName;
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use stitch_config::model::{Balance, HashKey, Policies, Setting};
use stitch_config::{Config, dump, load};

fn fixture() -> Config {
    load(Path::new("tests/fixtures/valid/balance.yaml"), &super::env).config
}

fn policies(config: &Config, service: &str) -> Policies {
    config.service(service).unwrap().policies.clone()
}

#[test]
fn every_word_has_its_meaning() {
    let config = fixture();
    for (service, balance) in [
        ("inherits", Balance::RoundRobin),
        ("least", Balance::LeastRequest),
        ("ewma", Balance::Ewma),
        ("random", Balance::Random),
        ("header", Balance::Hash(HashKey::Header(HeaderName::from_static("x-user")))),
        ("cookie", Balance::Hash(HashKey::Cookie("user".to_owned()))),
        ("ip", Balance::Hash(HashKey::ClientIp)),
        ("path", Balance::Hash(HashKey::Path("customer_id".to_owned()))),
        ("sticky", Balance::Sticky("at".to_owned())),
        ("bytes", Balance::Hash(HashKey::ClientIp)),
    ] {
        assert_eq!(policies(&config, service).balance, Setting::On(balance), "{service}");
    }
}

#[test]
fn defaults_are_for_http_and_can_be_turned_off() {
    let config = fixture();
    assert_eq!(policies(&config, "inherits").slow_start, Setting::On(Duration::from_secs(30)));
    let off = policies(&config, "off");
    assert_eq!((off.balance, off.slow_start), (Setting::Off, Setting::Off));
    assert_eq!(policies(&config, "least").slow_start, Setting::Off);
    assert!(policies(&config, "plain").is_empty());
}

#[test]
fn tiers_are_those_of_their_urls() {
    let config = fixture();
    let tiers = |service| -> Vec<_> {
        let upstreams = &config.service(service).unwrap().upstreams;
        upstreams.iter().map(|upstream| (upstream.weight, upstream.tier)).collect()
    };
    assert_eq!(tiers("inherits"), [(1, 1), (3, 1), (1, 255)]);
    assert_eq!(tiers("bytes"), [(1, 1), (1, 2)]);
}

#[test]
fn the_dump_says_it_as_the_file_does() {
    let dump = dump(&fixture());
    let services = &dump["services"];
    assert_eq!(services["inherits"]["balance"], "round_robin");
    assert_eq!(services["inherits"]["slow_start"], "30s");
    assert_eq!(services["inherits"]["urls"][2]["tier"], 255);
    assert_eq!(services["header"]["balance"], "hash:header:x-user");
    assert_eq!(services["path"]["balance"], "hash:path:customer_id");
    assert_eq!(services["sticky"]["balance"], "sticky:at");
    assert_eq!(services["off"]["balance"], false);
    assert_eq!(services["plain"]["slow_start"], json!(null));
}
