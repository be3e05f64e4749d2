//! Services of bytes: databases through their own clients, half-closed connections, sockets, TLS
//! that is passed through, and the PROXY protocol in and out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use stitch_kit::http::{self, Connection};
use stitch_kit::{
    Certificates, Nginx, Postgres, Redis, Stitch, Upstream, curl, free_port, psql, redis_cli,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A service `bytes` with a port of its own that leads there.
fn service(url: &str, more: &str) -> Stitch {
    Stitch::up(&format!("services: {{ bytes: {{ type: tcp, url: '{url}', port: 0 {more} }} }}"))
}

fn connect(stitch: &Stitch) -> TcpStream {
    let stream = TcpStream::connect(stitch.service("bytes")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn psql_over_tcp_and_a_socket() {
    let postgres = Postgres::start();
    let urls =
        [format!("tcp://{}", postgres.addr()), format!("unix:{}", postgres.socket().display())];
    for (number, url) in urls.iter().enumerate() {
        let stitch = service(url, "");
        let address = stitch.service("bytes");
        let sql = format!("create table t{number} as select generate_series(1, 1000) as n");
        psql(address, &sql).success();
        let sql = format!("select sum(n) from t{number}");
        assert_eq!(psql(address, &sql).success().stdout, "500500\n");
        let rows = psql(address, "select repeat('x', 5000000)").success().stdout;
        assert_eq!(rows.len(), 5_000_001);
    }
}

#[test]
fn redis_cli_over_tcp_and_a_socket() {
    let redis = Redis::start();
    let urls = [format!("tcp://{}", redis.addr()), format!("unix:{}", redis.socket().display())];
    for (url, count) in urls.iter().zip(["1\n", "2\n"]) {
        let stitch = service(url, "");
        assert_eq!(redis_cli(stitch.service("bytes"), &["INCR", "a"]).success().stdout, count);
    }
}

#[test]
fn a_side_that_has_said_all_is_still_answered() {
    let upstream = Upstream::scripted(|mut stream, _| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all.reverse();
        stream.write_all(&all).unwrap();
    });
    let stitch = service(&format!("tcp://{}", upstream.addr()), "");
    let mut stream = connect(&stitch);
    stream.write_all(b"desserts").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(stream), b"stressed");
}

#[test]
fn a_server_that_has_said_all_still_listens() {
    let (heard, hears) = std::sync::mpsc::channel();
    let heard = std::sync::Mutex::new(heard);
    let upstream = Upstream::scripted(move |mut stream, _| {
        stream.write_all(b"that was all").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        heard.lock().unwrap().send(all).unwrap();
    });
    let stitch = service(&format!("tcp://{}", upstream.addr()), "");
    let mut stream = connect(&stitch);
    assert_eq!(rest(stream.try_clone().unwrap()), b"that was all");
    stream.write_all(b"not from here").unwrap();
    drop(stream);
    assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), b"not from here");
}

#[test]
fn a_service_that_is_down_closes_its_connections() {
    let stitch = service(&format!("tcp://127.0.0.1:{}", free_port()), "");
    let mut stream = connect(&stitch);
    assert!(!stream.read(&mut [0]).is_ok_and(|count| count > 0));
    assert!(stitch.exited().is_none());
}

#[test]
fn a_connection_that_says_nothing_is_given_up() {
    let upstream = Upstream::scripted(|mut stream, _| {
        let _ = stream.read(&mut [0]);
    });
    let stitch = service(&format!("tcp://{}", upstream.addr()), ", timeout: { idle: 300ms }");
    assert!(!connect(&stitch).read(&mut [0]).is_ok_and(|count| count > 0));
    assert!(stitch_kit::wait_until(PATIENCE, || upstream.open_connections() == 0));
}

#[test]
fn tls_can_begin_at_the_proxy() {
    let authority = Certificates::new();
    let pair = authority.issue(&["localhost"]);
    let nginx = tls_nginx(&pair);
    let url = nginx.https_url().replace("https://", "tls://");
    let stitch = service(&url, &format!(", tls: {{ ca: '{}' }}", authority.ca().display()));
    assert_eq!(http::get(stitch.service("bytes"), "/", &[]).text(), "https");
}

fn tls_nginx(pair: &stitch_kit::Certificate) -> Nginx {
    Nginx::listening(
        "ssl",
        &format!(
            "ssl_certificate {}; ssl_certificate_key {}; location / {{ return 200 $scheme; }}",
            pair.cert.display(),
            pair.key.display()
        ),
    )
}

#[test]
fn tls_that_asks_for_its_host_is_passed_through() {
    let (inner, outer) = (Certificates::new(), Certificates::new());
    let nginx = tls_nginx(&inner.issue(&["inner.test"]));
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!(
        "proxy: {{ tls: {{ {} }} }}\nservices:\n  inner: {{ type: tcp, url: 'tcp://{}', port: 0, \
         hosts: [inner.test] }}\n  outer: {{ url: '{}', hosts: [outer.test] }}",
        outer.issue(&["outer.test"]).yaml(),
        nginx.addr(),
        upstream.url()
    ));
    let port = stitch.proxy().port();
    // Whose certificate curl sees tells where the handshake was.
    for (authority, host, expected) in
        [(&inner, "inner.test", "https"), (&outer, "outer.test", "\"target\":\"/\"")]
    {
        let ca = authority.ca().display().to_string();
        let resolve = format!("{host}:{port}:127.0.0.1");
        let url = format!("https://{host}:{port}/");
        let told = curl(&["--cacert", &ca, "--resolve", &resolve, &url]).success().stdout;
        assert!(told.contains(expected), "{told}");
    }
}

/// nginx that wants a PROXY header and tells what it says.
fn told_by_proxy_header() -> Nginx {
    Nginx::listening(
        "proxy_protocol",
        "location / { return 200 \"$proxy_protocol_addr $proxy_protocol_server_port\"; }",
    )
}

#[test]
fn the_proxy_header_is_written() {
    let nginx = told_by_proxy_header();
    for version in ["v1", "v2"] {
        let more = format!(", proxy_protocol: {version}");
        let stitch = service(&format!("tcp://{}", nginx.addr()), &more);
        let address = stitch.service("bytes");
        let told = http::get(address, "/", &[]).text();
        assert_eq!(told, format!("127.0.0.1 {}", address.port()), "{version}");
    }
}

/// 192.0.2.7 port 4711 to 192.0.2.1 port 80.
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x12\x67\0\x50";
/// From the one who sends it: no address.
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn behind_a_proxy(upstream: &Upstream, more: &str) -> Stitch {
    Stitch::up(&format!(
        "proxy: {{ proxy_protocol: true {more} }}\nservices: {{ users: {{ url: '{}' }} }}",
        upstream.url()
    ))
}

#[test]
fn the_proxy_header_says_who_the_client_is() {
    let upstream = Upstream::echo();
    let stitch = behind_a_proxy(&upstream, "");
    for (header, client) in [(V1, "192.0.2.7"), (V2, "192.0.2.7"), (V2_LOCAL, "127.0.0.1")] {
        let mut connection = Connection::open(stitch.proxy());
        connection.send(header);
        for _ in 0..2 {
            let answer = connection.request("GET", "/", &[("host", "users")], b"");
            assert_eq!(answer.status, 200, "{header:?}");
            let seen = upstream.requests();
            let seen = seen.last().unwrap().header("x-forwarded-for").map(str::to_owned);
            assert_eq!(seen.as_deref(), Some(client));
        }
    }
}

#[test]
fn the_proxy_header_may_come_in_pieces() {
    let upstream = Upstream::echo();
    let stitch = behind_a_proxy(&upstream, "");
    for header in [V1, V2] {
        let mut connection = Connection::open(stitch.proxy());
        for byte in header {
            connection.send([*byte]);
        }
        assert_eq!(connection.request("GET", "/", &[("host", "users")], b"").status, 200);
    }
}

#[test]
fn a_connection_without_a_proxy_header_is_refused() {
    let upstream = Upstream::echo();
    let stitch = behind_a_proxy(&upstream, "");
    for bytes in [
        &b"GET / HTTP/1.1\r\nhost: users\r\n\r\n"[..],
        b"PROXY TCP4 somewhere else\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 99999\r\nGET / HTTP/1.1\r\nhost: users\r\n\r\n",
        &[b'P'; 300],
    ] {
        let mut connection = Connection::open(stitch.proxy());
        let _ = connection.try_send(bytes);
        assert!(connection.closes_within(PATIENCE), "{bytes:?}");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn curl_writes_a_proxy_header_too_and_tls_may_follow() {
    let authority = Certificates::new();
    let upstream = Upstream::echo();
    let tls = format!(", tls: {{ {} }}", authority.issue(&["users"]).yaml());
    let stitch = behind_a_proxy(&upstream, &tls);
    let port = stitch.proxy().port();
    let (ca, resolve) = (authority.ca().display().to_string(), format!("users:{port}:127.0.0.1"));
    let url = format!("https://users:{port}/");
    let told =
        curl(&["--haproxy-protocol", "--cacert", &ca, "--resolve", &resolve, &url]).success();
    assert!(told.stdout.contains("\"target\":\"/\""), "{}", told.stdout);
}

#[test]
fn http_over_sockets_on_both_sides() {
    let upstream = Upstream::echo();
    let inner = Stitch::builder()
        .yaml(&format!(
            "proxy: {{ listen: ['127.0.0.1:0', 'unix:./in.sock'] }}\n\
             services: {{ users: {{ url: '{}' }} }}",
            upstream.url()
        ))
        .listens_as_written()
        .start();
    let socket = inner.path().with_file_name("in.sock");
    let path = socket.display().to_string();
    let told = curl(&["--unix-socket", &path, "http://users/a"]).success().stdout;
    assert!(told.contains("\"target\":\"/a\""), "{told}");
    let outer = Stitch::up(&format!(
        "services: {{ users: {{ url: 'unix:{path}', preserve_host: true }} }}"
    ));
    let answer = http::get(outer.proxy(), "/b", &[("host", "users")]);
    assert_eq!((answer.status, &answer.json()["target"]), (200, &"/b".into()));
    drop(inner);
    let answer = http::get(outer.proxy(), "/b", &[("host", "users")]);
    assert_eq!((answer.status, answer.header("x-stitch-reason")), (502, Some("connect_refused")));
    assert!(!socket.exists(), "left behind");
}
