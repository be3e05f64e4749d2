//! The forward proxy: absolute-form targets and CONNECT, what may be reached and what is refused.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;
use stitch_kit::http::{self, Connection, Response};
use stitch_kit::{Stitch, Upstream, free_port, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
const MOCK: &str =
    "services: { payments: { endpoints: [{ path: /charge, method: ANY, response: paid }] } }";

/// As a client does that was told HTTP_PROXY.
fn through(proxy: SocketAddr, url: &str) -> Response {
    let rest = url.split_once("://").unwrap().1;
    let host = rest.split('/').next().unwrap();
    http::get(proxy, url, &[("host", host), ("proxy-connection", "keep-alive")])
}

fn reason(answer: &Response) -> (u16, Option<&str>) {
    (answer.status, answer.header("x-stitch-reason"))
}

/// Gives back what it receives.
fn tcp_echo() -> Upstream {
    Upstream::scripted(|mut stream, _| {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            if stream.write_all(&chunk[..count]).is_err() {
                return;
            }
        }
    })
}

/// A tunnel to `target`, open.
fn tunnel(proxy: SocketAddr, target: &str) -> Connection {
    let mut connection = Connection::open(proxy);
    let answer = connection.request("CONNECT", target, &[("host", target)], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.header("transfer-encoding"), None);
    connection
}

#[test]
fn a_declared_name_needs_no_dns() {
    let stitch = Stitch::up(MOCK);
    let answer = through(stitch.proxy(), "http://payments/charge");
    assert_eq!((answer.status, answer.text().as_str()), (200, "paid"));
    assert_eq!(answer.header("x-stitch-source"), Some("mock"));
    let answer = through(stitch.proxy(), "http://PAYMENTS.localhost:8080/charge?a=b");
    assert_eq!(answer.text(), "paid");
}

#[test]
fn an_undeclared_target_sees_nothing_of_us_but_via() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(MOCK);
    let url = format!("{}/a?b=%20c", upstream.url());
    let headers = [
        ("host", "ignored.example"),
        ("user-agent", "app/1"),
        ("authorization", "Bearer own"),
        ("x-request-id", "theirs"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic d2ViOg=="),
    ];
    let answer = http::get(stitch.proxy(), &url, &headers);
    assert_eq!(answer.status, 200);
    let seen = &upstream.requests()[0];
    assert_eq!(seen.target, "/a?b=%20c");
    let mut names: Vec<_> = seen.headers.0.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    assert_eq!(names, ["authorization", "host", "user-agent", "via", "x-request-id"]);
    assert_eq!(seen.header("host"), Some(upstream.addr().to_string().as_str()));
    assert_eq!(seen.header("x-request-id"), Some("theirs"));
    assert!(seen.header("via").unwrap().starts_with("1.1 stitch-"), "{seen:?}");
    // Nor does the caller.
    let marks = answer.headers.0.iter().map(|(name, _)| name.to_lowercase());
    let marks: Vec<_> = marks.filter(|name| name.starts_with("x-")).collect();
    assert!(marks.is_empty(), "{marks:?}");
    assert!(answer.header("via").is_some());
}

#[test]
fn what_forward_does_not_allow_is_denied_with_the_key_to_write() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!("proxy: {{ forward: {{ allow: [] }} }}\n{MOCK}"));
    let answer = through(stitch.proxy(), &format!("{}/a", upstream.url()));
    assert_eq!(reason(&answer), (403, Some("denied")));
    let problem = answer.json();
    assert!(problem["hint"].as_str().unwrap().contains("proxy.forward.allow"), "{problem}");
    assert_eq!(problem["endpoint"], upstream.addr().to_string());
    let target = upstream.addr().to_string();
    let answer = http::send(stitch.proxy(), "CONNECT", &target, &[("host", &target)], b"");
    assert_eq!(reason(&answer), (403, Some("denied")));
    assert_eq!(upstream.connections(), 0);
    // Declared services are no matter of `forward`.
    assert_eq!(through(stitch.proxy(), "http://payments/charge").status, 200);
}

#[test]
fn an_allowed_range_or_name_opens_just_that() {
    let upstream = Upstream::echo();
    let port = upstream.addr().port();
    let allowing =
        |rule: &str| Stitch::up(&format!("proxy: {{ forward: {{ allow: ['{rule}'] }} }}\n{MOCK}"));
    let stitch = allowing("127.0.0.1/32");
    assert_eq!(through(stitch.proxy(), &format!("http://127.0.0.1:{port}/")).status, 200);
    let other = through(stitch.proxy(), &format!("http://127.0.0.2:{port}/"));
    assert_eq!(reason(&other), (403, Some("denied")));
    let stitch = allowing("*.allowed.localhost");
    let allowed = through(stitch.proxy(), &format!("http://a.Allowed.localhost:{port}/"));
    assert_eq!(allowed.status, 200, "{}", allowed.text());
    let other = through(stitch.proxy(), &format!("http://other.localhost:{port}/"));
    assert_eq!(reason(&other), (403, Some("denied")));
}

#[test]
fn our_admin_and_metadata_addresses_are_out_of_reach_in_every_spelling() {
    let allow = "[loopback, private, public, '*']";
    let stitch = Stitch::up(&format!("proxy: {{ forward: {{ allow: {allow} }} }}\n{MOCK}"));
    let port = stitch.admin().port();
    let spellings =
        ["127.0.0.1", "localhost", "127.0.0.9", "0.0.0.0", "[::ffff:127.0.0.1]", "LOCALHOST."];
    let admin = spellings.map(|host| format!("{host}:{port}"));
    let metadata = ["169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[fd00:ec2::254]:80"];
    for target in admin.iter().map(String::as_str).chain(metadata) {
        let answer = through(stitch.proxy(), &format!("http://{target}/api/services"));
        assert_eq!(reason(&answer), (403, Some("denied")), "{target}");
        let answer = http::send(stitch.proxy(), "CONNECT", target, &[("host", target)], b"");
        assert_eq!(reason(&answer), (403, Some("denied")), "CONNECT {target}");
    }
}

#[test]
fn a_tunnel_carries_bytes_both_ways_and_half_closes() {
    let upstream = tcp_echo();
    let stitch = Stitch::up(MOCK);
    let mut connection = tunnel(stitch.proxy(), &upstream.addr().to_string());
    connection.send(b"\x00\x01not http\r\n\r\n");
    assert_eq!(connection.read_bytes(14), b"\x00\x01not http\r\n\r\n");
    let many = vec![7; 1 << 20];
    let mut writer = connection.stream().try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&many).unwrap());
        assert_eq!(connection.read_bytes(many.len()), many);
    });
    connection.finish_sending();
    assert_eq!(connection.read_to_close(), b"");
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0));
}

#[test]
fn bytes_sent_before_the_200_are_not_lost() {
    // Connecting succeeds by the kernel's backlog; what the proxy writes shows in its own time.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let stitch = Stitch::up(MOCK);
    let mut connection = Connection::open(stitch.proxy());
    connection.send(format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\nearly bird"));
    let answer = connection.read_response_to("CONNECT");
    assert_eq!(answer.status, 200);
    let (mut upstream, _) = listener.accept().unwrap();
    upstream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut seen = [0; 10];
    upstream.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"early bird");
}

#[test]
fn bytes_behind_a_refused_connect_never_arrive() {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let upstream = Upstream::scripted(move |mut stream, _| {
        let mut seen = Vec::new();
        let _ = stream.read_to_end(&mut seen);
        sender.lock().unwrap().send(seen).unwrap();
    });
    let stitch = Stitch::up(&format!("proxy: {{ forward: {{ allow: [] }} }}\n{MOCK}"));
    let target = upstream.addr();
    let smuggled = "GET /charge HTTP/1.1\r\nhost: payments\r\n\r\n";
    let text = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n{smuggled}");
    let mut connection = Connection::open(stitch.proxy());
    connection.send(text);
    assert_eq!(connection.read_response().status, 403);
    // Nor is it taken for the next request.
    assert!(connection.closes_within(PATIENCE));
    assert!(receiver.try_recv().is_err());
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn http_inside_a_tunnel_to_a_mock_is_served_by_it() {
    let stitch = Stitch::up(MOCK);
    let mut inside = tunnel(stitch.proxy(), "payments:80");
    for _ in 0..2 {
        let answer = inside.request("POST", "/charge", &[("host", "payments")], b"{}");
        assert_eq!((answer.status, answer.text().as_str()), (200, "paid"));
        assert_eq!(answer.header("x-stitch-source"), Some("mock"));
    }
    let missed = inside.request("GET", "/else", &[("host", "payments")], b"");
    assert_eq!(reason(&missed), (404, Some("no_endpoint")));
}

#[test]
fn http_inside_a_tunnel_to_a_host_of_routes_takes_its_route() {
    let routes = "routes: [{ match: { host: shop.test }, to: payments, rewrite: /charge }]";
    let stitch = Stitch::up(&format!("{MOCK}\n{routes}"));
    let mut inside = tunnel(stitch.proxy(), "shop.test:80");
    let answer = inside.request("GET", "/pay", &[("host", "shop.test")], b"");
    assert_eq!(answer.text(), "paid");
    assert_eq!(through(stitch.proxy(), "http://shop.test/pay").text(), "paid");
}

#[test]
fn tls_inside_a_tunnel_to_a_real_service_is_not_looked_into() {
    let upstream = tcp_echo();
    let stitch = Stitch::up(&format!("services: {{ users: {{ url: '{}' }} }}", upstream.url()));
    let mut inside = tunnel(stitch.proxy(), "users:443");
    let hello = b"\x16\x03\x01\x00\x05hello";
    inside.send(hello);
    assert_eq!(inside.read_bytes(hello.len()), hello);
    // A mock has no certificate to show.
    let stitch = Stitch::up(MOCK);
    let mut inside = tunnel(stitch.proxy(), "payments:443");
    inside.send(hello);
    assert!(inside.closes_within(PATIENCE));
}

#[test]
fn connect_reaches_listed_ports_only_beyond_this_machine() {
    let stitch = Stitch::up(&format!("proxy: {{ forward: {{ connect_ports: 444 }} }}\n{MOCK}"));
    // An own address that is not loopback, if this machine has one to connect to.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = probe.connect("192.0.2.1:9").and_then(|()| probe.local_addr());
    let Ok(own) = own.map(|address| address.ip()).map(|ip| SocketAddr::new(ip, 0)) else {
        panic!("this machine has no address but loopback");
    };
    let listener = TcpListener::bind(own).unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let answer = http::send(stitch.proxy(), "CONNECT", &target, &[("host", &target)], b"");
    assert_eq!(reason(&answer), (403, Some("denied")), "{}", answer.text());
    assert!(answer.json()["hint"].as_str().unwrap().contains("proxy.forward.connect_ports"));
}

#[test]
fn a_connect_that_cannot_be_is_refused_before_any_200() {
    let stitch = Stitch::up(MOCK);
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let answer = http::send(stitch.proxy(), "CONNECT", &refused, &[("host", &refused)], b"");
    assert_eq!(reason(&answer), (502, Some("connect_refused")));
    let nameless = "no-such-host.invalid:443";
    let answer = http::send(stitch.proxy(), "CONNECT", nameless, &[("host", nameless)], b"");
    assert_eq!(reason(&answer), (502, Some("connect_dns")));
    let answer = http::send(stitch.proxy(), "CONNECT", "127.0.0.1", &[("host", "x")], b"");
    assert_eq!(answer.status, 400);
}

#[test]
fn https_without_a_tunnel_begins_tls_for_the_client() {
    let stitch = Stitch::up(MOCK);
    let plain = Upstream::scripted(|mut stream, _| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let target = format!("https://{}/a", plain.addr());
    let answer = through(stitch.proxy(), &target);
    assert_eq!(reason(&answer), (502, Some("connect_tls")));
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("does not speak TLS"), "{detail}");
}

#[test]
fn an_absolute_target_that_is_the_proxy_itself_means_the_proxy() {
    let stitch = Stitch::up(MOCK);
    let answer = through(stitch.proxy(), &format!("http://{}/charge", stitch.proxy()));
    assert_eq!(answer.text(), "paid");
}

#[test]
fn a_services_own_port_is_reached_through_the_proxy_too() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!(
        "services:\n  payments: {{ port: 0, endpoints: [{{ path: /charge, response: paid }}] }}\n  \
         users: {{ port: 0, url: '{}' }}\n",
        upstream.url()
    ));
    let at = |name| stitch.service(name).port();
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{}/charge", at("payments"));
        let answer = through(stitch.proxy(), &url);
        assert_eq!((answer.status, answer.text().as_str()), (200, "paid"), "{url}");
        let answer = through(stitch.proxy(), &format!("http://{host}:{}/a", at("users")));
        assert_eq!(answer.header("x-stitch-source"), Some("real"), "{}", answer.text());
    }
}

#[test]
fn a_request_that_comes_back_is_a_loop() {
    // The proxy's port is not known beforehand: the second one gets it, and leads back by a name
    // that nobody takes for the proxy's own address.
    let first = Stitch::up(MOCK);
    let port = first.proxy().port();
    first.rewrite(&format!(
        "services: {{ round: {{ url: 'http://again.localhost:{port}', hosts: [round, again.localhost] }} }}"
    ));
    first.wait_for_stdout(|line| line["event"] == "reloaded");
    let answer = http::get(first.proxy(), "/a", &[("host", "round")]);
    assert_eq!(reason(&answer), (508, Some("loop")), "{}", answer.text());
    assert!(answer.json()["hint"].is_string());
}

#[test]
fn a_services_port_that_leads_to_itself_is_a_loop_too() {
    let port = free_port();
    let stitch = Stitch::up(&format!(
        "services: {{ round: {{ port: {port}, url: 'http://127.0.0.1:{port}' }} }}"
    ));
    let answer = http::get(stitch.service("round"), "/a", &[]);
    assert_eq!(reason(&answer), (508, Some("loop")), "{}", answer.text());
    let answer = through(stitch.proxy(), "http://round/a");
    assert_eq!(reason(&answer), (508, Some("loop")), "{}", answer.text());
}

#[test]
fn two_proxies_in_a_row_are_no_loop() {
    let upstream = Upstream::echo();
    let far = Stitch::up(&format!("services: {{ users: {{ url: '{}' }} }}", upstream.url()));
    let near = Stitch::up(&format!(
        "services: {{ users: {{ url: '{}', preserve_host: true }} }}",
        far.proxy_url()
    ));
    let answer = http::get(near.proxy(), "/a", &[("host", "users")]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = &upstream.requests()[0];
    assert_eq!(seen.headers.all("via").join(",").matches("stitch-").count(), 2);
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1, 127.0.0.1"));
}

#[test]
fn proxy_credentials_stay_here() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!("services: {{ users: {{ url: '{}' }} }}", upstream.url()));
    let headers = [("host", "users"), ("proxy-authorization", "Basic d2ViOnNlY3JldA==")];
    assert_eq!(http::get(stitch.proxy(), "/", &headers).status, 200);
    assert_eq!(upstream.requests()[0].header("proxy-authorization"), None);
}

#[test]
fn a_tunnel_ends_with_its_client() {
    let upstream = tcp_echo();
    let stitch = Stitch::up(MOCK);
    let connection = tunnel(stitch.proxy(), &upstream.addr().to_string());
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 1));
    drop(connection);
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0));
    let alive: std::io::Result<TcpStream> = TcpStream::connect(stitch.proxy());
    assert!(alive.is_ok());
}

#[test]
fn a_tunnel_to_a_host_that_routes_name_only_with_a_path_is_served_inside() {
    let upstream = Upstream::echo();
    let target = format!("localhost:{}", upstream.addr().port());
    let stitch = Stitch::up(&format!(
        "{MOCK}\nroutes: [ {{ match: {{ path: /charge, method: POST, host: localhost }}, to: payments }} ]"
    ));
    let mut connection = tunnel(stitch.proxy(), &target);
    let headers = [("host", target.as_str())];
    let routed = connection.request("POST", "/charge", &headers, b"");
    assert_eq!((routed.status, routed.text().as_str()), (200, "paid"));
    // What no route claims goes where the tunnel was meant to lead.
    let other = connection.request("GET", "/other", &headers, b"");
    assert_eq!(other.json()["target"], "/other", "{}", other.text());
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn tls_in_a_tunnel_to_a_host_that_routes_name_goes_to_that_host() {
    let upstream = tcp_echo();
    let target = format!("localhost:{}", upstream.addr().port());
    let stitch = Stitch::up(&format!(
        "{MOCK}\nroutes: [ {{ match: {{ path: /charge, host: localhost }}, to: payments }} ]"
    ));
    let mut connection = tunnel(stitch.proxy(), &target);
    let hello = b"\x16\x03\x01 as a handshake begins";
    connection.send(hello);
    assert_eq!(connection.read_bytes(hello.len()), hello);
}
