//! Services of `type: tcp`: bytes as they are, on a port of their own.

use crate::failures::full_listener;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};
use stitch_kit::http::Connection;
use stitch_kit::{
    Certificate, Certificates, Exit, Nginx, Scratch, Stitch, Upstream, curl, http, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Says back what it hears, until it hears no more.
fn echo() -> Upstream {
    Upstream::scripted(|stream, _| say_back(&stream, &stream))
}

fn say_back(mut from: impl Read, mut to: impl Write) {
    let mut bytes = [0; 4096];
    while let Ok(1..) = from.read(&mut bytes).inspect(|count| {
        to.write_all(&bytes[..*count]).unwrap();
    }) {}
}

fn db(url: &str, more: &str) -> String {
    format!("services: {{ db: {{ type: tcp, url: '{url}', port: 0{more} }} }}")
}

fn up(yaml: &str) -> Stitch {
    let log = "proxy: { access_log: { format: json, only: all } }\n";
    Stitch::up(&format!("{log}{yaml}"))
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn read_all(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The head of an answer, and nothing of what follows it.
fn read_head(mut stream: impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn exchange(mut stream: impl Read + Write, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut heard = vec![0; bytes.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, bytes);
}

/// The access log's line about a connection, the last one.
fn logged(stitch: &Stitch) -> serde_json::Value {
    let line = || {
        let lines = stitch.stderr();
        let found = lines.lines().rev().find(|line| line.contains(r#""protocol":"tcp""#));
        found.and_then(|line| serde_json::from_str(line).ok())
    };
    assert!(wait_until(PATIENCE, || line().is_some()), "{}", stitch.stderr());
    line().unwrap()
}

fn metrics(stitch: &Stitch) -> String {
    http::get(stitch.admin(), "/metrics", &[]).text()
}

fn counters(stitch: &Stitch) -> serde_json::Value {
    http::get(stitch.admin(), "/api/services/db", &[]).json()["data"]["counters"].clone()
}

#[test]
fn bytes_pass_both_ways_and_are_counted() {
    let upstream = echo();
    let stitch = up(&db(&format!("tcp://{}", upstream.addr()), ""));
    assert!(stitch.service_url("db").starts_with("tcp://127.0.0.1:"));
    let mut client = connect(stitch.service("db"));
    exchange(&mut client, b"hello");
    assert_eq!(
        (counters(&stitch)["open"].clone(), counters(&stitch)["bytes_in"].clone()),
        (1.into(), 5.into())
    );
    exchange(&mut client, &vec![7; 300_000]);
    drop(client);
    let line = logged(&stitch);
    assert_eq!((&line["service"], &line["result"]), (&"db".into(), &"closed".into()));
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&300_005.into(), &300_005.into()));
    assert_eq!(line["endpoint"], upstream.addr().to_string());
    let metrics = metrics(&stitch);
    for series in [
        r#"stitch_tcp_connections_total{service="db",result="closed"} 1"#,
        r#"stitch_tcp_bytes_total{service="db",direction="in"} 300005"#,
        r#"stitch_tcp_bytes_total{service="db",direction="out"} 300005"#,
        r#"stitch_tcp_connections_open{service="db"} 0"#,
    ] {
        assert!(metrics.contains(series), "{series} in {metrics}");
    }
    assert!(!metrics.contains(r#"stitch_requests_in_flight{service="db"}"#), "{metrics}");
    let answer =
        http::send(stitch.admin(), "PUT", "/api/services/db/mode", &[], br#"{"mode":"mock"}"#);
    assert_eq!(answer.status, 409, "{}", answer.text());
}

#[test]
fn a_half_that_is_closed_leaves_the_other_open() {
    let upstream = Upstream::scripted(|mut stream, _| {
        let heard = read_all(&stream);
        stream.write_all(format!("heard {}", heard.len()).as_bytes()).unwrap();
    });
    let stitch = up(&db(&format!("tcp://{}", upstream.addr()), ""));
    let mut client = connect(stitch.service("db"));
    client.write_all(&[1; 100_000]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&client), b"heard 100000");
}

#[test]
fn a_service_that_speaks_first_is_heard() {
    let upstream = Upstream::scripted(|mut stream, _| {
        stream.write_all(b"220 welcome\r\n").unwrap();
        say_back(&stream, &stream);
    });
    let stitch = up(&db(&format!("tcp://{}", upstream.addr()), ""));
    let mut client = connect(stitch.service("db"));
    let mut welcome = [0; 13];
    client.read_exact(&mut welcome).unwrap();
    assert_eq!(&welcome, b"220 welcome\r\n");
    exchange(&mut client, b"EHLO");
}

#[test]
fn a_client_is_reset_when_nobody_is_there() {
    let upstream = echo();
    let stitch = up(&db(&format!("tcp://{}", upstream.addr()), ""));
    drop(upstream);
    let mut client = connect(stitch.service("db"));
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let line = logged(&stitch);
    assert_eq!(line["result"], "connect_refused");
    assert!(line["error"].as_str().unwrap().contains("refused the connection"), "{line}");
    assert_eq!(counters(&stitch)["failed"], 1);
}

#[test]
fn a_client_is_reset_when_connecting_takes_too_long() {
    let (_listener, port) = full_listener();
    let stitch = up(&db(&format!("tcp://127.0.0.1:{port}"), ", timeout: { connect: 300ms }"));
    let start = Instant::now();
    let mut client = connect(stitch.service("db"));
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!((Duration::from_millis(250)..PATIENCE).contains(&start.elapsed()));
    let line = logged(&stitch);
    assert_eq!(line["result"], "timeout_connect");
    assert!(line["error"].as_str().unwrap().contains("300ms"), "{line}");
    assert_eq!(counters(&stitch)["failed"], 1);
}

#[test]
fn a_service_that_dies_resets_its_clients() {
    let upstream = Upstream::scripted(|mut stream, _| {
        stream.write_all(b"x").unwrap();
        // Unread bytes make the kernel reset the connection when it is closed.
        while stream.peek(&mut [0; 8]).unwrap() < 8 {}
    });
    let stitch = up(&db(&format!("tcp://{}", upstream.addr()), ""));
    let mut client = connect(stitch.service("db"));
    client.read_exact(&mut [0]).unwrap();
    client.write_all(b"question").unwrap();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(logged(&stitch)["result"], "upstream_reset");
}

#[test]
fn the_next_endpoint_is_tried() {
    let (gone, upstream) = (echo(), echo());
    let yaml = format!(
        "services: {{ db: {{ type: tcp, urls: ['tcp://{}', 'tcp://{}'], port: 0 }} }}",
        gone.addr(),
        upstream.addr()
    );
    let stitch = up(&yaml);
    drop(gone);
    for _ in 0..8 {
        exchange(connect(stitch.service("db")), b"anybody?");
    }
    assert_eq!(upstream.connections(), 8);
}

#[test]
fn silence_ends_a_connection_after_the_idle_timeout() {
    let upstream = echo();
    let more = ", timeout: { idle: 300ms }";
    let stitch = up(&db(&format!("tcp://{}", upstream.addr()), more));
    let started = Instant::now();
    let mut client = connect(stitch.service("db"));
    exchange(&mut client, b"hello");
    assert!(read_all(&client).is_empty());
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(logged(&stitch)["result"], "timeout_idle");
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0));
}

#[test]
fn unix_sockets_on_both_sides() {
    let folder = Scratch::new();
    let listener = UnixListener::bind(folder.join("db.sock")).unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || say_back(&stream, &stream));
        }
    });
    let socket = folder.join("stitch.sock");
    let stitch = Stitch::builder()
        .yaml(&format!(
            "services:\n  db: {{ type: tcp, url: 'unix:{}', port: 0 }}\n  \
             web: {{ endpoints: [{{ path: /, response: hi }}] }}\n",
            folder.join("db.sock").display()
        ))
        .args(["--listen=127.0.0.1:0".to_owned(), format!("--listen=unix:{}", socket.display())])
        .start();
    exchange(connect(stitch.service("db")), b"over a socket");
    let mut client = UnixStream::connect(&socket).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n").unwrap();
    let answer = String::from_utf8(read_all(&client)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("hi"), "{answer}");
    let mut client = UnixStream::connect(&socket).unwrap();
    client.write_all(b"CONNECT db:1 HTTP/1.1\r\nhost: db:1\r\n\r\n").unwrap();
    assert!(read_head(&client).starts_with("HTTP/1.1 200"));
    exchange(&client, b"both of them");
}

#[test]
fn a_tunnel_leads_to_a_service_by_host_and_by_url() {
    let upstream = echo();
    let stitch = up(&db(&format!("tcp://{}", upstream.addr()), ""));
    for target in ["db:5432".to_owned(), upstream.addr().to_string()] {
        let client = connect(stitch.proxy());
        let head = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\nearly");
        (&client).write_all(head.as_bytes()).unwrap();
        assert!(read_head(&client).starts_with("HTTP/1.1 200"));
        let mut early = [0; 5];
        (&client).read_exact(&mut early).unwrap();
        assert_eq!(&early, b"early");
        exchange(&client, b"later");
    }
    assert!(wait_until(PATIENCE, || counters(&stitch)["connections"] == 2));
    assert_eq!(counters(&stitch)["bytes_in"], 20);
    drop(upstream);
    let client = connect(stitch.proxy());
    (&client).write_all(b"CONNECT db:1 HTTP/1.1\r\nhost: db:1\r\n\r\n").unwrap();
    let head = read_head(&client);
    assert!(head.starts_with("HTTP/1.1 502") && head.contains("connect_refused"), "{head}");
    assert_eq!(counters(&stitch)["failed"], 1);
}

#[test]
fn a_reload_moves_new_connections_and_leaves_open_ones() {
    let (one, two) = (echo(), echo());
    let stitch = up(&db(&format!("tcp://{}", one.addr()), ""));
    let address = stitch.service("db");
    let mut old = connect(address);
    exchange(&mut old, b"before");
    stitch.rewrite(&db(&format!("tcp://{}", two.addr()), ""));
    stitch.wait_for_stdout(|line| line["event"] == "reloaded");
    exchange(connect(address), b"after");
    assert_eq!((one.connections(), two.connections()), (1, 1));
    exchange(&mut old, b"still here");
    stitch.rewrite("services: { db: { endpoints: [{ path: /, response: now http }], port: 0 } }");
    let speaks_http = || {
        let mut connection = Connection::open(address);
        connection.send("GET / HTTP/1.1\r\nhost: db\r\nconnection: close\r\n\r\n");
        connection.try_read_response_to("GET").is_ok_and(|answer| answer.status == 200)
    };
    assert!(wait_until(PATIENCE, speaks_http));
    exchange(&mut old, b"still here");
    stitch.rewrite("services: { web: { endpoints: [{ path: /, response: hi }] } }");
    assert!(wait_until(PATIENCE, || TcpStream::connect(address).is_err()));
    exchange(&mut old, b"still here");
}

/// A web server inside TLS, for the name db.
fn secured(authority: &Certificates) -> Nginx {
    let Certificate { cert, key } = authority.issue(&["db", "127.0.0.1"]);
    Nginx::listening(
        "ssl",
        &format!(
            "ssl_certificate {}; ssl_certificate_key {}; location / {{ return 200 inside; }}",
            cert.display(),
            key.display()
        ),
    )
}

#[test]
fn tls_for_its_host_is_passed_to_it_untouched() {
    let authority = Certificates::new();
    let nginx = secured(&authority);
    let stitch = up(&db(&format!("tcp://{}", nginx.addr()), ""));
    let ca = authority.ca();
    let asked = |name: &str| {
        let there = format!("{name}:443:{}", stitch.proxy());
        let url = format!("https://{name}/");
        curl(&["-sS", "--cacert", ca.to_str().unwrap(), "--connect-to", &there, &url])
    };
    // Only nginx has a certificate that this authority signed.
    assert_eq!(asked("db").success().stdout, "inside");
    assert_eq!(logged(&stitch)["service"], "db");
    assert_eq!(asked("other").exit, Exit::Code(35), "nobody else speaks TLS here");
}

#[test]
fn tls_is_begun_for_a_client_that_speaks_none() {
    let authority = Certificates::new();
    let nginx = secured(&authority);
    let tls = format!(", tls: {{ ca: '{}', sni: db }}", authority.ca().display());
    let stitch = up(&db(&format!("tls://{}", nginx.addr()), &tls));
    let mut client = connect(stitch.service("db"));
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(read_all(&client).ends_with(b"inside"));

    let stitch = up(&db(&format!("tls://{}", nginx.addr()), ""));
    let error = connect(stitch.service("db")).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(logged(&stitch)["result"], "connect_tls");
}
