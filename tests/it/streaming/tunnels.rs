//! Tunnels in streams of HTTP/2: each has its own end, its own timer and its own neighbours.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};
use stitch_kit::h2::{Connection, End, Frame, request};
use stitch_kit::{Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
const CANCEL: u32 = 8;

/// Agrees to an upgrade, then does what the path asks for: `/echo` says everything back, `/silent`
/// says nothing, `/reset` breaks off at the first byte.
fn sockets() -> Upstream {
    Upstream::scripted(|mut stream, _| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_exact(&mut byte).is_err() {
                return;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                      connection: upgrade\r\n\r\nwelcome";
        if stream.write_all(agreed.as_bytes()).is_err() {
            return;
        }
        match head.split(' ').nth(1) {
            Some("/echo") => echo(stream),
            Some("/reset") => {
                // Bytes that nobody reads make a reset of the close.
                let _ = stream.peek(&mut byte);
            }
            _ => while stream.read(&mut byte).is_ok_and(|count| count > 0) {},
        }
    })
}

fn echo(mut stream: TcpStream) {
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        if stream.write_all(&chunk[..count]).is_err() {
            return;
        }
    }
}

fn behind(upstream: &Upstream, idle: &str) -> Stitch {
    Stitch::up(&format!(
        "proxy: {{ workers: 1 }}\nservices: {{ users: {{ url: '{}', timeout: {{ idle: {idle} }} }}, \
         shop: {{ endpoints: [{{ path: /a, response: shop }}] }} }}",
        upstream.url()
    ))
}

/// A client whose server's settings have come, so that it knows of extended CONNECT.
fn client(stitch: &Stitch) -> Connection {
    let mut client = Connection::open(stitch.proxy());
    assert!(matches!(client.try_next(), Ok(Some(_))));
    client
}

/// A tunnel to this path, open.
fn open(client: &mut Connection, path: &str) -> u32 {
    let fields = [&[(":protocol", "websocket")][..], &request("CONNECT", "users", path)].concat();
    let tunnel = client.request(&fields, false);
    assert!(client.until(|client| client.stream(tunnel).body == b"welcome"), "{path}");
    tunnel
}

fn asks(client: &mut Connection) {
    let stream = client.get("shop", "/a");
    assert_eq!(client.finish(stream).body, b"shop");
}

#[test]
fn an_ordinary_answer_to_an_upgrade_is_a_refusal() {
    let upstream = Upstream::echo();
    let stitch = behind(&upstream, "60s");
    let mut client = client(&stitch);
    for (host, path) in [("shop", "/a"), ("users", "/a?status=200")] {
        let fields = [&[(":protocol", "websocket")][..], &request("CONNECT", host, path)].concat();
        let tunnel = client.request(&fields, false);
        let answer = client.finish(tunnel);
        assert_eq!(answer.status, Some(502), "{host}: {answer:?}");
        let why = String::from_utf8_lossy(&answer.body);
        assert!(why.contains("did not take the upgrade: it answered 200"), "{why}");
    }
    asks(&mut client);
}

#[test]
fn a_silent_tunnel_ends_while_its_neighbours_go_on() {
    let upstream = sockets();
    let stitch = behind(&upstream, "500ms");
    let mut client = client(&stitch);
    let (silent, busy) = (open(&mut client, "/silent"), open(&mut client, "/echo"));
    let start = Instant::now();
    let mut said = "welcome".len();
    let ended = wait_until(PATIENCE, || {
        asks(&mut client);
        client.data(busy, "x", false);
        said += 1;
        assert!(client.until(|client| client.stream(busy).body.len() == said), "cut as well");
        client.stream(silent).end.is_some()
    });
    assert!(ended, "a silent tunnel is kept for as long as its neighbours speak");
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 1));
    // Now nothing speaks any more.
    assert!(matches!(client.finish(busy).end, Some(End::Reset(_) | End::Closed)));
}

#[test]
fn a_tunnel_that_breaks_takes_nobody_along() {
    let upstream = sockets();
    let stitch = behind(&upstream, "60s");
    let mut client = client(&stitch);
    let (breaking, echo) = (open(&mut client, "/reset"), open(&mut client, "/echo"));
    client.data(breaking, "x", false);
    let broken = client.finish(breaking);
    assert!(matches!(broken.end, Some(End::Reset(_))), "{broken:?}");
    client.data(echo, "hello", false);
    assert!(client.until(|client| client.stream(echo).body == b"welcomehello"));
    asks(&mut client);
}

#[test]
fn each_side_of_a_tunnel_ends_on_its_own() {
    let upstream = Upstream::scripted(|mut stream, _| {
        let mut chunk = [0; 4096];
        let _ = stream.read(&mut chunk);
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                      connection: upgrade\r\n\r\nwelcome";
        stream.write_all(agreed.as_bytes()).unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        stream.write_all(heard.to_uppercase().as_bytes()).unwrap();
    });
    let stitch = behind(&upstream, "60s");
    let mut client = client(&stitch);
    let tunnel = open(&mut client, "/");
    client.data(tunnel, "that is all", true);
    let told = client.finish(tunnel);
    assert_eq!(told.body, b"welcomeTHAT IS ALL");
    assert_eq!(told.end, Some(End::Whole));
}

#[test]
fn a_tunnel_that_its_client_breaks_off_is_reset_and_one_that_it_ends_is_ended() {
    let (told, hears) = mpsc::channel();
    let told = Mutex::new(told);
    let upstream = Upstream::scripted(move |mut stream, _| {
        stream.write_all(b"welcome").unwrap();
        let mut heard = Vec::new();
        let ended = stream.read_to_end(&mut heard).map_err(|error| error.kind());
        told.lock().unwrap().send((heard, ended.err())).unwrap();
    });
    // Nobody declares it.
    let stitch = behind(&sockets(), "60s");
    let target = upstream.addr().to_string();
    for (reset, expected) in [(Some(CANCEL), Some(ErrorKind::ConnectionReset)), (None, None)] {
        let mut client = client(&stitch);
        let tunnel = client.request(&[(":method", "CONNECT"), (":authority", &target)], false);
        assert!(client.until(|client| client.stream(tunnel).body == b"welcome"));
        client.data(tunnel, "hello", false);
        match reset {
            Some(code) => client.send(&Frame::reset(tunnel, code)),
            None => client.data(tunnel, "", true),
        }
        assert_eq!(hears.recv_timeout(PATIENCE).unwrap().1, expected, "{reset:?}");
    }
}

#[test]
fn bytes_sent_before_the_agreement_are_neither_lost_nor_early() {
    let (told, hears) = mpsc::channel();
    let told = Mutex::new(told);
    let upstream = Upstream::scripted(move |mut stream, _| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let waited = stream.read(&mut [0]);
        let waited = waited.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                      connection: upgrade\r\n\r\n";
        stream.write_all(agreed.as_bytes()).unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        told.lock().unwrap().send((waited, heard)).unwrap();
    });
    let stitch = behind(&upstream, "60s");
    let mut client = client(&stitch);
    let fields = [&[(":protocol", "websocket")][..], &request("CONNECT", "users", "/")].concat();
    let tunnel = client.request(&fields, false);
    client.data(tunnel, "early ", false);
    client.data(tunnel, "bird", true);
    let (waited, heard) = hears.recv_timeout(PATIENCE).unwrap();
    assert!(waited, "bytes came before the 101");
    assert_eq!(heard, "early bird");
    assert_eq!(client.finish(tunnel).status, Some(200));
}

#[test]
fn bytes_behind_a_refused_connect_never_arrive() {
    let upstream = Upstream::scripted(|mut stream, _| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let refused = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(refused).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        assert!(!String::from_utf8_lossy(&heard).contains("early"), "{heard:?}");
    });
    let stitch = behind(&upstream, "60s");
    let mut client = client(&stitch);
    let fields = [&[(":protocol", "websocket")][..], &request("CONNECT", "users", "/")].concat();
    let tunnel = client.request(&fields, false);
    client.data(tunnel, "early bird", true);
    assert_eq!(client.finish(tunnel).status, Some(403));
    drop(stitch);
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0));
}
