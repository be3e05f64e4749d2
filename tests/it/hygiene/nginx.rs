//! The same in front of nginx: what of it arrives there, as nginx understands it.

use super::rows;
use serde_json::Value;
use std::time::Duration;
use stitch_kit::h2;
use stitch_kit::http::{self, Connection, Response};
use stitch_kit::{Nginx, Stitch, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);

/// What nginx makes of a request, as JSON; what is PUT is kept as a file.
const SERVER: &str = r#"
    access_log seen.log combined;
    keepalive_requests 1000000;
    dav_methods PUT;
    client_max_body_size 64m;
    default_type application/json;
    location /kept/ { root .; }
    location / {
        return 200 '{"line":"$request","host":"$http_host","connection":"$http_connection","keep":"$http_keep_alive$http_proxy_connection$http_proxy_authorization","upgrade":"$http_upgrade$http_http2_settings","te":"$http_te","secret":"$http_x_secret","expect":"$http_expect","cookie":"$http_cookie","for":"$http_x_forwarded_for","proto":"$http_x_forwarded_proto","asked":"$http_x_forwarded_host","via":"$http_via","forwarded":"$http_forwarded","framing":"$http_transfer_encoding$http_content_length"}';
    }
"#;

/// A service `users` that is nginx, behind a proxy.
struct Behind {
    nginx: Nginx,
    stitch: Stitch,
}

impl Behind {
    /// Spoken to in HTTP/1, or in HTTP/2 from the first byte.
    fn speaking(scheme: &str) -> Self {
        let nginx = Nginx::listening(if scheme == "h2c" { "http2" } else { "" }, SERVER);
        let url = format!("{scheme}://{}", nginx.addr());
        let stitch = Stitch::up(&format!(
            "proxy: {{ workers: 1, trust: [] }}\nservices: {{ users: {{ url: '{url}' }} }}"
        ));
        Self { nginx, stitch }
    }

    fn send(&self, bytes: &str) -> (Connection, Response) {
        let mut connection = Connection::open(self.stitch.proxy());
        connection.send(bytes);
        let answer = connection.read_response();
        (connection, answer)
    }

    /// What nginx makes of this request.
    fn made_of(&self, bytes: &str) -> Value {
        let (_, answer) = self.send(bytes);
        assert_eq!(answer.status, 200, "{bytes:?}: {}", answer.text());
        answer.json()
    }

    /// The request lines that have arrived; a last one is waited for.
    fn seen(&self) -> Vec<String> {
        let answer = http::get(self.stitch.proxy(), "/last", &[("host", "users")]);
        assert_eq!(answer.status, 200);
        let path = self.nginx.folder().join("seen.log");
        let log = || std::fs::read_to_string(&path).unwrap();
        assert!(wait_until(PATIENCE, || log().contains("GET /last ")));
        let line = |line: &str| line.split('"').nth(1).map(str::to_owned);
        log().lines().filter_map(line).filter(|line| !line.contains("/last")).collect()
    }

    /// What was kept of a body.
    fn kept(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.nginx.folder().join(&format!("kept/{name}"))).ok()
    }
}

/// Both ways of speaking to a service.
const SCHEMES: [&str; 2] = ["http", "h2c"];

#[test]
fn nothing_that_is_refused_arrives() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        for text in rows::refused() {
            let (mut connection, answer) = behind.send(&text);
            assert_eq!(answer.status, 400, "{text:?}");
            assert!(connection.closes_within(PATIENCE), "still open after {text:?}");
        }
        assert_eq!(behind.seen(), Vec::<String>::new());
    }
}

#[test]
fn nothing_is_smuggled() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        let both = rows::BOTH.iter().map(|lines| rows::post(lines));
        let chunks = rows::CHUNKS.iter().map(|chunks| rows::broken(chunks));
        for text in both.chain(chunks) {
            let (mut connection, _) = behind.send(&text);
            connection.read_to_close();
        }
        let seen = behind.seen();
        assert!(!seen.iter().any(|line| line.contains("smuggled")), "{seen:?}");
    }
}

#[test]
fn bodies_are_kept_as_they_were_sent_or_not_at_all() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        let _ = behind.nginx.folder().write("kept/.here", "");
        let put =
            |name: &str, rest: &str| format!("PUT /kept/{name} HTTP/1.1\r\nhost: users\r\n{rest}");
        for (name, rest) in [
            ("length", "content-length: 5\r\n\r\nhello"),
            ("chunked", "transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            ("trailers", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n"),
            ("extended", "transfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n"),
            ("twice", "content-length: 5\r\ncontent-length: 5\r\n\r\nhello"),
        ] {
            // nginx takes trailers of a request for a breach of HTTP/2.
            if (scheme, name) == ("h2c", "trailers") {
                continue;
            }
            let (_, answer) = behind.send(&put(name, rest));
            // Lengths that agree may be refused too.
            if answer.status == 201 {
                assert_eq!(behind.kept(name).as_deref(), Some("hello"), "{name}");
            } else {
                assert_eq!((answer.status, name), (400, "twice"));
            }
        }
        let mut client = h2::Connection::open(behind.stitch.proxy());
        let stream = client.request(&h2::request("PUT", "users", "/kept/h2"), false);
        client.data(stream, "hello", true);
        assert_eq!(client.finish(stream).status, Some(201));
        assert_eq!(behind.kept("h2").as_deref(), Some("hello"));
        // Broken off, each in its way.
        for (name, rest) in [
            ("short", "content-length: 9\r\n\r\nhello"),
            ("open", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
            ("cut", "transfer-encoding: chunked\r\n\r\n9\r\nhello"),
            ("bad", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n\r\n"),
        ] {
            let mut connection = Connection::open(behind.stitch.proxy());
            connection.send(put(name, rest));
            connection.finish_sending();
            connection.read_to_close();
        }
        let stream = client.request(&h2::request("PUT", "users", "/kept/reset"), false);
        client.data(stream, "hello", false);
        client.send(&h2::Frame::reset(stream, 8));
        let seen = behind.seen();
        for name in ["short", "open", "cut", "bad", "reset"] {
            assert_eq!(behind.kept(name), None, "{name} looked whole: {seen:?}");
        }
    }
}

#[test]
fn headers_of_one_connection_do_not_arrive() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        let made = behind.made_of(
            "GET /a HTTP/1.1\r\nhost: users\r\nconnection: keep-alive, x-secret, cookie\r\n\
             keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nx-secret: 1\r\n\
             proxy-authorization: Basic d2ViOg==\r\ncookie: a=b\r\nte: gzip\r\n\r\n",
        );
        for gone in ["connection", "keep", "secret", "te"] {
            assert_eq!(made[gone], "", "{gone} arrived over {scheme}: {made}");
        }
        assert_eq!(made["cookie"], "a=b");
        let made = behind.made_of(
            "GET /a HTTP/1.1\r\nhost: users\r\nconnection: upgrade, http2-settings\r\n\
             upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
        );
        assert_eq!((&made["upgrade"], &made["connection"]), (&"".into(), &"".into()), "{made}");
        let made = behind
            .made_of("GET /a HTTP/1.1\r\nhost: users\r\nconnection: te\r\nte: trailers\r\n\r\n");
        assert_eq!(made["te"], "trailers");
    }
}

#[test]
fn hosts_and_claims_arrive_as_ours() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        let made = behind.made_of(
            "GET http://users/a HTTP/1.1\r\nhost: orders\r\nx-forwarded-for: 6.6.6.6\r\n\
             x-forwarded-proto: https\r\nx-forwarded-host: shop\r\nforwarded: for=6.6.6.6\r\n\r\n",
        );
        let version = if scheme == "h2c" { "HTTP/2.0" } else { "HTTP/1.1" };
        assert_eq!(made["line"], format!("GET /a {version}"));
        assert_eq!(made["for"], "127.0.0.1");
        assert_eq!((&made["proto"], &made["forwarded"]), (&"http".into(), &"".into()));
        assert_eq!(made["asked"], "users");
        assert!(made["via"].as_str().unwrap().starts_with("1.1 stitch-"), "{made}");
        if scheme == "http" {
            assert_eq!(made["host"], behind.nginx.addr().to_string());
        }
    }
}

#[test]
fn bare_line_feeds_and_expectations_are_understood_here() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        let made = behind.made_of("GET /a HTTP/1.1\nhost: users\nx-secret: 1\n\n");
        assert_eq!((&made["secret"], &made["framing"]), (&"1".into(), &"".into()));
        let _ = behind.nginx.folder().write("kept/.here", "");
        let mut connection = Connection::open(behind.stitch.proxy());
        connection.send(
            "PUT /kept/expected HTTP/1.1\r\nhost: users\r\nexpect: 100-continue\r\n\
             content-length: 5\r\n\r\n",
        );
        assert_eq!(connection.read_bytes(25), b"HTTP/1.1 100 Continue\r\n\r\n");
        connection.send("hello");
        assert_eq!(connection.read_response().status, 201);
        assert_eq!(behind.kept("expected").as_deref(), Some("hello"));
    }
}

#[test]
fn targets_arrive_as_they_were_sent() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        let targets = ["/", "//a//b", "/a/../b", "/%61/a%2fb", "/a?b=c?d&e=%20", "/?", "/a;b=c"];
        for target in targets {
            let (_, answer) = behind.send(&format!("GET {target} HTTP/1.1\r\nhost: users\r\n\r\n"));
            assert_eq!(answer.status, 200, "{target}");
        }
        let seen = behind.seen();
        let asked: Vec<_> = seen.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(asked, targets, "{scheme}");
    }
}

#[test]
fn sizes_and_times_hold_in_front_of_nginx_too() {
    let nginx = Nginx::start(SERVER);
    let stitch = Stitch::up(&format!(
        "proxy: {{ limits: {{ header_bytes: 16KiB, header_timeout: 300ms }} }}\n\
         services: {{ users: {{ url: '{}' }} }}",
        nginx.url()
    ));
    let behind = Behind { nginx, stitch };
    let long = format!("GET /a HTTP/1.1\r\nhost: users\r\nx-a: {}\r\n\r\n", "a".repeat(17 << 10));
    let (mut connection, answer) = behind.send(&long);
    assert_eq!(answer.status, 431);
    assert!(connection.closes_within(PATIENCE));
    let (mut connection, answer) = behind.send("GET /a HTTP/1.1\r\nhost: users\r\nx-a");
    assert_eq!(answer.status, 408);
    assert!(connection.closes_within(PATIENCE));
    assert_eq!(behind.seen(), Vec::<String>::new());
}
