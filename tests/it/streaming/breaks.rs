//! Messages that break off: an upstream that is killed, a client that leaves. Whatever versions the
//! two sides speak, nothing truncated ever looks complete.

use std::net::Shutdown;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stitch_kit::h2::{self, End, Frame, request};
use stitch_kit::http::Connection;
use stitch_kit::{Certificates, Running, Signal, Stitch, Upstream, python};

const PATIENCE: Duration = Duration::from_secs(10);
const CANCEL: u32 = 8;

/// A server that answers one request with three bytes of a body, and then does nothing more.
const SERVER: &str = r#"
import json, socket, ssl, sys, time
mode = sys.argv[1]
listener = socket.create_server(("127.0.0.1", 0))
print(json.dumps({"port": listener.getsockname()[1]}))
client, _ = listener.accept()
if mode.startswith("tls"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    client = context.wrap_socket(client, server_side=True)
if mode.startswith("h2"):
    import h2.config, h2.connection, h2.events
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    stream = None
    while stream is None:
        client.sendall(connection.data_to_send())
        for event in connection.receive_data(client.recv(65536)):
            if isinstance(event, h2.events.RequestReceived):
                stream = event.stream_id
    length = [("content-length", "9")] if mode == "h2-length" else []
    connection.send_headers(stream, [(":status", "200")] + length)
    connection.send_data(stream, b"abc")
    client.sendall(connection.data_to_send())
else:
    seen = b""
    while not seen.endswith(b"\r\n\r\n"):
        seen += client.recv(65536)
    framing, body = {
        "chunked": (b"transfer-encoding: chunked\r\n", b"3\r\nabc\r\n"),
        "within": (b"transfer-encoding: chunked\r\n", b"9\r\nabc"),
        "length": (b"content-length: 9\r\n", b"abc"),
        "close": (b"", b"abc"),
    }[mode.removeprefix("tls-")]
    client.sendall(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + body)
time.sleep(60)
"#;

/// A server in this mode, and a proxy in front of it.
struct Mortal {
    server: Running,
    stitch: Stitch,
    _authority: Certificates,
}

impl Mortal {
    fn new(mode: &str) -> Self {
        let authority = Certificates::new();
        let pair = authority.issue(&["localhost"]);
        let server = python(SERVER).arg(mode).arg(&pair.cert).arg(&pair.key).spawn();
        let port = server.wait_for_stdout(|line| line["port"].is_u64())["port"].to_string();
        let ca = authority.ca();
        let (scheme, more) = match mode.split('-').next() {
            Some("tls") => ("https", format!(", tls: {{ ca: {} }}", ca.display())),
            Some("h2") => ("h2c", String::new()),
            _ => ("http", String::new()),
        };
        let url = format!("{scheme}://localhost:{port}");
        let stitch = Stitch::up(&format!("services: {{ users: {{ url: '{url}'{more} }} }}"));
        Self { server, stitch, _authority: authority }
    }
}

/// Every way in which an answer can say where it ends.
const MODES: [&str; 6] = ["chunked", "within", "length", "h2", "h2-length", "tls-close"];

#[test]
fn an_upstream_that_is_killed_leaves_a_client_of_http_1_with_a_broken_answer() {
    for mode in MODES {
        let mortal = Mortal::new(mode);
        let mut client = Connection::open(mortal.stitch.proxy());
        client.send("GET / HTTP/1.1\r\nhost: users\r\n\r\n");
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("abc") {
            seen.extend(client.read_bytes(1));
        }
        mortal.server.signal(Signal::KILL);
        seen.extend(client.read_to_close());
        let seen = String::from_utf8_lossy(&seen).to_lowercase();
        let (head, body) = seen.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("http/1.1 200 "), "{mode}: {seen}");
        if head.contains("chunked") {
            assert!(!body.contains("0\r\n"), "{mode} looks whole: {seen}");
        } else {
            assert!(head.contains("content-length: 9") && body.len() < 9, "{mode}: {seen}");
        }
    }
}

#[test]
fn an_upstream_that_is_killed_leaves_a_client_of_http_2_with_a_reset() {
    for mode in MODES {
        let mortal = Mortal::new(mode);
        let mut client = h2::Connection::open(mortal.stitch.proxy());
        let stream = client.get("users", "/");
        assert!(client.until(|client| client.stream(stream).body == b"abc"), "{mode}");
        mortal.server.signal(Signal::KILL);
        let answer = client.finish(stream);
        assert!(matches!(answer.end, Some(End::Reset(_))), "{mode}: {answer:?}");
        // Only that stream.
        let next = client.get("users", "/");
        assert_eq!(client.finish(next).status, Some(502), "{mode}");
    }
}

/// An upstream of HTTP/2 that reads one request and tells how it ended.
fn listening() -> (Upstream, mpsc::Receiver<&'static str>, mpsc::Receiver<h2::Stream>) {
    let (begun, begins) = mpsc::channel();
    let (told, hears) = mpsc::channel();
    let (begun, told) = (Mutex::new(begun), Mutex::new(told));
    let upstream = Upstream::scripted(move |stream, _| {
        let mut end = h2::Connection::accept(stream).unwrap();
        let Some(stream) = end.next_request() else { return };
        end.until(|end| !end.stream(stream).body.is_empty());
        begun.lock().unwrap().send("begun").unwrap();
        end.until(|end| end.stream(stream).end.is_some());
        told.lock().unwrap().send(end.stream(stream).clone()).unwrap();
    });
    (upstream, begins, hears)
}

fn in_front_of(upstream: &Upstream) -> Stitch {
    Stitch::up(&format!("services: {{ users: {{ url: 'h2c://{}' }} }}", upstream.addr()))
}

#[test]
fn a_request_that_a_client_of_http_1_breaks_off_is_reset_upstream() {
    for (framing, piece) in
        [("content-length: 9", "abc"), ("transfer-encoding: chunked", "3\r\nabc\r\n")]
    {
        for half_closed in [true, false] {
            let (upstream, begins, hears) = listening();
            let stitch = in_front_of(&upstream);
            let mut client = Connection::open(stitch.proxy());
            client.send(format!("POST / HTTP/1.1\r\nhost: users\r\n{framing}\r\n\r\n{piece}"));
            begins.recv_timeout(PATIENCE).unwrap();
            if half_closed {
                client.finish_sending();
            } else {
                client.stream().shutdown(Shutdown::Both).unwrap();
            }
            let seen = hears.recv_timeout(PATIENCE).unwrap();
            assert!(matches!(seen.end, Some(End::Reset(_))), "{framing}: {seen:?}");
        }
    }
}

#[test]
fn a_request_that_a_client_of_http_2_breaks_off_is_reset_upstream() {
    for length in [&[("content-length", "9")][..], &[]] {
        for reset in [true, false] {
            let (upstream, begins, hears) = listening();
            let stitch = in_front_of(&upstream);
            let mut client = h2::Connection::open(stitch.proxy());
            let fields = [&request("POST", "users", "/")[..], length].concat();
            let stream = client.request(&fields, false);
            client.data(stream, "abc", false);
            begins.recv_timeout(PATIENCE).unwrap();
            if reset {
                client.send(&Frame::reset(stream, CANCEL));
            } else {
                client.socket().shutdown(Shutdown::Both).unwrap();
            }
            let seen = hears.recv_timeout(PATIENCE).unwrap();
            assert!(matches!(seen.end, Some(End::Reset(_))), "{length:?}: {seen:?}");
        }
    }
}

#[test]
fn a_request_shorter_than_it_said_is_reset_upstream() {
    let (upstream, begins, hears) = listening();
    let stitch = in_front_of(&upstream);
    let mut client = h2::Connection::open(stitch.proxy());
    let fields = [&request("POST", "users", "/")[..], &[("content-length", "9")]].concat();
    let stream = client.request(&fields, false);
    client.data(stream, "abc", false);
    begins.recv_timeout(PATIENCE).unwrap();
    client.data(stream, "def", true);
    let seen = hears.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(seen.end, Some(End::Reset(_))), "{seen:?}");
    assert_ne!(client.finish(stream).status, Some(200));
}

#[test]
fn an_answer_that_an_upstream_of_http_2_breaks_off_is_broken_for_everybody() {
    // Broken off, and shorter than it said.
    for how in ["reset", "no error", "short", "gone"] {
        let gone = Arc::new(Mutex::new(()));
        let held = gone.lock().unwrap();
        let wait = gone.clone();
        let upstream = Upstream::scripted(move |stream, _| {
            let mut end = h2::Connection::accept(stream).unwrap();
            while let Some(stream) = end.next_request() {
                let fields = [(":status", "200"), ("content-length", "9")];
                let fields = if how == "short" { &fields[..] } else { &fields[..1] };
                let block = h2::block(fields);
                end.send(&Frame::new(h2::kind::HEADERS, h2::flag::END_HEADERS, stream, block));
                end.data(stream, "abc", false);
                drop(wait.lock().unwrap());
                match how {
                    "reset" => end.send(&Frame::reset(stream, CANCEL)),
                    "no error" => end.send(&Frame::reset(stream, 0)),
                    "short" => end.data(stream, "", true),
                    _ => return,
                }
            }
        });
        let stitch = in_front_of(&upstream);
        let mut new = h2::Connection::open(stitch.proxy());
        let stream = new.get("users", "/");
        assert!(new.until(|new| new.stream(stream).body == b"abc"), "{how}");
        // The upstream answers one after the other, and holds the first: that must not be this one.
        let mut old = Connection::open(stitch.proxy());
        old.send("GET / HTTP/1.1\r\nhost: users\r\n\r\n");
        drop(held);
        let answer = new.finish(stream);
        assert!(matches!(answer.end, Some(End::Reset(_))), "{how}: {answer:?}");
        let seen = String::from_utf8(old.read_to_close()).unwrap();
        let whole = seen.ends_with("0\r\n\r\n") || seen.ends_with("abcdef");
        assert!(!whole, "{how}: {seen}");
    }
}
