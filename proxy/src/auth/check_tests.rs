//! Whole checks: what a request shows, who is asked, and what the service gets to see.

use super::admit::{Cause, Method};
use super::testing::{
    Issuer, auth, auth_asking, bearer, enter, enter_counted, files, fresh, issuer, jwks, model,
    request,
};
use super::{Auth, AuthFiles, AuthStats, Caller};
use crate::upstream::Endpoint;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use jsonwebtoken::Algorithm::{ES256, HS256};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stitch_config::model::{Scheme, Upstream};
use stitch_net::Body;
use stitch_net::mock::{BoxFuture, Flow};

const SHA_HUNTER2: &str = "sha256:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

fn told(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// A source of keys, or a checker, that is made up.
struct Invented {
    asked: AtomicUsize,
    seen: Mutex<Vec<(String, HeaderMap)>>,
    answer: Mutex<(u16, String)>,
    /// How long an answer takes.
    takes: Duration,
}

impl Invented {
    fn new(status: u16, body: String) -> Arc<Self> {
        Arc::new(Self {
            asked: AtomicUsize::new(0),
            seen: Mutex::default(),
            answer: Mutex::new((status, body)),
            takes: Duration::from_secs(1),
        })
    }

    fn caller(self: &Arc<Self>) -> Caller {
        let flow: Arc<dyn Flow> = self.clone();
        Caller::Service(Arc::downgrade(&flow), "authz".into())
    }

    fn answers(&self, status: u16, body: String) {
        *self.answer.lock().unwrap() = (status, body);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Flow for Invented {
    fn call(&self, _: &str, request: Request<Body>) -> BoxFuture<Response<Body>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.seen.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
        let (status, body) = self.answer.lock().unwrap().clone();
        let takes = self.takes;
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            Response::builder().status(status).header("x-user", "ann").body(body.into()).unwrap()
        })
    }
}

#[tokio::test]
async fn headers_that_we_write_come_from_nobody_else() {
    let auth = auth(&format!(
        "jwt:\n  secret: ${{SECRET}}\n  claims: {{ sub: x-user, roles: x-roles }}\n\
         api_key: {{ keys: {{ alice: \"{SHA_HUNTER2}\" }}, owner_header: x-owner }}\n\
         basic:\n  users:\n    bob: ${{PASSWORD}}\n  user_header: x-login"
    ));
    let token = issuer(HS256).token(&json!({"sub": "ann"}));
    let claimed = [
        ("x-user", "root"),
        ("X-Roles", "admin"),
        ("x-roles", "more"),
        ("x-owner", "root"),
        ("x-login", "root"),
        ("x-other", "kept"),
    ];
    for (shown, who, ours) in [
        (("authorization", format!("Bearer {token}")), "ann", "x-user"),
        (("x-api-key", "hunter2".to_owned()), "alice", "x-owner"),
        (("authorization", basic("bob:hunter2")), "bob", "x-login"),
    ] {
        let mut headers = claimed.to_vec();
        headers.push((shown.0, &shown.1));
        let mut request = request("/", &headers);
        assert_eq!(enter(&auth, &mut request).await.unwrap().as_deref(), Some(who));
        let left = request.headers();
        for (name, _) in &claimed[..5] {
            let values: Vec<_> = left.get_all(*name).iter().collect();
            let expected: &[&str] = if *name == ours { &[who] } else { &[] };
            assert_eq!(values, expected, "{name} for {who}");
        }
        assert_eq!(left["x-other"], "kept");
    }
}

#[tokio::test]
async fn what_lets_in_is_stripped_where_the_file_says_so() {
    let keep = auth("jwt:\n  secret: ${SECRET}");
    let strip = auth("jwt:\n  secret: ${SECRET}\n  strip: true\n  from: query:t");
    let token = issuer(HS256).token(&json!({}));
    let mut request = bearer(&token);
    assert_eq!(enter(&keep, &mut request).await.unwrap(), None, "it names nobody");
    assert!(request.headers().contains_key("authorization"));
    let mut request = self::request(&format!("/a?x=1&t={token}"), &[]);
    enter(&strip, &mut request).await.unwrap();
    assert_eq!(request.uri(), "/a?x=1");
    let keys = auth(&format!("api_key: {{ in: cookie:k, keys: {{ alice: \"{SHA_HUNTER2}\" }} }}"));
    let mut request = self::request("/", &[("cookie", "a=b; k=hunter2")]);
    enter(&keys, &mut request).await.unwrap();
    assert_eq!(told(request.headers()), [("cookie".to_owned(), "a=b".to_owned())]);
}

#[tokio::test]
async fn a_token_stays_where_a_key_in_its_place_would_be_stripped() {
    let auth = auth(&format!(
        "jwt:\n  secret: ${{SECRET}}\napi_key: {{ in: bearer, keys: {{ alice: \"{SHA_HUNTER2}\" }} }}"
    ));
    for (shown, stays) in [(issuer(HS256).token(&json!({})), true), ("hunter2".to_owned(), false)] {
        let mut request = bearer(&shown);
        enter(&auth, &mut request).await.unwrap();
        assert_eq!(request.headers().contains_key("authorization"), stays);
    }
}

#[tokio::test]
async fn a_refusal_says_how_to_come_in_and_repeats_nothing() {
    let auth = auth(&format!(
        "jwt:\n  secret: ${{SECRET}}\n\
         api_key: {{ keys: {{ alice: \"{SHA_HUNTER2}\" }} }}\n\
         basic:\n  realm: Shop\n  users:\n    bob: ${{PASSWORD}}"
    ));
    let stats = Arc::new(AuthStats::new("a"));
    let all = ["Bearer", "ApiKey", "Basic realm=\"Shop\", charset=\"UTF-8\""];
    let wrong_key = ("x-api-key", "hunter3".to_owned());
    let wrong_token = ("authorization", "Bearer hunter3".to_owned());
    let wrong_password = ("authorization", basic("bob:hunter3"));
    let expired = issuer(HS256).token(&json!({"exp": 5, "sub": "hunter3"}));
    let expired = ("authorization", format!("Bearer {expired}"));
    for (shown, method, cause, first) in [
        (vec![], Method::None, Cause::Missing, all[0]),
        (vec![&wrong_key], Method::ApiKey, Cause::Wrong, all[1]),
        (vec![&wrong_password], Method::Basic, Cause::Wrong, all[2]),
        (vec![&wrong_token], Method::Jwt, Cause::Malformed, "Bearer error=\"invalid_token\""),
        (vec![&wrong_key, &expired], Method::Jwt, Cause::Expired, "Bearer error=\"invalid_token\""),
    ] {
        let shown: Vec<_> = shown.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut request = request("/", &shown);
        let refusal = enter_counted(&auth, &mut request, &stats).await.unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.method, refusal.cause), (401, method, cause));
        assert_eq!(refusal.challenges.len(), 3, "{:?}", refusal.challenges);
        assert!(
            refusal.challenges[0].to_str().unwrap().starts_with(first),
            "{:?}",
            refusal.challenges
        );
        let text = format!("{refusal:?} {auth:?}");
        assert!(!text.contains("hunter"), "{text}");
        assert!(!text.contains("f52fbd32"), "{text}");
        assert_eq!(stats.read(method, cause), 1);
    }
    let mut request = request("/", &[("x-api-key", "hunter2"), ("authorization", "Bearer x.y.z")]);
    assert_eq!(
        enter_counted(&auth, &mut request, &stats).await.unwrap().as_deref(),
        Some("alice"),
        "one way in is enough"
    );
    assert_eq!(stats.read(Method::ApiKey, Cause::Allowed), 1);
    stats.publish();
}

#[tokio::test]
async fn two_keys_in_one_request_are_none() {
    let auth = auth(&format!("api_key: {{ keys: {{ alice: \"{SHA_HUNTER2}\" }} }}"));
    let mut request = request("/", &[("x-api-key", "hunter2"), ("x-api-key", "other")]);
    assert_eq!(enter(&auth, &mut request).await.unwrap_err().cause, Cause::Malformed);
}

const REMOTE: &str = "jwt: { jwks: \"http://keys.test/k?a=b\", cache: 5m }";

async fn shows(auth: &Arc<Auth>, issuer: &Issuer) -> Result<(), Cause> {
    let token = issuer.token(&json!({"sub": "ann"}));
    enter(auth, &mut bearer(&token)).await.map(drop).map_err(|refusal| refusal.cause)
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_once_for_a_crowd_and_again_when_a_new_one_turns_up() {
    let (old, new) = (fresh(ES256).named("old"), fresh(ES256).named("new"));
    let source = Invented::new(200, old.jwks());
    let auth = auth_asking(REMOTE, &source.caller());
    assert_eq!(source.asked(), 0, "nothing is fetched before it is needed");
    for said in futures_util::future::join_all((0..50).map(|_| shows(&auth, &old))).await {
        assert_eq!(said, Ok(()));
    }
    assert_eq!(source.asked(), 1);
    assert_eq!(source.seen.lock().unwrap()[0].0, "/k?a=b");
    // A new key, too early to ask again.
    source.answers(200, jwks(&[&old, &new]));
    assert_eq!(shows(&auth, &new).await, Err(Cause::UnknownKey));
    assert_eq!(source.asked(), 1);
    tokio::time::advance(Duration::from_secs(10)).await;
    for said in futures_util::future::join_all((0..50).map(|_| shows(&auth, &new))).await {
        assert_eq!(said, Ok(()));
    }
    assert_eq!(source.asked(), 2, "one fetch, and only one, brings the new key");
    // The old one is withdrawn: that is noticed when the set is old.
    source.answers(200, new.jwks());
    assert_eq!(shows(&auth, &old).await, Ok(()));
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!(shows(&auth, &old).await, Ok(()), "the one that still finds the old set");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(shows(&auth, &old).await, Err(Cause::UnknownKey));
    assert_eq!(shows(&auth, &new).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn while_the_source_fails_the_last_good_set_serves_for_a_day() {
    let known = fresh(ES256).named("k");
    let source = Invented::new(503, String::new());
    let auth = auth_asking(REMOTE, &source.caller());
    let refusal = enter(&auth, &mut bearer(&known.token(&json!({})))).await.unwrap_err();
    assert_eq!((refusal.status.as_u16(), refusal.cause), (503, Cause::Unavailable));
    assert!(refusal.challenges.is_empty());
    assert_eq!(shows(&auth, &known).await, Err(Cause::Unavailable));
    assert_eq!(source.asked(), 1, "nobody asks again within ten seconds");
    source.answers(200, known.jwks());
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(shows(&auth, &known).await, Ok(()));
    for answer in
        [(500, known.jwks()), (200, "{\"keys\":[]}".to_owned()), (200, "<html>".to_owned())]
    {
        source.answers(answer.0, answer.1);
        tokio::time::advance(Duration::from_secs(7 * 3600)).await;
        assert_eq!(shows(&auth, &known).await, Ok(()));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(shows(&auth, &known).await, Ok(()), "a failure takes no key away");
    }
    tokio::time::advance(Duration::from_secs(7 * 3600)).await;
    assert_eq!(shows(&auth, &known).await, Err(Cause::Unavailable), "after a day it ends");
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_too_large_or_too_slow_is_a_failure() {
    let known = fresh(ES256).named("k");
    let padded = known.jwks().replacen('{', &format!("{{\"x\":\"{}\",", "x".repeat(1 << 20)), 1);
    let source = Invented::new(200, padded);
    let auth = auth_asking(REMOTE, &source.caller());
    assert_eq!(shows(&auth, &known).await, Err(Cause::Unavailable));
    let slow = Arc::new(Invented {
        asked: AtomicUsize::new(0),
        seen: Mutex::default(),
        answer: Mutex::new((200, known.jwks())),
        takes: Duration::from_secs(6),
    });
    let auth = auth_asking(REMOTE, &slow.caller());
    assert_eq!(shows(&auth, &known).await, Err(Cause::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_keys_and_whoever_goes_away_does_not_stop_a_fetch() {
    let known = fresh(ES256).named("k");
    let source = Invented::new(200, known.jwks());
    let caller = source.caller();
    let declared = |_: &Upstream| Some(caller.clone());
    let files = AuthFiles::default();
    let first = Auth::compile(&model(REMOTE), &files, &declared, None);
    let impatient = tokio::time::timeout(Duration::from_millis(1), shows(&first, &known)).await;
    assert!(impatient.is_err());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = Auth::compile(&model(REMOTE), &files, &declared, Some(&first));
    assert_eq!(shows(&second, &known).await, Ok(()));
    assert_eq!(source.asked(), 1);
    let other = REMOTE.replace("5m", "6m");
    let third = Auth::compile(&model(&other), &files, &declared, Some(&second));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(shows(&third, &known).await, Ok(()));
    assert_eq!(source.asked(), 2, "another source is another matter");
}

const FORWARD: &str = "forward: { url: \"http://authz/check?x=1\", timeout: 2s, response_headers: [x-user, authorization] }";

#[tokio::test(start_paused = true)]
async fn the_checker_is_told_what_was_asked_for_and_names_who_it_was() {
    let checker = Invented::new(204, String::new());
    let auth = auth_asking(FORWARD, &checker.caller());
    let mut request = Request::put("/a?b=c").body(Body::from("the body")).unwrap();
    for (name, value) in [
        ("host", "h"),
        ("cookie", "s=1"),
        ("authorization", "Bearer x"),
        ("content-length", "8"),
        ("content-type", "text/plain"),
        ("if-none-match", "*"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-groups", "admin"),
        ("x-user", "root"),
    ] {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    assert_eq!(enter(&auth, &mut request).await.unwrap(), None);
    let (uri, headers) = checker.seen.lock().unwrap()[0].clone();
    assert_eq!(uri, "/check?x=1");
    let expected = [
        ("authorization", "Bearer x"),
        ("cookie", "s=1"),
        ("host", "authz"),
        ("x-forwarded-for", "10.0.0.9"),
        ("x-forwarded-host", "shop.test"),
        ("x-forwarded-method", "PUT"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-uri", "/a?b=c"),
    ];
    let mut seen = told(&headers);
    seen.sort();
    assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let users: Vec<_> = request.headers().get_all("x-user").iter().collect();
    assert_eq!(users, ["ann"]);
    assert!(!request.headers().contains_key("authorization"), "the checker named none");
    assert_eq!(request.headers()["content-length"], "8");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "the body");
}

#[tokio::test(start_paused = true)]
async fn the_checker_gets_chosen_headers_only_if_the_file_says_so() {
    let checker = Invented::new(200, String::new());
    let text = "forward: { url: \"http://authz/\", request_headers: [cookie, host] }";
    let auth = auth_asking(text, &checker.caller());
    let mut request = request("/", &[("cookie", "s=1"), ("authorization", "x"), ("host", "evil")]);
    enter(&auth, &mut request).await.unwrap();
    let headers = &checker.seen.lock().unwrap()[0].1;
    assert_eq!(headers["cookie"], "s=1");
    assert_eq!(headers["host"], "authz");
    assert!(!headers.contains_key("authorization"));
    assert!(request.headers().contains_key("authorization"), "the service still gets it");
}

#[tokio::test(start_paused = true)]
async fn only_a_yes_is_a_yes() {
    let checker = Invented::new(200, String::new());
    let auth = auth_asking(FORWARD, &checker.caller());
    let stats = Arc::new(AuthStats::new("a"));
    for status in 200..=599 {
        checker.answers(status, "said".to_owned());
        let entered = enter_counted(&auth, &mut request("/", &[]), &stats).await;
        match status {
            200..300 => assert!(entered.is_ok(), "{status}"),
            300..500 => {
                let refusal = entered.unwrap_err();
                let answer = refusal.answer.expect("its own words");
                assert_eq!((refusal.status.as_u16(), answer.status().as_u16()), (status, status));
                assert_eq!(answer.headers()["x-user"], "ann");
                assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "said");
            }
            _ => {
                let refusal = entered.unwrap_err();
                assert_eq!((refusal.status.as_u16(), refusal.cause), (503, Cause::Unavailable));
                assert!(refusal.answer.is_none());
            }
        }
    }
    assert_eq!(stats.read(Method::Forward, Cause::Allowed), 100);
    assert_eq!(stats.read(Method::Forward, Cause::Denied), 200);
    assert_eq!(stats.read(Method::Forward, Cause::Unavailable), 100);
    checker.answers(401, "x".repeat((64 << 10) + 1));
    let refusal = enter(&auth, &mut request("/", &[])).await.unwrap_err();
    assert_eq!(refusal.status, 503, "an answer that is too large to pass on");
    checker.answers(200, String::new());
    let nobody = auth_asking(FORWARD, &Caller::Nobody);
    assert_eq!(enter(&nobody, &mut request("/", &[])).await.unwrap_err().status, 503);
    let gone = auth_asking(FORWARD, &Invented::new(200, String::new()).caller());
    assert_eq!(enter(&gone, &mut request("/", &[])).await.unwrap_err().status, 503);
    let slow = Arc::new(Invented {
        asked: AtomicUsize::new(0),
        seen: Mutex::default(),
        answer: Mutex::new((200, String::new())),
        takes: Duration::from_secs(3),
    });
    let slow = auth_asking(FORWARD, &slow.caller());
    assert_eq!(enter(&slow, &mut request("/", &[])).await.unwrap_err().status, 503);
}

#[tokio::test(start_paused = true)]
async fn forward_comes_after_the_others_and_hears_what_they_found() {
    let checker = Invented::new(200, String::new());
    let text = "jwt:\n  secret: ${SECRET}\n  claims: { sub: x-sub }\n  strip: true\nforward: http://authz/";
    let auth = auth_asking(text, &checker.caller());
    let refusal = enter(&auth, &mut request("/", &[("x-sub", "root")])).await.unwrap_err();
    assert_eq!((refusal.cause, checker.asked()), (Cause::Missing, 0));
    let mut request = bearer(&issuer(HS256).token(&json!({"sub": "ann"})));
    request.headers_mut().insert("x-sub", "root".parse().unwrap());
    assert_eq!(enter(&auth, &mut request).await.unwrap().as_deref(), Some("ann"));
    assert_eq!(checker.seen.lock().unwrap()[0].1["x-sub"], "ann");
    assert_eq!(told(request.headers()), [("x-sub".to_owned(), "ann".to_owned())]);
}

/// A checker on a socket: it answers what the cookie says, or not at all.
async fn served(scheme: Scheme) -> (Caller, Arc<Mutex<Vec<Request<()>>>>) {
    use hyper::server::conn::{http1, http2};
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen: Arc<Mutex<Vec<Request<()>>>> = Arc::default();
    let log = seen.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let log = log.clone();
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let status = match request.headers().get("cookie").and_then(|c| c.to_str().ok()) {
                    Some("in") => 200,
                    Some("break") => 0,
                    _ => 302,
                };
                log.lock().unwrap().push(request.map(drop));
                async move {
                    if status == 0 {
                        return Err("broken");
                    }
                    let answer = Response::builder().status(status).header("x-user", "ann");
                    let answer = answer.header("location", "https://login.test/?next=%2F");
                    let answer = answer.header("set-cookie", "a=1").header("set-cookie", "b=2");
                    let answer =
                        answer.header("connection", "keep-alive, x-hop").header("x-hop", "1");
                    Ok(answer
                        .body(http_body_util::Full::new(bytes::Bytes::from("log in")))
                        .unwrap())
                }
            });
            let socket = TokioIo::new(socket);
            tokio::spawn(async move {
                match scheme {
                    Scheme::H2c => drop(
                        http2::Builder::new(TokioExecutor::new())
                            .serve_connection(socket, service)
                            .await,
                    ),
                    _ => drop(http1::Builder::new().serve_connection(socket, service).await),
                }
            });
        }
    });
    let upstream = Upstream { scheme, ..Upstream::http("127.0.0.1", port) };
    (Caller::Endpoint(Arc::new(Endpoint::declared(&upstream, None))), seen)
}

#[tokio::test]
async fn a_checker_behind_a_socket_is_asked_and_its_redirect_passed_on() {
    for scheme in [Scheme::Http, Scheme::H2c] {
        let (caller, seen) = served(scheme).await;
        let auth = auth_asking(FORWARD, &caller);
        let mut entering = request("/a", &[("cookie", "in")]);
        enter(&auth, &mut entering).await.unwrap();
        assert_eq!(entering.headers()["x-user"], "ann");
        {
            let asked = &seen.lock().unwrap()[0];
            assert_eq!(asked.method(), "GET");
            assert_eq!(asked.uri().path_and_query().unwrap(), "/check?x=1");
            assert_eq!(asked.headers()["x-forwarded-uri"], "/a");
            let host = asked.headers().get("host").map(|host| host.to_str().unwrap());
            let host = host.or(asked.uri().authority().map(http::uri::Authority::as_str));
            assert!(host.unwrap().starts_with("127.0.0.1:"), "{host:?}");
        }
        let refusal = enter(&auth, &mut request("/a", &[])).await.unwrap_err();
        let answer = refusal.answer.unwrap();
        assert_eq!(answer.status(), 302);
        assert_eq!(answer.headers()["location"], "https://login.test/?next=%2F");
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
        let hop = answer.headers().contains_key("x-hop");
        assert!(!hop || scheme == Scheme::H2c, "{:?}", answer.headers());
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "log in");
        let broken = enter(&auth, &mut request("/a", &[("cookie", "break")])).await.unwrap_err();
        assert_eq!((broken.status.as_u16(), broken.cause), (503, Cause::Unavailable));
    }
}

#[tokio::test]
async fn nobody_who_listens_is_no_yes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let auth = auth(&format!("forward: http://127.0.0.1:{port}/"));
    let refusal = enter(&auth, &mut request("/", &[])).await.unwrap_err();
    assert_eq!((refusal.status.as_u16(), refusal.cause), (503, Cause::Unavailable));
}

#[tokio::test]
async fn files_are_read_beforehand_and_a_wrong_one_is_a_problem_at_its_place() {
    let folder = std::env::temp_dir().join(format!("stitch-auth-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let text = "services:\n  a:\n    url: http://h:1\n    auth:\n      jwt: { jwks: keys.json }\n      basic: { file: users }\n";
    let known = fresh(ES256).named("k");
    let (_, report, rendered) = files(&folder, text);
    assert_eq!(report.errors(), 2, "{rendered}");
    assert!(rendered.contains("cannot read") && rendered.contains("stitch.yaml:5:"), "{rendered}");
    std::fs::write(folder.join("keys.json"), "{\"keys\":[{\"kty\":\"oct\",\"k\":\"aHVudGVyMg\"}]}")
        .unwrap();
    std::fs::write(folder.join("users"), "ann:{SHA}hunter2\n").unwrap();
    let (_, report, rendered) = files(&folder, text);
    assert_eq!(report.errors(), 2, "{rendered}");
    assert!(rendered.contains("holds no key that signatures can be checked with"), "{rendered}");
    assert!(rendered.contains("line 1: the hash of \"ann\""), "{rendered}");
    assert!(!rendered.contains("hunter2") && !rendered.contains("aHVu"), "{rendered}");
    std::fs::write(folder.join("keys.json"), known.jwks()).unwrap();
    std::fs::write(folder.join("users"), format!("ann:{SHA_HUNTER2}\n")).unwrap();
    let (auth, report, rendered) = files(&folder, text);
    assert_eq!(report.errors(), 0, "{rendered}");
    let auth = auth.unwrap();
    assert_eq!(shows(&auth, &known).await, Ok(()));
    assert_eq!(shows(&auth, &fresh(ES256).named("k")).await, Err(Cause::Signature));
    let mut request = request("/", &[("authorization", &basic("ann:hunter2"))]);
    assert_eq!(enter(&auth, &mut request).await.unwrap().as_deref(), Some("ann"));
    std::fs::remove_dir_all(&folder).unwrap();
}
