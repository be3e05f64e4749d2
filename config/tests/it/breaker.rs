//! `breaker` and `eject`: what the file says becomes what the model holds.

use serde_json::json;
use std::path::Path;
use std::time::Duration;
use stitch_config::model::{Breaker, Eject, Policies, Setting, Slow};
use stitch_config::{Config, dump, load};

fn fixture() -> Config {
    load(Path::new("tests/fixtures/valid/breaker.yaml"), &super::env).config
}

fn policies(config: &Config, service: &str) -> Policies {
    config.service(service).unwrap().policies.clone()
}

#[test]
fn true_is_the_defaults_and_services_inherit() {
    let inherits = policies(&fixture(), "inherits");
    let expected = Breaker {
        consecutive: Some(5),
        failure_rate: Some(0.5),
        window: Duration::from_secs(10),
        min_calls: 20,
        slow: None,
        open: Duration::from_secs(60),
        open_factor: 1.0,
        probes: 3,
        half_open_timeout: Duration::from_secs(30),
    };
    assert_eq!(inherits.breaker, Setting::On(expected));
    let eject = Eject { consecutive: 3, lasts: Duration::from_secs(10), max: 1.0 };
    assert_eq!(inherits.eject, Setting::On(eject));
}

#[test]
fn false_and_none_are_off_whatever_stands_above() {
    let none = policies(&fixture(), "none");
    assert_eq!((none.breaker, none.eject), (Setting::Off, Setting::Off));
}

#[test]
fn a_breaker_as_written() {
    let own = policies(&fixture(), "own");
    let expected = Breaker {
        consecutive: None,
        failure_rate: Some(0.25),
        window: Duration::from_secs(30),
        min_calls: 10,
        slow: Some(Slow { over: Duration::from_secs(2), rate: 1.0 }),
        open: Duration::from_secs(5),
        open_factor: 1.5,
        probes: 1,
        half_open_timeout: Duration::from_secs(10),
    };
    assert_eq!(own.breaker, Setting::On(expected));
    assert_eq!(own.eject, Setting::On(Eject::default()), "not mixed with that of defaults");
}

#[test]
fn slow_calls_alone_are_enough() {
    let slow = Some(Slow { over: Duration::from_millis(500), rate: 0.5 });
    let expected = Breaker { consecutive: None, failure_rate: None, slow, ..Breaker::default() };
    assert_eq!(policies(&fixture(), "slow-alone").breaker, Setting::On(expected));
}

#[test]
fn bytes_have_neither_even_if_defaults_do() {
    let bytes = policies(&fixture(), "bytes");
    assert_eq!((bytes.breaker, bytes.eject), (Setting::Inherited, Setting::Inherited));
}

#[test]
fn routes_have_what_they_write() {
    let config = fixture();
    let of = |index: usize| config.routes[index].policies.breaker.clone();
    assert_eq!(of(0), Setting::On(Breaker { consecutive: Some(1), ..Breaker::default() }));
    assert_eq!((of(1), of(2)), (Setting::Off, Setting::Inherited));
}

#[test]
fn the_dump_shows_what_is_in_force() {
    let dump = dump(&fixture());
    let services = &dump["services"];
    assert_eq!(
        services["own"]["breaker"],
        json!({
            "consecutive": 0, "failure_rate": 0.25, "window": "30s", "min_calls": 10,
            "slow": { "over": "2s", "rate": 1.0 }, "open": "5s", "open_factor": 1.5, "probes": 1,
            "half_open_timeout": "10s",
        })
    );
    let eject = json!({ "consecutive": 3, "for": "10s", "max": 1.0 });
    assert_eq!(services["inherits"]["eject"], eject);
    assert_eq!(
        (&services["none"]["breaker"], &services["none"]["eject"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(dump["routes"][0]["breaker"]["consecutive"], 1);
    assert_eq!(dump["routes"][2]["breaker"], json!(null));
}

#[test]
fn a_word_that_is_text_in_yaml_gets_a_hint() {
    let loaded = super::read("services: { a: { url: 'http://localhost:1', breaker: yes } }");
    let report = loaded.report.render(&loaded.sources);
    assert!(report.contains("hint: in YAML 1.2 this is text; write true"), "{report}");
}
