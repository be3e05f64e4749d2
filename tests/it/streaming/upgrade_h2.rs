//! Upgrades towards a service of HTTP/2 (RFC 8441), from clients of either version.

use super::upgrade::{ACCEPT, handshake};
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use stitch_kit::h2::{self, End, kind, request, setting};
use stitch_kit::http::Connection;
use stitch_kit::{Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
const CANCEL: u32 = 8;
/// Many frames, in less than a window.
const LARGE: usize = 50_000;
/// A header section that begins an upgrade says these, in Huffman's code (RFC 7541 appendix B).
const PROTOCOL: &[u8] = b"\xb9\x5d\x87\x49\xc8\x7a\x3f";
const WEBSOCKET: &[u8] = b"\xf0\x58\xd0\x72\x75\x2a\x7f";

/// The head of a stream, and its end.
type Seen = (Vec<u8>, Option<End>);

/// Agrees to upgrades with `status`, welcomes whoever asks, and says everything back. Tells what
/// it has seen once a stream has ended.
fn service(status: &'static str) -> (Upstream, mpsc::Receiver<Seen>) {
    let (told, hears) = mpsc::channel();
    let told = Mutex::new(told);
    let upstream = Upstream::scripted(move |stream, _| {
        let settings = [(setting::ENABLE_CONNECT_PROTOCOL, 1)];
        let mut end = h2::Connection::accept_with(stream, &settings).unwrap();
        let head = loop {
            match end.try_next() {
                Ok(Some(frame)) if frame.kind == kind::HEADERS => break frame,
                Ok(Some(_)) => {}
                // A connection that was only tried.
                _ => return,
            }
        };
        let tunnel = head.stream;
        if status != "200" {
            end.answer(tunnel, status, b"no").unwrap();
            let _ = end.closes();
            return;
        }
        end.head(tunnel, status).unwrap();
        end.data(tunnel, "welcome", false);
        let mut said = 0;
        let ended = loop {
            let more = |end: &h2::Connection| end.stream(tunnel).body.len() > said;
            end.until(|end| more(end) || end.stream(tunnel).end.is_some());
            let stream = end.stream(tunnel).clone();
            end.data(tunnel, &stream.body[said..], stream.end == Some(End::Whole));
            said = stream.body.len();
            if stream.end.is_some() {
                break stream.end;
            }
        };
        told.lock().unwrap().send((head.payload, ended)).unwrap();
        let _ = end.closes();
    });
    (upstream, hears)
}

fn users(upstream: &Upstream) -> Stitch {
    Stitch::up(&format!(
        "proxy: {{ workers: 1 }}\nservices: {{ users: {{ url: 'h2c://{}' }} }}",
        upstream.addr()
    ))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A client of HTTP/2 that has asked for an upgrade.
fn asking(stitch: &Stitch) -> (h2::Connection, u32) {
    let mut client = h2::Connection::open(stitch.proxy());
    // The settings, which allow it.
    assert!(matches!(client.try_next(), Ok(Some(frame)) if frame.kind == kind::SETTINGS));
    let fields =
        [&[(":protocol", "websocket")][..], &request("CONNECT", "users", "/chat")].concat();
    let tunnel = client.request(&fields, false);
    (client, tunnel)
}

#[test]
fn from_http_1() {
    let (upstream, ended) = service("200");
    let stitch = users(&upstream);
    let mut client = Connection::open(stitch.proxy());
    handshake(&mut client, b"early");
    let answer = client.read_response();
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")));
    assert!(answer.headers.lists("connection", "upgrade"));
    // Over HTTP/2 nobody says it; it is the proxy's to reckon.
    assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(client.read_bytes(12), b"welcomeearly");
    let large: Vec<u8> = (0..=250).cycle().take(LARGE).collect();
    client.send(&large);
    assert!(client.read_bytes(LARGE) == large, "not what was sent");
    client.finish_sending();
    assert_eq!(client.read_to_close(), b"");
    let (head, end) = ended.recv_timeout(PATIENCE).unwrap();
    assert!(contains(&head, PROTOCOL) && contains(&head, WEBSOCKET), "{head:x?}");
    assert_eq!(end, Some(End::Whole));
}

#[test]
fn from_http_2() {
    let (upstream, ended) = service("200");
    let stitch = users(&upstream);
    let (mut client, tunnel) = asking(&stitch);
    assert!(client.until(|client| client.stream(tunnel).body == b"welcome"));
    assert_eq!(client.stream(tunnel).status, Some(200));
    client.data(tunnel, "hello", false);
    assert!(client.until(|client| client.stream(tunnel).body == b"welcomehello"));
    assert_eq!(client.pour(tunnel, LARGE), LARGE);
    client.data(tunnel, "", true);
    let told = client.finish(tunnel);
    assert_eq!((told.body.len(), told.end), (12 + LARGE, Some(End::Whole)));
    let (head, end) = ended.recv_timeout(PATIENCE).unwrap();
    assert!(contains(&head, PROTOCOL) && contains(&head, WEBSOCKET), "{head:x?}");
    assert_eq!(end, Some(End::Whole));
}

#[test]
fn a_client_that_resets_resets_its_stream_and_one_that_leaves_ends_it() {
    for (resets, expected) in [(true, End::Reset(CANCEL)), (false, End::Whole)] {
        let (upstream, ended) = service("200");
        let stitch = users(&upstream);
        let mut client = Connection::open(stitch.proxy());
        handshake(&mut client, b"");
        assert_eq!(client.read_response().status, 101);
        assert_eq!(client.read_bytes(7), b"welcome");
        if resets {
            client.send("hi");
            // Bytes that nobody has read make the kernel reset what is closed.
            assert_eq!(client.stream().peek(&mut [0]).unwrap(), 1);
        }
        drop(client);
        assert_eq!(ended.recv_timeout(PATIENCE).unwrap().1, Some(expected));
        // The connection stays, for the next request.
        assert_eq!(upstream.open_connections(), 1);
    }
}

#[test]
fn a_refusal_of_the_service_is_its_answer() {
    let (upstream, _ended) = service("403");
    let stitch = users(&upstream);
    let mut client = Connection::open(stitch.proxy());
    handshake(&mut client, b"");
    let answer = client.read_response();
    assert_eq!((answer.status, answer.header("upgrade")), (403, None));
    let (upstream, _ended) = service("403");
    let stitch = users(&upstream);
    let (mut client, tunnel) = asking(&stitch);
    let answer = client.finish(tunnel);
    assert_eq!((answer.status, answer.end), (Some(403), Some(End::Whole)));
    assert!(wait_until(PATIENCE, || upstream.connections() == 1));
}

#[test]
fn a_service_that_allows_none_is_named() {
    let upstream = Upstream::scripted(|stream, _| {
        let mut end = h2::Connection::accept(stream).unwrap();
        assert_eq!(end.next_request(), None, "asked although it is not allowed");
    });
    let stitch = users(&upstream);
    let mut client = Connection::open(stitch.proxy());
    handshake(&mut client, b"");
    let answer = client.read_response();
    let reason = answer.header("x-stitch-reason");
    assert_eq!((answer.status, reason), (502, Some("upstream_protocol")));
    assert!(answer.text().contains("SETTINGS_ENABLE_CONNECT_PROTOCOL"), "{}", answer.text());
    let (mut client, tunnel) = asking(&stitch);
    let answer = client.finish(tunnel);
    let why = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, Some(502), "{why}");
    assert!(why.contains("SETTINGS_ENABLE_CONNECT_PROTOCOL"), "{why}");
}
