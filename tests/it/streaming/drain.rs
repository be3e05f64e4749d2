//! What is open when stitch is told to end: every kind of stream goes on, and the process waits for it.

use super::upgrade::{frame, handshake, users, websocket};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use stitch_kit::h2::{self, End, request};
use stitch_kit::http::Connection;
use stitch_kit::{Exit, Signal, Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);

/// Tells stitch to end, and sees that it has begun to.
fn drain(stitch: &Stitch) {
    stitch.signal(Signal::TERM);
    stitch.wait_for_stdout(|line| line["event"] == "draining");
    let refused = wait_until(PATIENCE, || TcpStream::connect(stitch.proxy()).is_err());
    assert!(refused, "new connections are still accepted");
    assert!(stitch.exited().is_none(), "ended although something is open");
}

/// It went because all had ended, not because its patience had.
fn gone(stitch: &Stitch) {
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
    let said = stitch.stderr();
    assert!(!said.contains("cut off"), "{said}");
}

#[test]
fn a_websocket_goes_on_until_its_client_ends_it() {
    let (upstream, _) = websocket();
    let stitch = users(&upstream);
    let mut client = Connection::open(stitch.proxy());
    handshake(&mut client, &frame("one"));
    assert_eq!(client.read_response().status, 101);
    assert_eq!(client.read_bytes(5), b"\x81\x03one");
    drain(&stitch);
    client.send(frame("more"));
    assert_eq!(client.read_bytes(6), b"\x81\x04more");
    drop(client);
    gone(&stitch);
}

/// Sends the events that it is given, and ends when there can be no more.
fn events() -> (Upstream, mpsc::Sender<&'static str>) {
    let (happens, events) = mpsc::channel::<&str>();
    let events = Mutex::new(events);
    let upstream = Upstream::scripted(move |mut stream, _| {
        let mut seen = [0; 4096];
        // A whole request of no body.
        while stream.read(&mut seen).is_ok_and(|count| !seen[..count].ends_with(b"\r\n\r\n")) {}
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let events = events.lock().unwrap();
        while let Ok(event) = events.recv_timeout(PATIENCE) {
            let event = format!("data: {event}\n\n");
            stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    (upstream, happens)
}

#[test]
fn a_stream_of_events_goes_on_until_its_service_ends_it() {
    let (upstream, happens) = events();
    let stitch = users(&upstream);
    let mut client = Connection::open(stitch.proxy());
    happens.send("one").unwrap();
    client.send("GET /events HTTP/1.1\r\nhost: users\r\n\r\n");
    let one = read_until(&mut client, "data: one\n\n\r\n");
    assert!(one.starts_with("HTTP/1.1 200 OK\r\n"), "{one}");
    drain(&stitch);
    happens.send("more").unwrap();
    let more = read_until(&mut client, "\n\n\r\n");
    assert!(more.ends_with("\r\ndata: more\n\n\r\n"), "{more}");
    drop(happens);
    assert_eq!(client.read_to_close(), b"0\r\n\r\n");
    gone(&stitch);
}

fn read_until(client: &mut Connection, end: &str) -> String {
    let mut heard = String::new();
    while !heard.ends_with(end) {
        heard.push(char::from(client.read_bytes(1)[0]));
    }
    heard
}

#[test]
fn a_stream_of_http_2_goes_on_both_ways() {
    let upstream = Upstream::scripted(|stream, _| {
        let mut end = h2::Connection::accept(stream).unwrap();
        let stream = end.next_request().unwrap();
        end.head(stream, "200").unwrap();
        for asked in ["one", "onemore"] {
            assert!(end.until(|end| end.stream(stream).body == asked.as_bytes()));
            end.data(stream, format!("{asked};"), false);
        }
        assert!(end.until(|end| end.stream(stream).end.is_some()));
        end.data(stream, "", true);
        let _ = end.closes();
    });
    let address = upstream.addr();
    let stitch = Stitch::up(&format!("services: {{ users: {{ url: 'h2c://{address}' }} }}"));
    let mut client = h2::Connection::open(stitch.proxy());
    let call = client.request(&request("POST", "users", "/a.B/C"), false);
    client.data(call, "one", false);
    assert!(client.until(|client| client.stream(call).body == b"one;"));
    drain(&stitch);
    client.data(call, "more", false);
    assert!(client.until(|client| client.stream(call).body == b"one;onemore;"));
    client.data(call, "", true);
    assert_eq!(client.finish(call).end, Some(End::Whole));
    assert_eq!(client.away(), Some((call, 0)));
    assert!(client.closes());
    gone(&stitch);
}

#[test]
fn a_connection_of_a_service_of_tcp_goes_on() {
    let upstream = Upstream::scripted(|mut stream, _| {
        let mut chunk = [0; 64];
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            stream.write_all(&chunk[..count]).unwrap();
        }
    });
    let stitch = Stitch::up(&format!(
        "services: {{ db: {{ type: tcp, url: 'tcp://{}', port: 0 }} }}",
        upstream.addr()
    ));
    let mut client = TcpStream::connect(stitch.service("db")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut says = |text: &[u8]| {
        client.write_all(text).unwrap();
        let mut heard = vec![0; text.len()];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(heard, text);
    };
    says(b"one");
    drain(&stitch);
    says(b"more");
    drop(client);
    gone(&stitch);
}
