//! Clients of HTTP/2 that send without measure or never read: the connection ends or waits, memory
//! stays where it was, and nobody else notices.

use std::io::Write;
use std::time::Duration;
use stitch_kit::h2::{Connection, End, Frame, block, flag, kind, request, setting};
use stitch_kit::http;
use stitch_kit::{Answer, Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
/// What a write that the other side does not take waits for.
const STUCK: Duration = Duration::from_millis(500);
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;
/// How much the process may grow under a flood, in KiB.
const GROWTH: u64 = 20 << 10;

/// A mock `shop` and a real service `users`.
fn shop(upstream: &Upstream, proxy: &str) -> Stitch {
    Stitch::up(&format!(
        "proxy: {{ workers: 1, {proxy} }}\nservices: {{ users: {{ url: '{}' }}, \
         shop: {{ endpoints: [{{ path: /a, response: shop }}, {{ path: /slow, delay: 60s }}] }} }}",
        upstream.url()
    ))
}

/// Whether somebody else is served, over both versions.
fn serves_others(stitch: &Stitch) {
    assert_eq!(http::get(stitch.proxy(), "/a", &[("host", "shop")]).text(), "shop");
    let mut other = Connection::open(stitch.proxy());
    let stream = other.get("shop", "/a");
    assert_eq!(other.finish(stream).body, b"shop");
}

fn headers(stream: u32, flags: u8, host: &str, path: &str) -> Frame {
    Frame::new(kind::HEADERS, flags, stream, block(&request("GET", host, path)))
}

const WHOLE: u8 = flag::END_HEADERS | flag::END_STREAM;

/// Sends the same bytes so often, or until they are not taken any more. How often they were.
fn flood(client: &mut Connection, bytes: &[u8], times: usize) -> usize {
    let at_once = 1000;
    let many = bytes.repeat(at_once);
    for sent in 0..times / at_once {
        if client.try_send_bytes(&many).is_err() {
            return sent * at_once;
        }
    }
    times
}

#[test]
fn rapid_resets_end_the_connection() {
    let upstream = Upstream::echo();
    let stitch = shop(&upstream, "");
    let before = stitch.peak_memory();
    for host in ["shop", "users"] {
        let mut client = Connection::open(stitch.proxy());
        std::thread::scope(|scope| {
            let mut output = client.socket().try_clone().unwrap();
            scope.spawn(move || {
                for number in 0..10_000 {
                    let stream = 2 * number + 1;
                    let path = if host == "shop" { "/slow" } else { "/?delay=1000" };
                    let asked = headers(stream, WHOLE, host, path).bytes();
                    let pair = [asked, Frame::reset(stream, 8).bytes()].concat();
                    if output.write_all(&pair).is_err() {
                        return;
                    }
                }
            });
            assert!(client.closes(), "10 000 resets were taken from {host}'s client");
        });
        assert_eq!(client.away().map(|(_, code)| code), Some(ENHANCE_YOUR_CALM), "{host}");
        serves_others(&stitch);
    }
    let grown = stitch.peak_memory() - before;
    assert!(grown < GROWTH, "grew by {grown} KiB");
    assert!(wait_until(PATIENCE, || upstream.open_connections() <= 1), "requests live on");
}

#[test]
fn header_sections_without_end_end_the_connection() {
    let upstream = Upstream::echo();
    let stitch = shop(&upstream, "");
    let before = stitch.peak_memory();
    let tiny = Frame::new(kind::CONTINUATION, 0, 1, []).bytes();
    let repeated = Frame::new(kind::CONTINUATION, 0, 1, block(&[("x-a", "1")])).bytes();
    let large =
        Frame::new(kind::CONTINUATION, 0, 1, block(&[("x-a", &"1".repeat(16_000))])).bytes();
    // A value that announces a gigabyte.
    let endless = Frame::new(kind::CONTINUATION, 0, 1, [b'a'; 16_000]).bytes();
    for (number, (first, more)) in [
        (block(&request("GET", "shop", "/a")), tiny),
        (block(&request("GET", "shop", "/a")), repeated),
        (block(&request("GET", "shop", "/a")), large),
        (b"\0\x03x-a\x7f\x81\xff\xff\xff\x03".to_vec(), endless),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Connection::open(stitch.proxy());
        client.send(&Frame::new(kind::HEADERS, flag::END_STREAM, 1, first));
        flood(&mut client, &more, 100_000);
        assert!(client.closes(), "flood {number} was taken");
        serves_others(&stitch);
    }
    let grown = stitch.peak_memory() - before;
    assert!(grown < GROWTH, "grew by {grown} KiB");
}

#[test]
fn data_without_data_ends_the_connection() {
    let upstream = Upstream::echo();
    let stitch = shop(&upstream, "");
    let mut client = Connection::open(stitch.proxy());
    let stream = client.request(&request("POST", "users", "/"), false);
    flood(&mut client, &Frame::new(kind::DATA, 0, stream, []).bytes(), 200_000);
    assert!(client.closes(), "200 000 empty frames were taken");
    assert_eq!(client.away().map(|(_, code)| code), Some(ENHANCE_YOUR_CALM));
    serves_others(&stitch);
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0), "the request lives on");
    assert!(upstream.requests().is_empty(), "it looked whole");
}

#[test]
fn questions_that_nobody_reads_the_answers_to_take_no_memory() {
    let upstream = Upstream::echo();
    let stitch = shop(&upstream, "");
    let before = stitch.peak_memory();
    let table = Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 70_000)]).bytes();
    let ping = Frame::new(kind::PING, 0, 0, *b"12345678").bytes();
    let (everywhere, here) =
        (Frame::window_update(0, 1).bytes(), Frame::window_update(1, 1).bytes());
    let priority = Frame::new(2, 0, 1, [0, 0, 0, 0, 9]).bytes();
    let unknown = Frame::new(99, 0, 0, [0; 100]).bytes();
    for (name, frame) in [
        ("SETTINGS", table),
        ("PING", ping),
        ("WINDOW_UPDATE", everywhere),
        ("WINDOW_UPDATE of a stream", here),
        ("PRIORITY", priority),
        ("unknown frames", unknown),
    ] {
        let mut client = Connection::open(stitch.proxy());
        client.patience(STUCK);
        client.send(&headers(1, WHOLE, "shop", "/slow"));
        let sent = flood(&mut client, &frame, 200_000);
        serves_others(&stitch);
        let grown = stitch.peak_memory() - before;
        assert!(grown < GROWTH, "grew by {grown} KiB after {sent} {name}");
    }
}

#[test]
fn a_header_section_over_the_limit_is_431_and_leaves_others_alone() {
    let upstream = Upstream::echo();
    let stitch = shop(&upstream, "limits: { header_bytes: 16KiB }");
    let mut client = Connection::open(stitch.proxy());
    let large =
        |size| block(&[&request("GET", "shop", "/a")[..], &[("x-a", &"1".repeat(size))]].concat());
    for (size, expected) in [(10_000, 200), (20_000, 431), (10_000, 200)] {
        let block = large(size);
        let (first, rest) = block.split_at(block.len().min(16_000));
        let stream = client.next_stream();
        client.send(&Frame::new(kind::HEADERS, flag::END_STREAM, stream, first));
        client.send(&Frame::new(kind::CONTINUATION, flag::END_HEADERS, stream, rest));
        let answer = client.finish(stream);
        assert_eq!(answer.status, Some(expected), "{size} bytes: {answer:?}");
    }
}

#[test]
fn a_header_section_that_is_not_gone_on_with_is_closed() {
    let upstream = Upstream::echo();
    let stitch = shop(&upstream, "limits: { header_timeout: 300ms, idle: 600ms }");
    // In the preface, behind it, and within a header section.
    let mut half = http::Connection::open(stitch.proxy());
    half.send("PRI * HTTP/2.0\r\n\r\nSM");
    half.patience(PATIENCE);
    let said = String::from_utf8(half.read_to_close()).unwrap();
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{said}");
    let mut silent = Connection::open(stitch.proxy());
    silent.patience(PATIENCE);
    assert!(silent.closes(), "a silent connection stays open");
    let mut client = Connection::open(stitch.proxy());
    client.patience(PATIENCE);
    client.send(&headers(1, flag::END_STREAM, "shop", "/a"));
    assert!(client.closes(), "half a header section keeps a connection open");
    assert_eq!(client.stream(1).status, None);
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    let upstream = Upstream::echo();
    let stitch = shop(&upstream, "");
    let mut client = Connection::open(stitch.proxy());
    let streams: Vec<_> = (0..400).map(|_| client.get("shop", "/slow")).collect();
    let refused = |client: &Connection| {
        let ends = streams.iter().map(|stream| client.stream(*stream).end);
        ends.filter(|end| *end == Some(End::Reset(REFUSED_STREAM))).count()
    };
    assert!(client.until(|client| refused(client) == 144), "{} refused", refused(&client));
    assert_eq!(in_flight(&stitch), 256);
    // Who goes on is shown the door.
    client.patience(STUCK);
    for _ in 0..20_000 {
        let stream = client.next_stream();
        if client.try_send(&headers(stream, WHOLE, "shop", "/slow")).is_err() {
            break;
        }
    }
    assert!(in_flight(&stitch) <= 256);
    client.patience(PATIENCE);
    assert!(client.closes());
    assert!(wait_until(PATIENCE, || in_flight(&stitch) == 0), "requests were forgotten");
    serves_others(&stitch);
}

fn in_flight(stitch: &Stitch) -> i64 {
    let service = http::get(stitch.admin(), "/api/services/shop", &[]).json();
    service["data"]["counters"]["in_flight"].as_i64().unwrap()
}

#[test]
fn answers_that_nobody_reads_take_bounded_memory() {
    let upstream = Upstream::http(|_| Answer::new(200, vec![b'x'; 1 << 20]));
    let stitch = shop(&upstream, "");
    // As much room as there can be: only the socket is not read.
    let most = 0x7fff_ffff;
    let settings = [(setting::INITIAL_WINDOW_SIZE, most)];
    let before = stitch.peak_memory();
    let mut client = Connection::open_with(stitch.proxy(), &settings);
    client.send(&Frame::window_update(0, most - 65_535));
    let streams: Vec<_> = (0..256).map(|_| client.get("users", "/")).collect();
    assert!(wait_until(PATIENCE, || upstream.requests().len() == 256));
    serves_others(&stitch);
    let grown = (stitch.peak_memory() - before) >> 10;
    // A large piece from the service for each of them.
    assert!(grown < 100, "grew by {grown} MiB");
    // And nothing of it was lost.
    for stream in streams {
        assert_eq!(client.finish(stream).body.len(), 1 << 20);
    }
}
