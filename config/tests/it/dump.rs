//! The dump: complete, and without secrets.

use std::path::Path;
use stitch_config::{dump, load};

#[test]
fn nothing_secret_is_shown() {
    let config = super::config(
        "vars: { api_key: hunter2, url: \"http://u:hunter2@h/\" }\n\
         events: nats://u:hunter2@h\n\
         proxy:\n  admin:\n    listen: 127.0.0.1:9900\n    token: hunter2\n\
         services:\n\
         \x20 a:\n\
         \x20   url: http://localhost:1\n\
         \x20   image: x\n\
         \x20   command: run --db postgres://u:hunter2@h/d\n\
         \x20   env: { DB_PASSWORD: hunter2, DSN: \"pg://u:hunter2@h\", PLAIN: shown }\n\
         \x20   environment: [\"TOKEN=hunter2\", \"A=b\"]\n\
         \x20   build: { args: { SECRET: hunter2 } }\n\
         \x20 b: { type: infra, image: x, environment: { Credential: [hunter2], N: 5 } }\n\
         routes: [{ match: { headers: { authorization: hunter2 } }, to: a }]\n",
    );
    let text = dump(&config).to_string();
    assert!(!text.contains("hunter2"), "{text}");
    for part in ["shown", "A=b", "TOKEN=***", "postgres://***@h/d", "\"N\":5"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn everything_is_in_it() {
    let loaded = load(Path::new("tests/fixtures/valid/everything.yaml"), &super::env);
    let json = dump(&loaded.config);
    assert_eq!(json["seed"], 42);
    assert_eq!(json["proxy"]["limits"]["idle"], "90s");
    assert_eq!(json["proxy"]["access_log"]["only"], "status >= 500");
    assert_eq!(json["proxy"]["listen"][2], "unix:/run/stitch.sock");
    assert_eq!(json["proxy"]["transparent"][1], "[::1]:15001");
    let tls = &json["proxy"]["tls"];
    assert_eq!(tls["certificates"][1]["key"], "/etc/b.key", "the name of a key is no secret");
    assert_eq!(tls["client_ca"], "tests/fixtures/valid/ca.crt");
    let db = &json["services"]["db"];
    assert_eq!(
        (&db["type"], &db["urls"][0]["url"]),
        (&"tcp".into(), &"tcp://localhost:5432".into())
    );
    assert_eq!((&db["proxy_protocol"], &db["timeout"]["idle"]), (&"v2".into(), &"1h".into()));
    let api = &json["services"]["api"];
    assert_eq!(api["urls"][0]["url"], "https://api.example.com/v1");
    assert_eq!(api["tls"]["certificate"]["cert"], "tests/fixtures/valid/c.crt");
    assert_eq!(json["services"]["grpc"]["health"]["grpc"], "");
    assert_eq!(json["services"]["socket"]["urls"][0]["url"], "unix:/run/c.sock");
    let users = &json["services"]["users"];
    assert_eq!(users["urls"][1]["url"], "http://[::1]:8010");
    assert_eq!(users["hosts"][2], "users.test:8080");
    assert_eq!(users["timeout"]["connect"], "500ms");
    let charge = &json["services"]["payments"]["endpoints"][0];
    assert_eq!(charge["delay"], "20ms..80ms");
    assert_eq!(charge["methods"], serde_json::json!(["GET", "HEAD"]));
    assert_eq!(json["routes"][0]["rewrite"], "/users/**");
    assert_eq!(json["routes"][2]["redirect"]["status"], 308);
    assert_eq!(json["routes"][4]["to"], "stitch");
}
