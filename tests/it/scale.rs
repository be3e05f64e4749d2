//! Many services, many waiting requests, and the end of the process.
//!
//! Times are wide bounds: they tell "at once" from "one after the other", not fast from slow.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use stitch_kit::http::{self, Connection};
use stitch_kit::{Exit, Run, Scratch, Signal, Stitch, Upstream, wait_until};

const SERVICES: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);

fn in_flight(stitch: &Stitch, service: &str) -> i64 {
    let target = format!("/api/services/{service}");
    let service = http::get(stitch.admin(), &target, &[]).json();
    service["data"]["counters"]["in_flight"].as_i64().unwrap()
}

#[test]
fn two_hundred_mocks_have_their_own_ports_and_share_one() {
    let mut yaml = "services:\n".to_owned();
    for number in 0..SERVICES {
        let _ = writeln!(
            yaml,
            "  s{number}: {{ port: 0, endpoints: [{{ path: /who, response: s{number} }}, \
             {{ path: /only/{number} }}] }}"
        );
    }
    let stitch = Stitch::up(&yaml);
    let mut shared = Connection::open(stitch.proxy());
    for number in 0..SERVICES {
        let name = format!("s{number}");
        assert_eq!(http::get(stitch.service(&name), "/who", &[]).text(), name);
        assert_eq!(shared.request("GET", "/who", &[("host", &name)], b"").text(), name);
        // Nobody named: mocks are tried by path.
        let answer = shared.request("GET", &format!("/only/{number}"), &[], b"");
        assert_eq!(
            answer.header("x-stitch-endpoint").unwrap(),
            format!("{name} GET /only/{number}")
        );
    }
    assert_eq!(stitch.ready().json()["services"].as_array().unwrap().len(), SERVICES);
}

#[test]
fn five_hundred_delayed_answers_wait_beside_each_other() {
    let stitch = Stitch::up("services: { slow: { endpoints: [{ path: /, delay: 200ms }] } }");
    let start = Instant::now();
    let mut connections: Vec<_> = (0..500)
        .map(|_| {
            let mut connection = Connection::open(stitch.proxy());
            connection.send("GET / HTTP/1.1\r\nhost: slow\r\n\r\n");
            connection
        })
        .collect();
    for connection in &mut connections {
        assert_eq!(connection.read_response().status, 200);
    }
    let took = start.elapsed();
    // One after the other they would take 100 s.
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn ten_thousand_delayed_answers_are_cheap() {
    let stitch = Stitch::up("services: { slow: { endpoints: [{ path: /, delay: 300ms }] } }");
    // Twenty rounds of wrk's five hundred connections, each waiting 300 ms per answer.
    let report = Run::tool("wrk")
        .args(["-t1", "-c500", "-d", "6s", "-H", "Host: slow"])
        .arg(stitch.proxy_url())
        .output()
        .success()
        .stdout;
    assert!(!report.contains("Socket errors:") && !report.contains("Non-2xx"), "{report}");
    let count = report.lines().find(|line| line.contains(" requests in ")).unwrap();
    let count: u64 = count.trim().split(' ').next().unwrap().parse().unwrap();
    assert!(count > 5000, "{report}");
    assert!(wait_until(PATIENCE, || in_flight(&stitch, "slow") == 0), "requests were forgotten");
}

#[test]
fn callers_that_leave_are_forgotten() {
    let stitch = Stitch::up("services: { slow: { endpoints: [{ path: /, delay: 60s }] } }");
    let mut connections: Vec<_> = (0..50).map(|_| Connection::open(stitch.proxy())).collect();
    for connection in &mut connections {
        connection.send("GET / HTTP/1.1\r\nhost: slow\r\n\r\n");
    }
    assert!(wait_until(PATIENCE, || in_flight(&stitch, "slow") == 50));
    drop(connections);
    assert!(wait_until(PATIENCE, || in_flight(&stitch, "slow") == 0), "still waiting for nobody");
}

/// A stitch with one slow request in flight, mocked or real.
fn with_one_in_flight(yaml: &str) -> (Stitch, Connection) {
    let stitch = Stitch::up(yaml);
    let mut connection = Connection::open(stitch.proxy());
    connection.send("GET / HTTP/1.1\r\nhost: slow\r\n\r\n");
    assert!(wait_until(PATIENCE, || in_flight(&stitch, "slow") == 1));
    (stitch, connection)
}

#[test]
fn sigterm_lets_a_request_in_flight_finish() {
    let yaml = "services: { slow: { endpoints: [{ path: /, response: done, delay: 1s }] } }";
    let (stitch, mut connection) = with_one_in_flight(yaml);
    let proxy = stitch.proxy();
    stitch.signal(Signal::TERM);
    stitch.wait_for_stdout(|line| line["event"] == "draining");
    let refused = wait_until(PATIENCE, || TcpStream::connect(proxy).is_err());
    assert!(refused, "new connections are still accepted");
    let answer = connection.read_response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
    stitch.wait_for_stdout(|line| line["event"] == "stopped");
}

#[test]
fn sigterm_lets_an_answer_of_a_real_service_finish() {
    let upstream =
        Upstream::http(|_| stitch_kit::Answer::new(200, "real").after(Duration::from_secs(1)));
    let yaml = format!("services: {{ slow: {{ url: '{}' }} }}", upstream.url());
    let (stitch, mut connection) = with_one_in_flight(&yaml);
    stitch.signal(Signal::TERM);
    assert_eq!(connection.read_response().text(), "real");
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let stitch = Stitch::up("services: { shop: { endpoints: [{ path: /a }] } }");
    let mut kept = Connection::open(stitch.proxy());
    assert_eq!(kept.request("GET", "/a", &[], b"").status, 200);
    let fresh = Connection::open(stitch.proxy());
    let start = Instant::now();
    stitch.signal(Signal::TERM);
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
    // `drain` is 10 s.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(fresh);
}

#[test]
fn the_drain_has_an_end() {
    let yaml = "proxy: { drain: 500ms }\n\
                services: { slow: { endpoints: [{ path: /, delay: 60s }] } }";
    let (stitch, mut connection) = with_one_in_flight(yaml);
    let start = Instant::now();
    stitch.signal(Signal::TERM);
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert!(stitch.stderr().contains("cut off"), "{}", stitch.stderr());
    assert!(connection.try_read_response_to("GET").is_err(), "an answer out of nothing");
}

#[test]
fn sigint_drains_and_says_130_and_a_second_one_does_not_wait() {
    let yaml = "services: { slow: { endpoints: [{ path: /, response: done, delay: 500ms }] } }";
    let (stitch, mut connection) = with_one_in_flight(yaml);
    stitch.signal(Signal::INT);
    assert_eq!(connection.read_response().text(), "done");
    assert_eq!(stitch.wait_exit(), Exit::Code(130));

    let yaml = "proxy: { drain: 60s }\n\
                services: { slow: { endpoints: [{ path: /, delay: 60s }] } }";
    let (stitch, _connection) = with_one_in_flight(yaml);
    stitch.signal(Signal::INT);
    stitch.wait_for_stdout(|line| line["event"] == "draining");
    stitch.signal(Signal::INT);
    assert_eq!(stitch.wait_exit(), Exit::Code(130));
}

#[test]
fn a_port_is_free_again_at_once() {
    let yaml = "services: { shop: { endpoints: [{ path: /a }] } }";
    let first = Stitch::up(yaml);
    let address: SocketAddr = first.proxy();
    assert_eq!(http::get(address, "/a", &[]).status, 200);
    first.signal(Signal::TERM);
    assert_eq!(first.wait_exit(), Exit::Code(0));
    let second = Stitch::builder().yaml(yaml).args(["--listen", &address.to_string()]).start();
    assert_eq!(second.proxy(), address);
    assert_eq!(http::get(address, "/a", &[]).status, 200);
}

#[test]
fn a_reader_that_went_away_does_not_cut_requests_off() {
    let scratch = Scratch::new();
    let yaml = "services: { slow: { endpoints: [{ path: /, response: done, delay: 500ms }] } }";
    scratch.write("stitch.yaml", yaml);
    // `head` ends after the ready line, and standard output is closed from then on.
    let script = "{ sh -c 'echo pid $$ >&2; exec \"$0\" up --format json --listen 127.0.0.1:0 \
                  --admin 127.0.0.1:0' \"$0\"; echo ended $? >&2; } | head -n 1";
    let shell = Run::tool("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_stitch")])
        .cwd(scratch.path())
        .spawn();
    let ready = shell.wait_for_stdout(|line| line["event"] == "ready");
    let pid = shell.wait_for_stderr(|line| line.starts_with("pid "));
    let address = ready["proxy"].as_str().unwrap().strip_prefix("http://").unwrap();
    let mut connection = Connection::open(address.parse().unwrap());
    connection.send("GET / HTTP/1.1\r\nhost: slow\r\n\r\n");
    let admin = ready["admin"].as_str().unwrap().strip_prefix("http://").unwrap();
    let arrived = || {
        let slow = http::get(admin.parse().unwrap(), "/api/services/slow", &[]).json();
        slow["data"]["counters"]["in_flight"] == 1
    };
    assert!(wait_until(PATIENCE, arrived));
    let pid = pid.strip_prefix("pid ").unwrap();
    let kill = format!("kill -TERM {pid}");
    let _ = Run::tool("sh").args(["-c", &kill]).output().success();
    assert_eq!(connection.read_response().text(), "done");
    assert_eq!(shell.wait_for_stderr(|line| line.starts_with("ended ")), "ended 0");
    assert_eq!(shell.wait_exit(), Exit::Code(0));
}
