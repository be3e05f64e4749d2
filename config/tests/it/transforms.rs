//! Header and body edits, answers of the proxy's own, cookies and sticky splits: what the file says
//! becomes what the model holds.

use super::config;
use std::path::Path;
use stitch_config::data::Data;
use stitch_config::model::{
    BodyEdit, HeaderEdit, Respond, RouteAction, Service, Setting, Value, ValuePart,
};
use stitch_config::{Config, dump, load};

fn transforms() -> Config {
    load(Path::new("tests/fixtures/valid/transforms.yaml"), &super::env).config
}

fn service(config: &Config, name: &str) -> Service {
    (**config.service(name).unwrap()).clone()
}

fn shown<'e>(
    edits: impl IntoIterator<Item = &'e (http::HeaderName, Value)>,
) -> Vec<(String, String)> {
    let edits = edits.into_iter();
    edits.map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn header_edits_are_in_file_order_with_their_places() {
    let users = service(&transforms(), "users");
    let edits = users.policies.headers.get().unwrap();
    let HeaderEdit { remove, set, add } = &edits.request;
    assert_eq!(remove, &["x-debug", "x-internal"]);
    assert_eq!(
        shown(set),
        [
            pair("x-env", "dev"),
            pair("x-user", "{{ request.headers.x-user }}"),
            pair("x-where", "{{ request.path.id }} {{ request.query.page }} from {{ client.ip }}"),
        ]
    );
    assert_eq!(set[2].1.parts[4], ValuePart::ClientIp);
    assert_eq!(
        shown(add),
        [pair("x-hop", "one {{ request.id }}"), pair("x-hop", "{{ trace.id }}")]
    );
    // Written here, so nothing of what `defaults` add is left.
    assert_eq!(edits.response.remove, ["server"]);
    assert_eq!(shown(&edits.response.add), [pair("x-served-by", "users")]);
}

#[test]
fn edits_are_inherited_as_a_whole_or_switched_off() {
    let config = transforms();
    let canary = service(&config, "canary").policies;
    assert_eq!(shown(&canary.headers.get().unwrap().response.add), [pair("x-served-by", "stitch")]);
    assert_eq!(canary.fallback.get().unwrap().status, 503);
    assert_eq!(canary.body, Setting::Inherited);
    let plain = service(&config, "plain").policies;
    assert_eq!(
        (plain.headers, plain.body, plain.fallback),
        (Setting::Off, Setting::Off, Setting::Off)
    );
    let route = &config.routes[0].policies;
    let set = &route.headers.get().unwrap().request.set;
    assert_eq!(shown(set), [pair("x-id", "{{ request.path.id }}")]);
    assert_eq!(route.fallback, Setting::Inherited);
    assert_eq!(config.routes[4].policies.fallback, Setting::Off);
}

#[test]
fn body_edits_are_paths_and_values() {
    let users = service(&transforms(), "users");
    let edits = users.policies.body.get().unwrap();
    let BodyEdit { remove, set, max } = edits.response.as_ref().unwrap();
    let remove: Vec<_> = remove.iter().map(ToString::to_string).collect();
    assert_eq!(remove, ["$.secret", "$.items[*].secret"]);
    let set: Vec<_> =
        set.iter().map(|(path, value)| (path.to_string(), value.to_json().to_string())).collect();
    assert_eq!(
        set,
        [
            pair("$.debug", "true"),
            pair("$[\"a b\"][0].c", "null"),
            pair("$.nested.list", "[1,{\"two\":2.5}]"),
        ]
    );
    assert_eq!(*max, 1024 * 1024, "the default");
    let request = edits.request.as_ref().unwrap();
    assert_eq!((request.max, request.set[0].0.to_string().as_str()), (65_536, "$"));
}

#[test]
fn an_edit_that_says_nothing_reads_no_bodies() {
    let config =
        config("services: { a: { url: http://localhost:1, body: { request: { max: 1KiB } } } }");
    let edits = &config.services[0].policies.body;
    assert_eq!(edits.get().unwrap().request, None);
}

#[test]
fn answers_of_the_proxys_own_as_written() {
    let config = transforms();
    let fallback = service(&config, "users").policies.fallback;
    let expected = Respond { status: 200, headers: vec![], body: Some(Data::List(vec![])) };
    assert_eq!(fallback, Setting::On(expected));
    let RouteAction::Respond(down) = &config.routes[2].action else { panic!("an answer") };
    let Some(Data::Text(text)) = &down.body else { panic!("a text") };
    assert_eq!((down.status, text.text.as_str()), (503, "back soon\n"));
    let cookies: Vec<_> = down.headers.iter().map(|(_, value)| value.to_str().unwrap()).collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    let RouteAction::Respond(empty) = &config.routes[3].action else { panic!("an answer") };
    assert_eq!(empty, &Respond { status: 204, headers: vec![], body: None });
}

#[test]
fn a_body_that_cannot_be_sent_is_a_warning() {
    let loaded = super::read("routes: [{ match: /a, respond: { status: 204, body: x } }]");
    let report = loaded.report.render(&loaded.sources);
    assert!(!loaded.report.has_errors() && report.contains("status 204 has no body"), "{report}");
}

#[test]
fn cookies_are_conditions_and_splits_may_stay() {
    let config = transforms();
    let cookies = &config.routes[1].matches.cookies;
    assert_eq!(*cookies, [pair("canary", "1"), pair("beta", "yes")]);
    let sticky = |index: usize| match &config.routes[index].action {
        RouteAction::Services { sticky, .. } => sticky.clone(),
        _ => None,
    };
    assert_eq!((sticky(0).as_deref(), sticky(1)), (Some("version"), None));
}

#[test]
fn the_dump_shows_edits_and_hides_secrets() {
    let json = dump(&transforms());
    let users = &json["services"]["users"];
    assert_eq!(users["headers"]["request"]["remove"][1], "x-internal");
    assert_eq!(users["body"]["response"]["set"][0], serde_json::json!(["$.debug", true]));
    assert_eq!(users["fallback"]["body"], serde_json::json!([]));
    assert_eq!(json["services"]["plain"]["headers"], "none");
    assert_eq!(json["services"]["canary"]["body"], serde_json::Value::Null);
    assert_eq!(json["routes"][0]["sticky"], "version");
    assert_eq!(json["routes"][1]["match"]["cookies"][0], serde_json::json!(["canary", "1"]));
    assert_eq!(json["routes"][2]["respond"]["body"], "back soon\n");
    let config = config(
        "services:\n  a:\n    url: http://localhost:1\n    \
         headers: { request: { set: { authorization: hunter2 }, add: { x-api-key: hunter2 } } }\n    \
         body: { request: { set: { $.password: hunter2, $.a: { token: hunter2 } } } }\n    \
         fallback: { headers: { x-secret: hunter2 }, body: { password: hunter2 } }\n\
         routes:\n  - match: { cookies: { token: hunter2 } }\n    respond: { body: { key: hunter2 } }\n",
    );
    let text = dump(&config).to_string();
    assert!(!text.contains("hunter2") && text.contains("\"$.password\",\"***\""), "{text}");
}
