//! The PROXY protocol: who is really calling, learnt from those in front and told to those behind.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stitch_kit::http::Connection;
use stitch_kit::{Certificate, Certificates, Nginx, Stitch, Upstream, http, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
const REQUIRED: &str =
    "proxy: { proxy_protocol: true, trust: [192.0.2.0/24], access_log: { only: all } }\n";
/// 192.0.2.7:4000 to 192.0.2.8:80.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x08\x0f\xa0\0\x50";

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whom the upstream hears of, when this stands before a request.
fn forwarded_for(upstream: &Upstream, address: SocketAddr, header: &[u8]) -> String {
    let mut connection = Connection::open(address);
    let request = b"GET /x HTTP/1.1\r\nhost: users\r\nx-forwarded-for: 10.0.0.9\r\n\r\n";
    connection.send([header, request].concat());
    let answer = connection.read_response();
    assert_eq!(answer.status, 200, "{}", answer.text());
    upstream.requests().last().unwrap().header("x-forwarded-for").unwrap().to_owned()
}

#[test]
fn requests_come_from_whom_the_header_names() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!(
        "{REQUIRED}services: {{ users: {{ url: '{}', port: 0 }} }}",
        upstream.url()
    ));
    for address in [stitch.proxy(), stitch.service("users")] {
        assert_eq!(
            forwarded_for(&upstream, address, V2),
            "10.0.0.9, 192.0.2.7",
            "trusted by its own address"
        );
        let stranger = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n";
        assert_eq!(forwarded_for(&upstream, address, stranger), "2001:db8::1");
        assert_eq!(forwarded_for(&upstream, address, b"PROXY UNKNOWN\r\n"), "127.0.0.1");
    }
    assert!(wait_until(PATIENCE, || stitch.stderr().contains(" 192.0.2.7:4000 GET users/x 200 ")));
}

#[test]
fn without_a_header_nobody_is_served() {
    let stitch = Stitch::up(&format!(
        "{REQUIRED}services: {{ users: {{ port: 0, endpoints: [{{ path: /, response: hi }}] }} }}"
    ));
    for address in [stitch.proxy(), stitch.service("users")] {
        let mut stream = connect(address);
        stream.write_all(b"GET / HTTP/1.1\r\nhost: users\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        // What was sent is not read, so the close may be a reset.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
    let metrics = http::get(stitch.admin(), "/metrics", &[]).text();
    let series = r#"stitch_bad_requests_total{reason="proxy_protocol"} 2"#;
    assert!(metrics.contains(series), "{metrics}");
}

/// Keeps what every connection begins with, and says one byte back.
fn listening(length: usize) -> (Upstream, mpsc::Receiver<Vec<u8>>) {
    let (heard, hear) = mpsc::channel();
    let heard = Arc::new(Mutex::new(heard));
    let upstream = Upstream::scripted(move |mut stream, _| {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).unwrap();
        heard.lock().unwrap().send(bytes).unwrap();
        stream.write_all(b".").unwrap();
    });
    (upstream, hear)
}

fn db(upstream: &Upstream, version: &str) -> String {
    format!(
        "services: {{ db: {{ type: tcp, url: 'tcp://{}', port: 0, proxy_protocol: {version} }} }}",
        upstream.addr()
    )
}

#[test]
fn a_service_is_told_who_calls_in_text() {
    let upstream = Upstream::scripted(|mut stream, _| {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        let mut rest = [0; 5];
        stream.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"hello");
        stream.write_all(&line).unwrap();
    });
    let stitch = Stitch::up(&db(&upstream, "v1"));
    let address = stitch.service("db");
    let mut client = connect(address);
    client.write_all(b"hello").unwrap();
    let mut line = String::new();
    client.read_to_string(&mut line).unwrap();
    let port = client.local_addr().unwrap().port();
    assert_eq!(line, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {}\r\n", address.port()));
}

#[test]
fn who_calls_is_passed_on_in_binary() {
    let (upstream, heard) = listening(V2.len() + 5);
    let stitch = Stitch::up(&format!("{REQUIRED}{}", db(&upstream, "v2")));
    let mut client = connect(stitch.service("db"));
    client.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\nhello").unwrap();
    client.read_exact(&mut [0]).unwrap();
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), [V2, b"hello"].concat());
}

#[test]
fn nginx_reads_what_is_said_before_tls() {
    let authority = Certificates::new();
    let Certificate { cert, key } = authority.issue(&["db"]);
    let nginx = Nginx::listening(
        "ssl proxy_protocol",
        &format!(
            "ssl_certificate {}; ssl_certificate_key {}; \
             location / {{ return 200 $proxy_protocol_addr:$proxy_protocol_port; }}",
            cert.display(),
            key.display()
        ),
    );
    for version in ["v1", "v2"] {
        let stitch = Stitch::up(&format!(
            "services: {{ db: {{ type: tcp, url: 'tls://{}', port: 0, proxy_protocol: {version}, \
             tls: {{ ca: '{}', sni: db }} }} }}",
            nginx.addr(),
            authority.ca().display()
        ));
        let mut client = connect(stitch.service("db"));
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let own = client.local_addr().unwrap().to_string();
        assert!(answer.ends_with(&own), "{version}: {answer}");
    }
}
