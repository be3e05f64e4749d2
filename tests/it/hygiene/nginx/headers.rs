//! Headers in front of nginx: those of one connection, those that say who is calling, and hosts.

use super::behind::{Behind, SCHEMES, version};
use stitch_kit::{Stitch, http};

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
             x-forwarded-proto: https\r\nx-forwarded-host: shop\r\nforwarded: for=6.6.6.6\r\n\
             x-stitch-service: other\r\nx-stitch-fault: slow\r\n\r\n",
        );
        assert_eq!(made["line"], format!("GET /a {}", version(scheme)));
        assert_eq!(made["for"], "127.0.0.1");
        assert_eq!((&made["proto"], &made["forwarded"]), (&"http".into(), &"".into()));
        assert_eq!((&made["asked"], &made["stitch"]), (&"users".into(), &"".into()));
        assert!(made["via"].as_str().unwrap().starts_with("1.1 stitch-"), "{made}");
        assert_eq!(made["host"], behind.nginx.addr().to_string());
    }
}

#[test]
fn claims_of_a_trusted_peer_arrive_continued() {
    for scheme in SCHEMES {
        let behind = Behind::with(scheme, "trust: loopback", "");
        let made = behind.made_of(
            "GET /a HTTP/1.1\r\nhost: users\r\nx-forwarded-for: 10.0.0.1\r\n\
             x-forwarded-proto: https\r\nx-forwarded-host: shop.example\r\n\
             forwarded: for=10.0.0.1\r\nx-request-id: mine\r\n\r\n",
        );
        for (name, value) in [
            ("for", "10.0.0.1, 127.0.0.1"),
            ("proto", "https"),
            ("asked", "shop.example"),
            ("forwarded", "for=10.0.0.1, for=127.0.0.1;proto=http"),
            ("id", "mine"),
        ] {
            assert_eq!(made[name], value, "{name} over {scheme}");
        }
    }
}

#[test]
fn a_connection_token_takes_away_neither_identity_nor_routing() {
    for scheme in SCHEMES {
        let behind = Behind::with(scheme, "trust: loopback", "");
        let made = behind.made_of(
            "POST /a HTTP/1.1\r\nhost: users\r\nconnection: host, authorization, cookie\r\n\
             connection: x-forwarded-for, x-forwarded-host, X-Forwarded-Proto, forwarded\r\n\
             connection: content-length, x-secret\r\nauthorization: Bearer a\r\ncookie: a=b\r\n\
             x-forwarded-for: 10.0.0.1\r\nx-forwarded-host: shop.example\r\n\
             x-forwarded-proto: https\r\nforwarded: for=10.0.0.1\r\nx-secret: 1\r\n\
             content-length: 3\r\n\r\nabc",
        );
        for (name, value) in [
            ("host", behind.nginx.addr().to_string().as_str()),
            ("authorization", "Bearer a"),
            ("cookie", "a=b"),
            ("for", "10.0.0.1, 127.0.0.1"),
            ("asked", "shop.example"),
            ("proto", "https"),
            ("forwarded", "for=10.0.0.1, for=127.0.0.1;proto=http"),
            ("framing", "3"),
            ("secret", ""),
            ("connection", ""),
        ] {
            assert_eq!(made[name], value, "{name} over {scheme}");
        }
    }
}

#[test]
fn response_headers_of_one_connection_stay_there() {
    let more = "location /answers/ {
        add_header Proxy-Authenticate Basic; add_header X-Internal 1; add_header X-Kept 1;
        return 200 ok;
    }
    location /answers/listing {
        add_header Connection 'x-internal, set-cookie'; add_header Keep-Alive timeout=5;
        add_header X-Internal 1; add_header X-Kept 1; add_header Set-Cookie a=b;
        return 200 ok;
    }";
    for scheme in SCHEMES {
        let behind = Behind::serving(scheme, more, "", "");
        let answer = http::get(behind.stitch.proxy(), "/answers/", &[("host", "users")]);
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "{scheme}");
        assert_eq!((answer.header("x-kept"), answer.header("x-internal")), (Some("1"), Some("1")));
        for gone in ["connection", "keep-alive", "proxy-authenticate"] {
            assert_eq!(answer.header(gone), None, "{gone} passed over {scheme}");
        }
        let answer = http::get(behind.stitch.proxy(), "/answers/listing", &[("host", "users")]);
        // In HTTP/2 they make an answer malformed (RFC 9113 §8.2.2).
        if scheme == "h2c" {
            let reason = answer.header("x-stitch-reason");
            assert_eq!((answer.status, reason), (502, Some("upstream_protocol")), "{answer:?}");
            continue;
        }
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        for gone in ["connection", "keep-alive", "x-internal"] {
            assert_eq!(answer.header(gone), None, "{gone} passed");
        }
        assert_eq!(answer.header("x-kept"), Some("1"));
        assert_eq!(answer.headers.all("set-cookie"), ["a=b"]);
    }
}

#[test]
fn a_host_that_is_preserved_arrives_as_it_was_asked_for() {
    for scheme in SCHEMES {
        let behind = Behind::with(scheme, "", "preserve_host: true");
        let made = behind.made_of("GET /a HTTP/1.1\r\nhost: users\r\n\r\n");
        assert_eq!((&made["host"], &made["asked"]), (&"users".into(), &"users".into()), "{scheme}");
        let made = behind.made_of("GET http://users/a HTTP/1.1\r\nhost: orders\r\n\r\n");
        assert_eq!(made["host"], "users", "{scheme}");
    }
}

#[test]
fn an_undeclared_nginx_sees_nothing_of_us_but_via() {
    let behind = Behind::speaking("http");
    let own = behind.nginx.addr();
    let stranger = Stitch::up("services: { other: { endpoints: [{ path: / }] } }");
    let target = format!("http://{own}/a?b");
    let made = http::get(stranger.proxy(), &target, &[("host", "other")]).json();
    assert_eq!(made["line"], "GET /a?b HTTP/1.1");
    assert_eq!(made["host"], own.to_string());
    for none in ["for", "proto", "asked", "forwarded", "stitch", "id", "trace", "connection"] {
        assert_eq!(made[none], "", "{none} arrived: {made}");
    }
    assert!(made["via"].as_str().unwrap().starts_with("1.1 stitch-"), "{made}");
}
