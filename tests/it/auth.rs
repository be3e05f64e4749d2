//! Who may come in, with tokens that PyJWT makes and passwords that curl sends.

use serde_json::Value;
use std::sync::OnceLock;
use std::time::Duration;
use stitch_kit::http;
use stitch_kit::{Certificates, PythonServer, Scratch, Stitch, Upstream, curl, python, wait_until};

/// `hunter2`.
const DIGEST: &str = "sha256:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
const SECRET: &str = "a secret of more than thirty-two bytes";

/// Two sets of keys, and tokens of all algorithms made with the first.
const MAKE: &str = r#"
import json, time, jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

def keys():
    return {
        "rsa": (RSAAlgorithm, rsa.generate_private_key(65537, 2048)),
        "p256": (ECAlgorithm, ec.generate_private_key(ec.SECP256R1())),
        "p384": (ECAlgorithm, ec.generate_private_key(ec.SECP384R1())),
        "ed": (OKPAlgorithm, ed25519.Ed25519PrivateKey.generate()),
    }

def jwks(keys, suffix=""):
    one = lambda name, kind, key: dict(json.loads(kind.to_jwk(key.public_key())), kid=name + suffix)
    return {"keys": [one(name, kind, key) for name, (kind, key) in keys.items()]}

ALGORITHMS = {
    "RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "PS256": "rsa", "PS384": "rsa", "PS512": "rsa",
    "ES256": "p256", "ES384": "p384", "EdDSA": "ed",
}
now = int(time.time())
good = {"sub": "ann", "iss": "https://id.test/", "aud": "a", "exp": now + 3600, "nbf": now, "scope": "read"}
first, second = keys(), keys()
sign = lambda claims, keys, algorithm="ES256", suffix="": jwt.encode(
    claims, keys[ALGORITHMS[algorithm]][1], algorithm, headers={"kid": ALGORITHMS[algorithm] + suffix})
modulus = jwks(first)["keys"][0]["n"]
print(json.dumps({
    "first": jwks(first),
    "second": jwks(second, "-2"),
    "rotated": sign(good, second, suffix="-2"),
    "good": {name: sign(good, first, name) for name in ALGORITHMS},
    "secret": jwt.encode(good, "SECRET", "HS256"),
    "bad": {
        "another key": sign(good, second),
        "expired": sign(dict(good, exp=now - 3600), first),
        "not yet": sign(dict(good, nbf=now + 3600), first),
        "another issuer": sign(dict(good, iss="https://eve.test/"), first),
        "another audience": sign(dict(good, aud="b"), first),
        "none": jwt.encode(good, None, "none"),
        "confused": jwt.encode(good, modulus, "HS256", headers={"kid": "rsa"}),
    },
    "lacking": sign(dict(good, scope="write"), first),
}))
"#;

fn made() -> &'static Value {
    static MADE: OnceLock<Value> = OnceLock::new();
    MADE.get_or_init(|| {
        let output = python(&MAKE.replace("SECRET", SECRET)).output().success();
        serde_json::from_str(&output.stdout).unwrap()
    })
}

const JWT: &str = "jwt:\n        jwks: ./keys.json\n        issuer: https://id.test/\n        \
    audience: a\n        scopes: read\n        claims: { sub: x-user }";

fn behind(auth: &str, upstream: &Upstream) -> Stitch {
    let yaml = format!(
        "services:\n  a:\n    url: {}\n    auth:\n      {auth}\n\
         routes:\n  - {{ match: /open/**, to: a, auth: none }}\n  - {{ match: /**, to: a }}\n",
        upstream.url()
    );
    Stitch::builder()
        .yaml(&yaml)
        .file("keys.json", &made()["first"].to_string())
        .env("JWT_SECRET", SECRET)
        .start()
}

fn status(stitch: &Stitch, headers: &[(&str, &str)]) -> u16 {
    http::get(stitch.proxy(), "/x", headers).status
}

fn bearer(token: &Value) -> String {
    format!("Bearer {}", token.as_str().unwrap())
}

#[test]
fn tokens_of_every_algorithm_come_in_and_bad_ones_do_not() {
    let upstream = Upstream::echo();
    let stitch = behind(JWT, &upstream);
    for (name, token) in made()["good"].as_object().unwrap() {
        let (token, before) = (bearer(token), upstream.requests().len());
        assert_eq!(
            status(&stitch, &[("authorization", &token), ("x-user", "root")]),
            200,
            "{name}"
        );
        let request = &upstream.requests()[before];
        assert_eq!(request.header("x-user"), Some("ann"), "{name}");
    }
    let before = upstream.requests().len();
    for (name, token) in made()["bad"].as_object().unwrap() {
        let answer = http::get(stitch.proxy(), "/x", &[("authorization", &bearer(token))]);
        assert_eq!(answer.status, 401, "{name}");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"), "{name}");
        assert_eq!(answer.header("x-stitch-reason"), Some("unauthenticated"), "{name}");
        assert!(!answer.text().contains(token.as_str().unwrap()), "{name}");
    }
    let answer = http::get(stitch.proxy(), "/x", &[("authorization", &bearer(&made()["lacking"]))]);
    assert_eq!((answer.status, answer.header("x-stitch-reason")), (403, Some("denied")));
    assert!(answer.header("www-authenticate").unwrap().contains("insufficient_scope"));
    assert_eq!(status(&stitch, &[]), 401);
    assert_eq!(upstream.requests().len(), before, "nothing of it has reached the service");
    assert_eq!(http::get(stitch.proxy(), "/open/x", &[]).status, 200, "a route may do without");
}

#[test]
fn a_secret_from_the_environment_takes_hmac() {
    let upstream = Upstream::echo();
    let stitch = behind("jwt:\n        secret: ${JWT_SECRET}", &upstream);
    assert_eq!(status(&stitch, &[("authorization", &bearer(&made()["secret"]))]), 200);
    let foreign = bearer(&made()["good"]["RS256"]);
    assert_eq!(status(&stitch, &[("authorization", &foreign)]), 401);
}

#[test]
fn a_key_set_that_is_replaced_is_in_force_soon() {
    let upstream = Upstream::echo();
    let stitch = behind(JWT, &upstream);
    let (old, new) = (bearer(&made()["good"]["ES256"]), bearer(&made()["rotated"]));
    assert_eq!(status(&stitch, &[("authorization", &new)]), 401);
    stitch.rewrite_file("keys.json", &made()["second"].to_string());
    let known = || status(&stitch, &[("authorization", &new)]) == 200;
    assert!(wait_until(Duration::from_secs(20), known), "the new key is known");
    assert_eq!(status(&stitch, &[("authorization", &old)]), 401);
}

#[test]
fn keys_are_fetched_from_their_address() {
    let (upstream, keys) = (Upstream::echo(), made()["first"].to_string());
    let folder = Scratch::new();
    folder.write("keys.json", &keys);
    let source = stitch_kit::python_http(folder.path());
    let stitch = behind(&format!("jwt: {{ jwks: \"{}/keys.json\" }}", source.url()), &upstream);
    assert_eq!(status(&stitch, &[("authorization", &bearer(&made()["good"]["PS256"]))]), 200);
    drop(source);
    assert_eq!(status(&stitch, &[("authorization", &bearer(&made()["good"]["EdDSA"]))]), 200);
}

#[test]
fn keys_are_fetched_over_tls_of_whom_is_trusted() {
    let (upstream, keys) = (Upstream::echo(), made()["first"].to_string());
    let (authority, folder) = (Certificates::new(), Scratch::new());
    folder.write("keys.json", &keys);
    let source = PythonServer::https(&authority.issue(&["127.0.0.1"]), folder.path());
    let (ids, ca) = (source.url("https"), authority.ca().display().to_string());
    let jwt = format!("jwt: {{ jwks: '{ids}/keys.json' }}");
    let file = |more: &str| {
        let users = format!("users: {{ url: '{}', auth: {{ {jwt} }} }}", upstream.url());
        Stitch::builder().yaml(&format!("services:\n  {users}\n{more}"))
    };
    let good = bearer(&made()["good"]["ES256"]);
    let ask = |stitch: &Stitch| {
        http::get(stitch.proxy(), "/x", &[("host", "users"), ("authorization", &good)])
    };
    // The authority of the service whose url it is; or one of the system's.
    let declared = file(&format!("  ids: {{ url: '{ids}', tls: {{ ca: '{ca}' }} }}\n")).start();
    assert_eq!(ask(&declared).status, 200, "{}", declared.stderr());
    let system = file("").env("SSL_CERT_FILE", &ca).start();
    assert_eq!(ask(&system).status, 200, "{}", system.stderr());

    let by_name = format!("  ids: {{ url: '{ids}' }}\n");
    for (more, why) in [("", "TLS failed: unknown issuer"), (&*by_name, "connect_tls")] {
        let stranger = file(more).start();
        assert_eq!(ask(&stranger).status, 503);
        let told = || stranger.stderr().contains(why);
        assert!(wait_until(Duration::from_secs(20), told), "{}", stranger.stderr());
    }
}

#[test]
fn curl_comes_in_with_a_password_or_a_key() {
    let upstream = Upstream::echo();
    let auth = format!(
        "api_key: {{ keys: {{ alice: \"{DIGEST}\" }}, owner_header: x-owner }}\n      \
         basic: {{ users: {{ bob: \"{DIGEST}\" }}, user_header: x-user }}"
    );
    let stitch = behind(&auth, &upstream);
    let url = format!("http://{}/x", stitch.proxy());
    curl(&["--fail", "-u", "bob:hunter2", &url]).success();
    curl(&["--fail", "-H", "x-api-key: hunter2", &url]).success();
    assert_eq!(curl(&["--fail", "-u", "bob:wrong", &url]).code(), 22);
    let requests = upstream.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("x-user"), Some("bob"));
    assert_eq!(requests[0].header("authorization"), None, "it is stripped");
    assert_eq!(requests[1].header("x-owner"), Some("alice"));
    assert_eq!(requests[1].header("x-api-key"), None);
}

#[test]
fn a_checker_in_python_decides() {
    let script = r#"
import http.server, json
class Checker(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        known = self.headers.get("cookie") == "session=1"
        self.send_response(200 if known else 302)
        self.send_header("x-user", "ann of " + self.headers["x-forwarded-uri"])
        self.send_header("location", "https://login.test/")
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Checker)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
"#;
    let checker = python(script).spawn();
    let port = checker.wait_for_stdout(|line| line["port"].is_u64())["port"].clone();
    let upstream = Upstream::echo();
    let url = format!("http://127.0.0.1:{port}/check");
    let auth = format!("forward: {{ url: \"{url}\", response_headers: x-user }}");
    let stitch = behind(&auth, &upstream);
    assert_eq!(status(&stitch, &[("cookie", "session=1"), ("x-user", "root")]), 200);
    assert_eq!(upstream.requests()[0].header("x-user"), Some("ann of /x"));
    let answer = http::get(stitch.proxy(), "/x", &[]);
    assert_eq!((answer.status, answer.header("location")), (302, Some("https://login.test/")));
    drop(checker);
    assert_eq!(status(&stitch, &[("cookie", "session=1")]), 503, "no answer is no yes");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn nothing_that_lets_in_is_told_by_the_admin_api() {
    let upstream = Upstream::echo();
    let auth = format!(
        "jwt:\n        secret: ${{JWT_SECRET}}\n      api_key: {{ keys: {{ alice: \"{DIGEST}\" }} }}"
    );
    let stitch = behind(&auth, &upstream);
    let config = http::get(stitch.admin(), "/api/config", &[]).text();
    assert!(config.contains("alice") && !config.contains(SECRET) && !config.contains("f52fbd32"));
    assert_eq!(status(&stitch, &[("x-api-key", "hunter2")]), 200);
    let metrics = http::get(stitch.admin(), "/metrics", &[]).text();
    let counted = "stitch_auth_total{service=\"a\",method=\"api_key\",outcome=\"allowed\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn nothing_that_lets_in_stands_in_the_access_log() {
    let upstream = Upstream::echo();
    let text = format!(
        "proxy: {{ access_log: {{ only: all, format: json }}, limits: {{ body: 1KiB }} }}\n\
         services:\n  a:\n    url: '{url}'\n    auth:\n      \
           api_key: {{ keys: {{ alice: \"{DIGEST}\" }}, in: query:key }}\n      \
           jwt:\n        secret: ${{JWT_SECRET}}\n        from: query:token\n      \
           basic: {{ users: {{ bob: \"{DIGEST}\" }} }}\n  b: {{ url: '{url}' }}\n\
         routes:\n- {{ match: /open/**, to: a, auth: none }}\n\
         - {{ match: /new/**, to: a, rewrite: /old/** }}\n- {{ match: /**, to: a }}\n",
        url = upstream.url()
    );
    let stitch = Stitch::builder().yaml(&text).env("JWT_SECRET", SECRET).start();
    let token = made()["secret"].as_str().unwrap().to_owned();
    let (bearer, password) = (bearer(&made()["secret"]), "Basic Ym9iOmh1bnRlcjI=");
    let large = "x".repeat(2000);
    let with_token = format!("/a?token={token}");
    let asked = [
        ("/a?x=1&key=hunter2&y=2", &[][..], "", 200),
        ("/a?%6bey=hunter2", &[], "", 200),
        ("/a?key=hunter3", &[], "", 401),
        ("/new/a?key=hunter2", &[], "", 200),
        ("/new/a?key=hunter3", &[], "", 401),
        ("/open/a?key=hunter2", &[], "", 200),
        ("/a?key=hunter2", &[("host", "b")], "", 200),
        ("/a?key=hunter2", &[], &large, 413),
        (&with_token, &[], "", 200),
        ("/a", &[("authorization", &bearer)], "", 401),
        ("/a", &[("authorization", password)], "", 200),
    ];
    for (target, headers, body, status) in asked {
        let answer = http::send(stitch.proxy(), "POST", target, headers, body.as_bytes());
        assert_eq!(answer.status, status, "{target} {headers:?}");
        assert!(!answer.headers.0.iter().any(|(_, value)| value.contains("hunter")), "{target}");
    }
    let lines = || stitch.stderr().matches("\"request_id\"").count();
    assert!(wait_until(Duration::from_secs(20), || lines() == asked.len()), "{}", stitch.stderr());
    let log = stitch.stderr() + &stitch.stdout();
    for secret in ["hunter", &token, "Ym9i", &bearer] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
    assert!(log.contains("\"/a?x=1&key=***&y=2\""), "the rest is told: {log}");
    assert!(log.contains("\"/new/a?key=***\"") && log.contains("\"/a?token=***\""), "{log}");
    // What is stripped does not reach the service; tokens are not unless the file says so.
    let reached: Vec<_> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(reached[..3], ["/a?x=1&y=2", "/a", "/old/a"]);
    assert!(reached.contains(&with_token), "{reached:?}");
}
