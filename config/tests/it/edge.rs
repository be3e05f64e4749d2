//! CORS, compression and mirrors: what the file says becomes what the model holds.

use super::config;
use http::{HeaderName, Method};
use std::path::Path;
use std::time::Duration;
use stitch_config::model::{Cors, Mirror, Origins, Policies, Setting};
use stitch_config::{Config, dump, load};

fn everything() -> Config {
    load(Path::new("tests/fixtures/valid/edge.yaml"), &super::env).config
}

fn of<'a>(config: &'a Config, service: &str) -> &'a Policies {
    &config.service(service).unwrap().policies
}

#[test]
fn cors_as_written() {
    let config = everything();
    let cors = of(&config, "web").cors.get().unwrap();
    let origins =
        ["https://app.example.com", "https://*.example.com", "http://localhost:*", "null"];
    assert_eq!(cors.origins, Origins::Only(origins.map(str::to_owned).to_vec()));
    assert_eq!(cors.methods, Some(vec![Method::GET, Method::POST]));
    let names = |names: &[&'static str]| {
        names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>()
    };
    assert_eq!(cors.headers, Some(names(&["content-type", "x-tenant"])));
    assert_eq!(cors.expose, names(&["x-total"]));
    assert_eq!((cors.credentials, cors.max_age), (true, Duration::from_secs(3600)));
}

#[test]
fn cors_that_only_names_origins_allows_what_is_asked_for() {
    let config = everything();
    let Setting::On(Cors { origins, methods, headers, expose, credentials, max_age }) =
        &of(&config, "plain").cors
    else {
        panic!("not inherited")
    };
    assert_eq!((origins, methods, headers), (&Origins::Any, &None, &None));
    assert_eq!(expose, &["grpc-status", "grpc-message", "x-request-id"]);
    assert_eq!((*credentials, *max_age), (false, Duration::from_secs(600)));
    let any = config.routes[0].policies.cors.get().unwrap();
    assert_eq!(any.methods, None, "ANY is whichever is asked for");
}

#[test]
fn mirrors_as_written_and_by_their_name_alone() {
    let config = everything();
    let (to, share, max, max_body) = ("web-v2".into(), 0.1, 8, 1 << 20);
    assert_eq!(of(&config, "web").mirror, Setting::On(Mirror { to, share, max, max_body }));
    let mirror = |to: &str, share| {
        Setting::On(Mirror { to: to.into(), share, max: 64, max_body: 64 * 1024 })
    };
    assert_eq!(of(&config, "plain").mirror, mirror("shadow", 0.05), "inherited");
    assert_eq!(config.routes[0].policies.mirror, mirror("web-v2", 1.0));
}

#[test]
fn each_is_turned_off_where_it_is_written_so() {
    let config = everything();
    let off = of(&config, "web-v2");
    assert_eq!((&off.mirror, &off.cors), (&Setting::Off, &Setting::Off));
    assert_eq!(off.compression, Setting::Off);
    assert_eq!(of(&config, "plain").compression, Setting::On(()));
    assert_eq!(config.routes[1].policies.mirror, Setting::Off);
    assert_eq!(config.routes[1].policies.cors, Setting::Inherited);
    assert!(of(&config, "db").is_empty(), "bytes inherit nothing");
}

#[test]
fn a_chain_of_mirrors_is_no_circle() {
    config(
        "services:\n\
         \x20 a: { url: http://localhost:1, mirror: b }\n\
         \x20 b: { url: http://localhost:2, mirror: c }\n\
         \x20 c: { url: http://localhost:3 }\n\
         routes: [{ match: /x, to: a, mirror: c }]\n",
    );
}

#[test]
fn a_circle_by_way_of_a_route_or_defaults_is_found() {
    for text in [
        "services: { a: { url: 'http://h:1' }, b: { url: 'http://h:2', mirror: a } }\n\
         routes: [{ match: /x, to: a, mirror: b }]\n",
        "defaults: { mirror: b }\n\
         services: { a: { url: 'http://h:1' }, b: { url: 'http://h:2', mirror: a } }\n",
    ] {
        let loaded = super::read(text);
        let report = loaded.report.render(&loaded.sources);
        assert_eq!(loaded.report.errors(), 1, "{report}");
        assert!(report.contains("mirror to each other in a circle"), "{report}");
    }
}

#[test]
fn the_dump_tells_them() {
    let json = dump(&everything());
    let web = &json["services"]["web"];
    assert_eq!(web["cors"]["origins"][1], "https://*.example.com");
    assert_eq!(
        (&web["cors"]["max_age"], &web["cors"]["credentials"]),
        (&"1h".into(), &true.into())
    );
    assert_eq!(web["mirror"]["to"], "web-v2");
    assert_eq!(web["compression"], false);
    assert_eq!(json["services"]["plain"]["cors"]["origins"], "*");
    assert_eq!(json["services"]["db"]["mirror"], serde_json::Value::Null);
    assert_eq!(json["routes"][1]["mirror"], false);
}
