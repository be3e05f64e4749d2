//! Tests of whole answers: static and rendered bodies, headers, delays, failures.

use crate::testing::{api, ask, engine, in_api, post, problems, request};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;
use std::time::Duration;
use stitch_net::{Body, MockSet as _, Offered};
use tokio::time::Instant;

#[tokio::test]
async fn a_static_answer_is_ready_at_once() {
    let engine = api(r#"- { path: /a, response: { b: 1, a: [true, null, 2.5] } }"#);
    let offered = engine.service("api").unwrap().offer(&mut request("GET /a?x=1"));
    let Offered::Now(response) = offered else { panic!("not at once") };
    let seen = crate::testing::read(response).await;
    assert_eq!(
        (seen.status, seen.text.as_str()),
        (StatusCode::OK, r#"{"b":1,"a":[true,null,2.5]}"#)
    );
    assert_eq!(seen.header("content-type"), "application/json");
    assert_eq!(seen.header("x-stitch-source"), "mock");
    assert_eq!(seen.header("x-stitch-endpoint"), "api GET /a");
    assert_eq!(seen.header("x-stitch-reason"), "");
}

#[tokio::test]
async fn content_types_have_defaults_that_a_header_overrides() {
    let engine = api(
        "- { path: /text, response: hello }
- { path: /own, response: { body: hello, headers: { content-type: text/x-own, set-cookie: [a=1, b=2] } } }
- { path: /shown, response: { body: '{{ request.method }}' } }
- { path: /typed, response: { body: '{{ [1, 2] }}' } }
- { path: /dynamic, response: { body: { a: 1 }, headers: { content-type: 'application/{{ request.query.t }}' } } }
- { path: /none, response: 204 }
- { path: /teapot, response: 418 }",
    );
    for (path, status, content_type, text) in [
        ("/text", 200, "text/plain; charset=utf-8", "hello"),
        ("/own", 200, "text/x-own", "hello"),
        ("/shown", 200, "text/plain; charset=utf-8", "GET"),
        ("/typed", 200, "application/json", "[1,2]"),
        ("/dynamic?t=x", 200, "application/x", r#"{"a":1}"#),
        ("/none", 204, "", ""),
        ("/teapot", 418, "", ""),
    ] {
        let seen = ask(&engine, request(&format!("GET {path}"))).await;
        assert_eq!(seen.status, status, "{path}: {}", seen.text);
        assert_eq!(
            (seen.header("content-type"), seen.text.as_str()),
            (content_type, text),
            "{path}"
        );
    }
    let seen = ask(&engine, request("GET /own")).await;
    assert_eq!(seen.headers.get_all("set-cookie").iter().count(), 2);
}

#[tokio::test]
async fn head_says_what_get_would() {
    let engine = api("- { path: /s, response: hello }
- { path: /t, response: '{{ request.method }}!' }
- { path: /n, response: 204 }");
    for (path, length) in [("/s", "5"), ("/t", "5"), ("/n", "")] {
        let seen = ask(&engine, request(&format!("HEAD {path}"))).await;
        assert_eq!((seen.header("content-length"), seen.text.as_str()), (length, ""), "{path}");
    }
}

#[tokio::test]
async fn templates_see_the_request() {
    let engine = api(r#"- path: /charges/{id}/**
  method: POST
  response:
    status: 201
    headers: { location: "/charges/{{ request.path.id }}", x-sum: "{{ response.body.amount + 1 }}" }
    body:
      id: "{{ request.path.id }}"
      rest: "{{ request.path.rest }}"
      path: "{{ request.path }}"
      amount: "{{ request.body.amount }}"
      tag: "{{ request.query.tag }}"
      agent: "{{ request.headers.user_agent }}"
      host: "{{ request.host }}"
      url: "{{ request.url }}"
      note: "paid {{ request.body.amount }} {{ vars.currency }}"
      body: "{{ request.body }}"
      missing: "{{ request.body.nope | default(none) }}"
      bare: "{{ amount }} {{ id }} {{ tag }}"
      list: [1, "{{ 1 + 1 }}"]"#);
    let mut request = post("/charges/7/a/b?tag=x+y", r#"{"z": 1, "amount": 42}"#);
    request.headers_mut().insert("user-agent", "test".parse().unwrap());
    let seen = ask(&engine, request).await;
    assert_eq!(seen.status, 201, "{}", seen.text);
    assert_eq!(seen.header("location"), "/charges/7");
    assert_eq!(seen.header("x-sum"), "43");
    assert_eq!(
        seen.text,
        r#"{"id":"7","rest":"a/b","path":"/charges/7/a/b","amount":42,"tag":"x y","agent":"test","host":"api","url":"http://api/charges/7/a/b?tag=x+y","note":"paid 42 EUR","body":{"z":1,"amount":42},"missing":null,"bare":"42 7 x y","list":[1,2]}"#
    );
}

#[tokio::test]
async fn bodies_are_json_form_or_text() {
    let engine = api(
        "- { path: /, method: POST, response: { body: { b: '{{ request.body }}', t: '{{ request.body_text }}' } } }",
    );
    let mut form = post("/", "a=1&b=x%20y&a=2");
    let form_type = "application/x-www-form-urlencoded".parse().unwrap();
    form.headers_mut().insert("content-type", form_type);
    let seen = ask(&engine, form).await;
    assert_eq!(seen.json()["b"], serde_json::json!({"a": "1", "b": "x y"}), "{}", seen.text);
    let seen = ask(&engine, post("/", "just text")).await;
    assert_eq!(seen.json(), serde_json::json!({"b": "just text", "t": "just text"}));
}

#[tokio::test]
async fn only_templates_that_need_it_read_the_body() {
    struct Untouchable;
    impl http_body::Body for Untouchable {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Ready(Some(Err(std::io::Error::other("broken"))))
        }
    }
    let engine = api("- { path: /no, method: POST, response: '{{ request.query.a }}' }
- { path: /yes, method: POST, response: '{{ request.body.a }}' }");
    let ask_with = async |path: &str| {
        let mut request = request(&format!("POST {path}"));
        *request.body_mut() = Body::boxed(Untouchable);
        ask(&engine, request).await
    };
    assert_eq!(ask_with("/no?a=1").await.text, "1");
    let seen = ask_with("/yes").await;
    assert_eq!(
        (seen.status, seen.header("x-stitch-reason")),
        (StatusCode::BAD_REQUEST, "bad_request")
    );
}

#[tokio::test]
async fn a_request_body_past_the_bound_is_refused() {
    let engine = api("- { path: /, method: POST, response: '{{ request.body_text | length }}' }");
    let fits = "x".repeat(1 << 20);
    assert_eq!(ask(&engine, post("/", &fits)).await.text, "1048576");
    let seen = ask(&engine, post("/", &(fits + "x"))).await;
    assert_eq!(
        (seen.status, seen.header("x-stitch-reason")),
        (StatusCode::PAYLOAD_TOO_LARGE, "too_large")
    );
    assert_eq!(seen.header("x-stitch-endpoint"), "api POST /");
}

#[tokio::test]
async fn a_failing_template_names_endpoint_expression_and_place() {
    let engine = api("- { path: /, response: { body: { a: '{{ request.query.nope }}' } } }");
    let seen = ask(&engine, request("GET /")).await;
    assert_eq!(seen.status, 500);
    assert_eq!(seen.header("x-stitch-reason"), "template_error");
    assert_eq!(seen.header("x-stitch-source"), "mock");
    let problem = seen.json();
    assert_eq!(problem["endpoint"], "api GET /");
    assert_eq!(problem["expression"], "{{ request.query.nope }}");
    assert_eq!(problem["place"], "stitch.yaml:5:43 (services.api.endpoints[0])");
    assert!(problem["detail"].as_str().unwrap().contains("undefined"), "{problem}");
}

#[tokio::test]
async fn rendered_headers_must_be_headers() {
    let engine =
        api("- { path: /, response: { body: x, headers: { x-a: '{{ request.query.a }}' } } }");
    assert_eq!(ask(&engine, request("GET /?a=b")).await.header("x-a"), "b");
    let seen = ask(&engine, request("GET /?a=b%0ac")).await;
    assert_eq!(seen.header("x-stitch-reason"), "template_error");
}

#[tokio::test]
async fn evaluation_is_bounded() {
    let engine = api(
        "- { path: /steps, response: '{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}' }
- { path: /size, response: '{% for a in range(5000) %}{{ \"x\" * 5000 }}{% endfor %}' }
- { path: /lone, response: { body: { a: '{{ \"x\" * 5000000 }}', b: '{{ \"x\" * 5000000 }}' } } }",
    );
    for path in ["/steps", "/size", "/lone"] {
        let seen = ask(&engine, request(&format!("GET {path}"))).await;
        assert_eq!(seen.header("x-stitch-reason"), "template_error", "{path}");
    }
}

#[tokio::test]
async fn answers_repeat_with_the_seed() {
    let text = in_api(
        "- { path: /, response: { body: { a: '{{ uuid }}', b: '{{ random.int(1, 1000000) }}' } } }",
    );
    let (first, again) = (engine(&text), engine(&text));
    let one = ask(&first, request("GET /")).await.text;
    let two = ask(&first, request("GET /")).await.text;
    assert_ne!(one, two);
    assert_eq!(ask(&again, request("GET /")).await.text, one);
    assert_eq!(ask(&again, request("GET /")).await.text, two);
}

#[tokio::test(start_paused = true)]
async fn delays_come_before_the_answer() {
    let engine = api("- { path: /fixed, delay: 200ms, response: a }
- { path: /range, delay: 20ms..80ms, response: '{{ request.method }}' }
- { path: /fails, delay: 50ms, failure_rate: 100%, response: a }");
    for (path, least, most, status) in
        [("/fixed", 200, 201, 200), ("/range", 20, 81, 200), ("/fails", 50, 51, 500)]
    {
        let start = Instant::now();
        assert_eq!(ask(&engine, request(&format!("GET {path}"))).await.status, status, "{path}");
        let took = start.elapsed();
        let range = Duration::from_millis(least)..=Duration::from_millis(most);
        assert!(range.contains(&took), "{path}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_delays_pass_together() {
    let engine = api("- { path: /, delay: 1s, response: a }");
    let mock = engine.service("api").unwrap();
    let start = Instant::now();
    let waiting = (0..10_000).map(|_| match mock.offer(&mut request("GET /")) {
        Offered::Later(later) => later,
        _ => panic!("not later"),
    });
    let answered = futures_util::future::join_all(waiting).await.len();
    assert_eq!(answered, 10_000);
    assert!(start.elapsed() < Duration::from_millis(1100), "{:?}", start.elapsed());
}

#[tokio::test]
async fn declared_failures_keep_their_share_and_say_so() {
    let engine = api("- { path: /, failure_rate: 30%, response: fine }");
    let mut failed = Vec::new();
    for k in 0..1000 {
        let seen = ask(&engine, request("GET /")).await;
        if seen.status == 500 {
            assert_eq!(seen.header("x-stitch-reason"), "fault");
            assert_eq!(seen.header("x-stitch-endpoint"), "api GET /");
            failed.push(k);
        }
    }
    assert!((250..350).contains(&failed.len()), "{}", failed.len());
    let info = &engine.services()[0].endpoints[0];
    assert_eq!((info.hits, info.failures), (1000, failed.len() as u64));
    let again = api("- { path: /, failure_rate: 30%, response: other }");
    for k in 0..100 {
        let fails = ask(&again, request("GET /")).await.status == 500;
        assert_eq!(fails, failed.contains(&k), "{k}");
    }
}

#[tokio::test]
async fn files_are_sent_as_they_are() {
    let directory = std::env::temp_dir().join(format!("stitch-answer-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("report.csv");
    std::fs::write(&path, "a,{{ b }}\n").unwrap();
    let engine =
        api(&format!("- {{ path: /, response: {{ file: {:?} }} }}", path.display().to_string()));
    let seen = ask(&engine, request("GET /")).await;
    assert_eq!(seen.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(seen.text, "a,{{ b }}\n");
    assert!(
        problems(&in_api("- { path: /, response: { file: ./none.json } }"))
            .contains("cannot be read")
    );
}

#[tokio::test]
async fn large_files_stay_on_disk() {
    let directory = std::env::temp_dir().join(format!("stitch-large-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("large.bin");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    let engine =
        api(&format!("- {{ path: /, response: {{ file: {:?} }} }}", path.display().to_string()));
    let mock = engine.service("api").unwrap();
    let mut asked = request("HEAD /");
    let head = mock.offer(&mut asked).answer(&asked).await;
    assert_eq!(head.headers()["content-length"], "67108865");
    let mut asked = request("GET /");
    let whole = mock.offer(&mut asked).answer(&asked).await;
    let body = whole.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), (64 << 20) + 1);
    std::fs::remove_file(&path).unwrap();
    let seen = ask(&engine, request("GET /")).await;
    assert_eq!(seen.status, 500, "{}", seen.text);
}
