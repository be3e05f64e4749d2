//! Heads in front of nginx: what is refused, too large or too slow, and what targets arrive.

use super::super::rows;
use super::behind::{Behind, PATIENCE, SCHEMES};
use stitch_kit::http::Connection;

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
fn bare_line_feeds_and_expectations_are_understood_here() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        let made = behind.made_of("GET /a HTTP/1.1\nhost: users\nx-secret: 1\n\n");
        assert_eq!((&made["secret"], &made["framing"]), (&"1".into(), &"".into()));
        let made = behind.made_of(
            "POST /a HTTP/1.1\r\nhost: users\r\nexpect: 100-continue\r\n\
             content-length: 3\r\n\r\nabc",
        );
        assert_eq!((&made["expect"], &made["framing"]), (&"".into(), &"3".into()), "{made}");
        behind.keep();
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
    for scheme in SCHEMES {
        let limits = "limits: { header_bytes: 16KiB, header_timeout: 300ms }";
        let behind = Behind::with(scheme, limits, "");
        let long =
            format!("GET /a HTTP/1.1\r\nhost: users\r\nx-a: {}\r\n\r\n", "a".repeat(17 << 10));
        let (mut connection, answer) = behind.send(&long);
        assert_eq!(answer.status, 431, "{scheme}");
        assert!(connection.closes_within(PATIENCE), "still open in front of {scheme}");
        let (mut connection, answer) = behind.send("GET /a HTTP/1.1\r\nhost: users\r\nx-a");
        assert_eq!(answer.status, 408, "{scheme}");
        assert!(connection.closes_within(PATIENCE), "still open in front of {scheme}");
        assert_eq!(behind.seen(), Vec::<String>::new(), "{scheme}");
    }
}
