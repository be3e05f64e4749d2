//! Tests of what templates can say and of the mistakes that are found at load.

use crate::testing::{api, ask, in_api, post, problems, request};
use serde_json::Value;

/// Evaluates one expression as a body, and again as text.
async fn evaluate(expression: &str) -> Value {
    let engine = api(&format!(
        "- {{ path: '/{{p}}', method: ANY, response: {{ body: {{ v: '{{{{ {expression} }}}}' }} }} }}"
    ));
    let seen = ask(&engine, post("/part?q=query", r#"{"n": 2, "list": ["a", "b"]}"#)).await;
    assert_eq!(seen.status, 200, "{expression}: {}", seen.text);
    seen.json()["v"].clone()
}

#[tokio::test]
async fn a_lone_expression_keeps_its_type() {
    for (expression, value) in [
        ("request.body.n", "2"),
        ("request.body.n * 1.5", "3.0"),
        ("request.body.n > 1", "true"),
        ("none", "null"),
        ("request.body.list", r#"["a","b"]"#),
        ("request.body.list | length", "2"),
        ("-1", "-1"),
        ("1 if request.body.n else 0", "1"),
        ("\"}}\"", "\"}}\""),
        ("request.path", "\"/part\""),
        ("request.path == \"/part\"", "true"),
        ("uuid[:8] | length", "8"),
        ("request.path.p", "\"part\""),
        ("request.query", r#"{"q":"query"}"#),
        ("{\"b\": 1, \"a\": uuid | length}", r#"{"b":1,"a":36}"#),
    ] {
        assert_eq!(evaluate(expression).await.to_string(), value, "{expression}");
    }
}

#[tokio::test]
async fn text_around_an_expression_makes_text() {
    let engine = api(
        "- { path: /, response: { body: { a: 'n={{ 1 + 1 }}', b: '{{ [1, none] }} {{ {\"k\": true} }}', c: '{{ 1 }}{{ 2 }}', d: '{{- 3 -}}', e: '{% if true %}y{% endif %}' } } }",
    );
    assert_eq!(
        ask(&engine, request("GET /")).await.text,
        r#"{"a":"n=2","b":"[1,null] {\"k\":true}","c":"12","d":3,"e":"y"}"#
    );
}

#[tokio::test]
async fn chance_has_these_forms() {
    let is = async |expression: &str, test: fn(&Value) -> bool| {
        let value = evaluate(expression).await;
        assert!(test(&value), "{expression}: {value}");
    };
    let is_uuid = |value: &Value| uuid::Uuid::parse_str(value.as_str().unwrap()).is_ok();
    is("uuid", is_uuid).await;
    is("uuid()", is_uuid).await;
    is("random.int(3, 5)", |v| (3..=5).contains(&v.as_i64().unwrap())).await;
    is("random.int(-2, -2)", |v| v.as_i64() == Some(-2)).await;
    is("random.decimal(1, 9)", |v| (1.0..=9.0).contains(&v.as_f64().unwrap())).await;
    is("random.decimal(0, 1, 4)", |v| v.to_string().len() <= 6).await;
    is("random.hex(8)", |v| u32::from_str_radix(v.as_str().unwrap(), 16).is_ok()).await;
    is("random.string(5)", |v| v.as_str().unwrap().len() == 5).await;
    is("random.choice([\"a\", \"b\"])", |v| ["a", "b"].contains(&v.as_str().unwrap())).await;
    is("random.choice(1, 2)", |v| [1, 2].contains(&v.as_i64().unwrap())).await;
    is("random.bool()", Value::is_boolean).await;
    is("random.bool(1.0)", |v| *v == true).await;
}

#[tokio::test]
async fn a_variable_keeps_its_uuid() {
    let engine = api(
        "- { path: /, response: '{% set id = uuid %}{{ id }} {{ id }} {{ uuid }} {{ uuid() }}' }",
    );
    let text = ask(&engine, request("GET /")).await.text;
    let ids: Vec<_> = text.split(' ').collect();
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0] != ids[2] && ids[2] != ids[3], "{text}");
}

#[tokio::test]
async fn now_is_one_instant_per_request() {
    let engine = api(
        r#"- { path: /, response: { body: { a: "{{ now }}", b: "{{ now() }}", c: '{{ now("%Y-%m-%d") }}', d: '{{ now(offset="1d") }}', e: "{{ now.unix }}", f: "{{ now.unix_ms }}", g: '{{ now("%Y", offset="-1y") }}' } } }"#,
    );
    let seen = ask(&engine, request("GET /")).await.json();
    let now: jiff::Timestamp = seen["a"].as_str().unwrap().parse().unwrap();
    assert_eq!((&seen["a"], seen["a"].as_str().unwrap().len()), (&seen["b"], 24));
    assert_eq!(&seen["a"].as_str().unwrap()[..10], seen["c"].as_str().unwrap());
    let tomorrow: jiff::Timestamp = seen["d"].as_str().unwrap().parse().unwrap();
    assert_eq!((tomorrow - now).total(jiff::Unit::Hour).unwrap(), 24.0);
    assert_eq!(seen["e"].as_i64(), Some(now.as_second()));
    assert_eq!(seen["f"].as_i64(), Some(now.as_millisecond()));
    assert_eq!(seen["g"].as_str().unwrap().len(), 4);
}

#[tokio::test]
async fn wrong_arguments_are_template_errors() {
    for expression in [
        "random.int(5, 3)",
        "random.int()",
        "random.decimal(2, 1)",
        "random.hex(100000)",
        "random.choice([])",
        "now(offset=\"soon\")",
        "now(\"%!\")",
        "uuid(1)",
        "request.body.n.m.o",
        "1 / 0",
    ] {
        let engine = api(&format!(
            "- {{ path: /, method: POST, response: {{ body: {{ v: '{{{{ {expression} }}}}' }} }} }}"
        ));
        let seen = ask(&engine, post("/", r#"{"n": 2}"#)).await;
        assert_eq!(seen.header("x-stitch-reason"), "template_error", "{expression}: {}", seen.text);
        let quoted = seen.json()["expression"].as_str().unwrap().to_owned();
        assert!(quoted.contains(expression), "{expression}: {quoted}");
    }
}

#[test]
fn mistakes_are_found_at_load() {
    for (template, part, hint) in [
        ("{{ request.bdy }}", "unknown name request.bdy", "did you mean request.body?"),
        ("{{ request.path.nr }}", "unknown name request.path.nr", "it has id"),
        ("{{ vars.curency }}", "unknown name vars.curency", "did you mean vars.currency?"),
        ("{{ random.integer(1, 2) }}", "unknown name random.integer", ""),
        ("{{ response.body.id }}", "the body reads response.body.id", "headers and nats_publish"),
        ("{{ message.data }}", "message has no meaning in an endpoint", ""),
        ("{{ state.x }}", "state is not supported yet", ""),
        ("{{ calls[0].body }}", "calls is not supported yet", ""),
        ("{{ id | uper }}", "unknown filter \"uper\"", ""),
        ("{{ id is defind }}", "unknown test \"defind\"", ""),
        ("{{ uid() }}", "unknown function \"uid\"", ""),
        ("{{ 1 +", "template does not compile", ""),
        ("{% if x %}", "template does not compile", ""),
    ] {
        let endpoint =
            format!("- {{ path: '/x/{{id}}', response: {{ body: {{ v: '{template}' }} }} }}");
        let found = problems(&in_api(&endpoint));
        assert!(found.contains(&format!("error: {part}")), "{template}: {found}");
        assert!(found.contains(hint), "{template}: {found}");
        assert!(found.contains("stitch.yaml:5:"), "{template}: {found}");
    }
}

#[test]
fn every_template_is_checked() {
    let found = problems(
        "services:
  api:
    endpoints:
      - path: /
        response: { body: { a: [ { b: '{{ request.a }}' } ] }, headers: { x-a: '{{ request.b }}' } }
        nats_publish: [ { subject: 'x.{{ request.c }}', data: { d: '{{ request.d }}' } } ]
    nats_subscribe:
      - { subject: a.*, action: 'POST /{{ request.e }}' }
      - { subject: b, reply: { v: '{{ message.f }}' } }
      - { subject: c, reply: { v: '{{ response.body }}' } }
",
    );
    for name in ["request.a", "request.b", "request.c", "request.d", "message.f"] {
        assert!(found.contains(&format!("unknown name {name}")), "{name}: {found}");
    }
    assert!(found.contains("request has no meaning in a subscription"), "{found}");
    assert!(found.contains("response has no meaning in a subscription"), "{found}");
}

#[test]
fn a_slip_in_a_bare_name_is_a_warning() {
    let found = problems(&in_api("- { path: /, response: '{{ uudi }}' }"));
    assert!(found.contains("warning: uudi is only known if"), "{found}");
    assert!(found.contains("did you mean uuid?"), "{found}");
    assert_eq!(
        problems(&in_api("- { path: '/{nows}', response: '{{ nows }} {{ customer }}' }")),
        ""
    );
}

#[tokio::test]
async fn whole_views_are_json() {
    let engine = api(
        "- { path: '/{p}', response: { body: { q: '{{ request }}', m: '{{ request.method | lower }}' }, headers: { x-r: '{{ response }}' } } }",
    );
    let seen = ask(&engine, request("GET http://elsewhere/part?a=1&a=2")).await;
    assert_eq!(seen.json()["q"]["path"], "/part", "{}", seen.text);
    assert_eq!(seen.json()["q"]["query"], serde_json::json!({"a": "1"}));
    assert_eq!(seen.json()["q"]["url"], "http://elsewhere/part?a=1&a=2");
    assert!(
        seen.header("x-r").starts_with(r#"{"status":200,"headers":{}"#),
        "{}",
        seen.header("x-r")
    );
}

#[test]
fn text_that_is_no_template_is_left_alone() {
    assert_eq!(problems(&in_api("- { path: /, response: 'a { b } % # 100%' }")), "");
}
