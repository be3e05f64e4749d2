//! Proxies and tunnels in front of nginx: a request that comes back, CONNECT, and upgrades.

use super::behind::{Behind, PATIENCE, SCHEMES, version};
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;
use stitch_kit::http::{self, Connection};
use stitch_kit::{Stitch, Upstream};

#[test]
fn a_request_that_nginx_sends_back_is_a_loop() {
    for scheme in SCHEMES {
        // nginx has to know the proxy's port, and the proxy that of nginx.
        let far = Stitch::up("services: { users: { endpoints: [{ path: /a, response: no }] } }");
        let back = format!(
            "location /round {{ proxy_pass http://{}; proxy_set_header Host users; }}",
            far.proxy()
        );
        let behind = Behind::serving(scheme, &back, "", "");
        far.rewrite(&format!(
            "services: {{ users: {{ url: '{}', preserve_host: true }} }}",
            behind.stitch.proxy_url()
        ));
        far.wait_for_stdout(|line| line["event"] == "reloaded");
        // Two proxies and nginx make the circle.
        let answer = http::get(behind.stitch.proxy(), "/round", &[("host", "users")]);
        assert_eq!(answer.status, 508, "{scheme}: {}", answer.text());
        assert_eq!(behind.seen(), [format!("GET /round {}", version(scheme))]);
        // One alone is no loop.
        let answer = http::get(far.proxy(), "/a", &[("host", "users")]);
        assert_eq!(answer.status, 200, "{scheme}: {}", answer.text());
    }
}

/// A proxy that knows of no nginx.
fn stranger(more: &str) -> Stitch {
    Stitch::up(&format!("services: {{ other: {{ endpoints: [{{ path: / }}] }} }}\n{more}"))
}

#[test]
fn a_tunnel_shows_nginx_what_is_inside_and_nothing_else() {
    let behind = Behind::speaking("http");
    let own = behind.nginx.addr().to_string();
    let stranger = stranger("");
    let mut inside = Connection::open(stranger.proxy());
    // The request behind it does not wait for the 200.
    inside.send(format!(
        "CONNECT {own} HTTP/1.1\r\nhost: {own}\r\nx-secret: 1\r\n\r\n\
         GET /early HTTP/1.1\r\nhost: {own}\r\n\r\n"
    ));
    assert_eq!(inside.read_response_to("CONNECT").status, 200);
    assert_eq!(inside.read_response().json()["line"], "GET /early HTTP/1.1");
    let made = inside.request("GET", "/a", &[("host", &own)], b"").json();
    assert_eq!((&made["line"], &made["host"]), (&"GET /a HTTP/1.1".into(), &own.as_str().into()));
    for none in ["via", "for", "proto", "asked", "secret", "id", "trace", "stitch"] {
        assert_eq!(made[none], "", "{none} arrived: {made}");
    }
    assert_eq!(behind.seen(), ["GET /early HTTP/1.1", "GET /a HTTP/1.1"]);
}

#[test]
fn a_tunnel_to_nginx_by_its_name_is_served_inside() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        let mut inside = Connection::open(behind.stitch.proxy());
        let headers = [("host", "users:80")];
        assert_eq!(inside.request("CONNECT", "users:80", &headers, b"").status, 200);
        for _ in 0..2 {
            let made = inside.request("GET", "/a", &[("host", "users")], b"").json();
            assert_eq!(made["line"], format!("GET /a {}", version(scheme)));
            assert_eq!((&made["for"], &made["asked"]), (&"127.0.0.1".into(), &"users".into()));
        }
        assert_eq!(behind.seen().len(), 2, "{:?}", behind.seen());
    }
}

#[test]
fn nothing_behind_a_refused_connect_arrives() {
    let behind = Behind::speaking("http");
    let own = behind.nginx.addr();
    let stranger = stranger("proxy: { forward: { allow: [] } }");
    let mut connection = Connection::open(stranger.proxy());
    connection.send(format!(
        "CONNECT {own} HTTP/1.1\r\nhost: {own}\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: {own}\r\n\r\n"
    ));
    assert_eq!(connection.read_response().status, 403);
    connection.read_to_close();
    assert_eq!(behind.seen(), Vec::<String>::new());
}

#[test]
fn an_upgrade_passes_nginx_and_nothing_before_it_agreed() {
    let upstream = Upstream::scripted(|mut stream, _| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let early = stream.read(&mut byte);
        assert!(
            early.is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
            "bytes came early"
        );
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let agreed =
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: chat\r\nconnection: upgrade\r\n\r\n";
        stream.write_all(agreed.as_bytes()).unwrap();
        let mut heard = [0; 10];
        stream.read_exact(&mut heard).unwrap();
        stream.write_all(&heard.map(|byte| byte.to_ascii_uppercase())).unwrap();
    });
    let chat = format!(
        "location /chat {{ proxy_pass {}; proxy_http_version 1.1; \
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection; }}",
        upstream.url()
    );
    let behind = Behind::serving("http", &chat, "", "");
    let (mut client, answer) = behind.send(
        "GET /chat HTTP/1.1\r\nhost: users\r\nupgrade: chat\r\nconnection: upgrade, x-secret\r\n\
         x-secret: 1\r\n\r\nearly bird",
    );
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("chat")));
    assert_eq!(client.read_bytes(10), b"EARLY BIRD");
    assert!(client.closes_within(PATIENCE));
    assert_eq!(behind.seen(), ["GET /chat HTTP/1.1"]);
}
