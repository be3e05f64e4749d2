//! Health checks: who fails them gets nothing, who passes them again does, and everybody can see why.

use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;
use stitch_kit::http::Response;
use stitch_kit::{
    Answer, Certificates, PythonServer, Scratch, Signal, Stitch, Upstream, free_port, grpc_call,
    http, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// A server that says its name, and on `/health` the status of the moment.
struct Server {
    upstream: Upstream,
    health: Arc<AtomicU16>,
}

impl Server {
    fn start(name: &'static str) -> Self {
        let health = Arc::new(AtomicU16::new(200));
        let status = health.clone();
        let upstream = Upstream::http(move |request| match request.path() {
            "/health" => Answer::new(status.load(Ordering::SeqCst), "checked"),
            _ => Answer::new(200, name),
        });
        Self { upstream, health }
    }

    fn is(&self, status: u16) {
        self.health.store(status, Ordering::SeqCst);
    }

    /// Requests that were no checks.
    fn asked(&self) -> usize {
        self.upstream.requests().iter().filter(|request| request.path() != "/health").count()
    }
}

fn get(stitch: &Stitch) -> Response {
    http::get(stitch.proxy(), "/", &[("host", "a")])
}

/// What the API says of an endpoint of the service `a`.
fn endpoint(stitch: &Stitch, address: SocketAddr) -> Value {
    endpoint_of("a", stitch, address)
}

#[track_caller]
fn endpoint_of(service: &str, stitch: &Stitch, address: SocketAddr) -> Value {
    let told = http::get(stitch.admin(), &format!("/api/services/{service}"), &[]).json();
    let upstreams = told["data"]["upstreams"].as_array().unwrap();
    upstreams.iter().find(|one| one["address"] == address.to_string()).unwrap().clone()
}

#[track_caller]
fn wait_for(stitch: &Stitch, address: SocketAddr, state: &str) {
    let is = || endpoint(stitch, address)["health"]["state"] == state;
    assert!(wait_until(PATIENCE, is), "{}\n{}", endpoint(stitch, address), stitch.stderr());
}

#[track_caller]
fn wait_for_checks(stitch: &Stitch, address: SocketAddr, count: u64) {
    let enough = || endpoint(stitch, address)["health"]["checks"].as_u64().unwrap() >= count;
    assert!(wait_until(PATIENCE, enough), "{}", endpoint(stitch, address));
}

fn metric(stitch: &Stitch, series: &str) -> Option<String> {
    let metrics = http::get(stitch.admin(), "/metrics", &[]).text();
    metrics.lines().find_map(|line| Some(line.strip_prefix(series)?.trim().to_owned()))
}

#[test]
fn an_endpoint_that_fails_its_checks_gets_no_requests_until_it_passes_again() {
    let (one, two) = (Server::start("one"), Server::start("two"));
    let stitch = Stitch::up(&format!(
        "services:\n  a:\n    urls: ['{}', '{}']\n    health: {{ every: 20ms, timeout: 2s }}",
        one.upstream.url(),
        two.upstream.url()
    ));
    let address = one.upstream.addr();
    wait_for_checks(&stitch, address, 2);
    let before = endpoint(&stitch, address);
    assert_eq!((&before["state"], &before["health"]["failed"]), (&"ready".into(), &0.into()));

    one.is(503);
    wait_for(&stitch, address, "unhealthy");
    let (asked, told) = (one.asked(), endpoint(&stitch, address));
    assert_eq!(told["state"], "unhealthy");
    assert!(told["health"]["error"].as_str().unwrap().starts_with("/health answers 503"), "{told}");
    assert!(told["health"]["failed"].as_u64().unwrap() >= 3, "{told}");
    for _ in 0..20 {
        assert_eq!(get(&stitch).text(), "two");
    }
    assert_eq!(one.asked(), asked);
    let line = format!("a at {address} is unhealthy: /health answers 503");
    assert!(wait_until(PATIENCE, || stitch.stderr().contains(&line)), "{}", stitch.stderr());
    assert!(stitch.stderr().contains("(3 checks in a row)"), "{}", stitch.stderr());
    let labels = format!("{{service=\"a\",endpoint=\"{address}\"");
    assert_eq!(metric(&stitch, &format!("stitch_endpoint_healthy{labels}}}")).unwrap(), "0");
    let failed = format!("stitch_health_checks_total{labels},outcome=\"failed\"}}");
    assert!(metric(&stitch, &failed).unwrap().parse::<u64>().unwrap() >= 3);

    one.is(200);
    assert!(wait_until(PATIENCE, || get(&stitch).text() == "one"), "{}", stitch.stderr());
    let told = endpoint(&stitch, address);
    assert_eq!((&told["state"], &told["health"]["error"]), (&"ready".into(), &Value::Null));
    assert_eq!(metric(&stitch, &format!("stitch_endpoint_healthy{labels}}}")).unwrap(), "1");
    let line = format!("a at {address} is healthy again (2 checks in a row)");
    assert!(wait_until(PATIENCE, || stitch.stderr().contains(&line)), "{}", stitch.stderr());
}

#[test]
fn a_check_is_a_request_of_its_own_and_says_who_asks() {
    let server = Server::start("one");
    let stitch = Stitch::up(&format!(
        "services: {{ a: {{ url: '{}/api', health: {{ every: 20ms }} }} }}",
        server.upstream.url()
    ));
    wait_for_checks(&stitch, server.upstream.addr(), 3);
    for request in &server.upstream.requests()[..3] {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/health"));
        assert_eq!(request.header("user-agent"), Some("stitch-health"));
        assert_eq!(request.header("host"), Some(server.upstream.addr().to_string().as_str()));
        assert_eq!(request.served, 1, "its connection is its own");
    }
}

/// A server whose health is bad so many times, then good so many times, and so on.
fn flapping(bad: usize, good: usize) -> Upstream {
    let asked = AtomicUsize::new(0);
    Upstream::http(move |request| match request.path() {
        "/health" => match asked.fetch_add(1, Ordering::SeqCst) % (bad + good) < good {
            true => Answer::new(200, ""),
            false => Answer::new(500, ""),
        },
        _ => Answer::new(200, "flapping"),
    })
}

#[test]
fn one_that_flaps_goes_and_comes_while_the_other_is_left_alone() {
    let (steady, flapping) = (Server::start("steady"), flapping(3, 2));
    let stitch = Stitch::up(&format!(
        "services:\n  a:\n    urls: ['{}', '{}']\n    health: {{ every: 10ms, timeout: 2s }}",
        steady.upstream.url(),
        flapping.url()
    ));
    let lines = |what: &str| {
        let line = format!("a at {} is {what}", flapping.addr());
        stitch.stderr().matches(&line).count()
    };
    let often = || {
        assert_eq!(get(&stitch).status, 200);
        lines("unhealthy") >= 3 && lines("healthy again") >= 3
    };
    assert!(wait_until(PATIENCE, often), "{}", stitch.stderr());
    let told = endpoint(&stitch, steady.upstream.addr());
    assert_eq!((&told["state"], &told["health"]["failed"]), (&"ready".into(), &0.into()));
}

#[test]
fn now_and_then_a_bad_check_changes_nothing() {
    let flapping = flapping(2, 1);
    let stitch = Stitch::up(&format!(
        "services: {{ a: {{ url: '{}', health: {{ every: 10ms, timeout: 2s }} }} }}",
        flapping.url()
    ));
    wait_for_checks(&stitch, flapping.addr(), 12);
    let told = endpoint(&stitch, flapping.addr());
    assert_eq!(told["health"]["state"], "healthy");
    assert!(told["health"]["failed"].as_u64().unwrap() >= 6, "{told}");
    assert!(!stitch.stderr().contains("is unhealthy"), "{}", stitch.stderr());
}

#[test]
fn a_service_without_a_healthy_endpoint_answers_at_once_and_says_why() {
    let broken = Server::start("broken");
    broken.is(500);
    let gone = SocketAddr::from(([127, 0, 0, 2], free_port()));
    let health = "health: { every: 20ms, timeout: 2s }";
    let stitch = Stitch::up(&format!(
        "services:\n\
         \x20 a: {{ urls: ['{broken}', 'http://{gone}'], {health} }}\n\
         \x20 both:\n\
         \x20   url: '{broken}'\n\
         \x20   mode: real-then-mock\n\
         \x20   endpoints: [ {{ path: /, response: mocked }} ]\n\
         \x20   {health}",
        broken = broken.upstream.url()
    ));
    for address in [broken.upstream.addr(), gone] {
        wait_for(&stitch, address, "unhealthy");
    }
    let answer = get(&stitch);
    assert_eq!(
        (answer.status, answer.header("x-stitch-reason")),
        (503, Some("no_healthy_endpoint"))
    );
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    for part in [
        format!("{} is unhealthy: /health answers 500", broken.upstream.addr()),
        format!("{gone} is unhealthy: connection refused"),
    ] {
        assert!(detail.contains(&part), "{part} is not in {detail}");
    }
    let both = || endpoint_of("both", &stitch, broken.upstream.addr());
    assert!(wait_until(PATIENCE, || both()["health"]["state"] == "unhealthy"), "{}", both());
    assert_eq!(http::get(stitch.proxy(), "/", &[("host", "both")]).text(), "mocked");
    assert_eq!(broken.asked(), 0, "nothing was sent there but checks");
}

#[test]
fn a_new_path_in_the_file_is_asked_for_at_once() {
    let server = Server::start("one");
    let yaml = |path: &str| {
        // Later checks than the first would take longer than this test has patience for.
        let health = format!("health: {{ path: {path}, every: 1h, timeout: 2s }}");
        format!("services: {{ a: {{ url: '{}', {health} }} }}", server.upstream.url())
    };
    server.is(404);
    let stitch = Stitch::up(&yaml("/health"));
    wait_for(&stitch, server.upstream.addr(), "unhealthy");
    assert_eq!(get(&stitch).status, 503);
    stitch.rewrite(&yaml("/up"));
    wait_for(&stitch, server.upstream.addr(), "healthy");
    assert_eq!(get(&stitch).text(), "one");
    // And without checks nobody says anything bad.
    stitch.rewrite(&yaml("/health"));
    wait_for(&stitch, server.upstream.addr(), "unhealthy");
    stitch.rewrite(&format!("services: {{ a: {{ url: '{}' }} }}", server.upstream.url()));
    assert!(wait_until(PATIENCE, || get(&stitch).text() == "one"), "{}", stitch.stderr());
    assert_eq!(endpoint(&stitch, server.upstream.addr())["health"], Value::Null);
}

/// Takes its time to end after it has stopped to listen.
const LINGERING: &str = r#"
import http.server, os, signal, sys, time

server = http.server.ThreadingHTTPServer(
    ("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)

def stop(*_):
    server.socket.close()
    time.sleep(0.3)
    os._exit(0)

signal.signal(signal.SIGTERM, stop)
server.serve_forever()
"#;

#[test]
fn a_program_is_not_asked_before_it_is_up_nor_when_it_is_stopped() {
    let port = free_port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let yaml = format!(
        "services:\n  a:\n    url: http://{address}\n    command: python3 app.py {port}\n    \
         health: {{ path: /, every: 10ms, timeout: 2s, unhealthy: 1 }}"
    );
    let stitch = Stitch::builder().yaml(&yaml).file("app.py", LINGERING).start();
    wait_for_checks(&stitch, address, 3);
    assert_eq!(endpoint(&stitch, address)["health"]["failed"], 0, "{}", stitch.stderr());
    stitch.signal(Signal::TERM);
    stitch.wait_exit();
    assert!(!stitch.stderr().contains("is unhealthy"), "{}", stitch.stderr());
}

/// Says one word to each connection.
fn saying(word: &'static str) -> impl Fn(TcpStream, usize) + Send + Sync + 'static {
    move |mut stream, _| {
        // Whoever only checks is gone already.
        let _ = stream.write_all(word.as_bytes());
    }
}

fn heard(address: SocketAddr) -> Result<String, ErrorKind> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.kind())?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut word = String::new();
    stream.read_to_string(&mut word).map_err(|error| error.kind())?;
    Ok(word)
}

#[test]
fn services_of_bytes_are_well_while_they_can_be_connected_to() {
    let here = Upstream::scripted(saying("here"));
    let later = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let health = "port: 0, health: { every: 20ms, timeout: 2s }";
    let stitch = Stitch::up(&format!(
        "services:\n\
         \x20 a: {{ type: tcp, urls: ['tcp://{}', 'tcp://{later}'], {health} }}\n\
         \x20 lost: {{ type: tcp, url: 'tcp://{later}', {health} }}",
        here.addr()
    ));
    wait_for(&stitch, later, "unhealthy");
    assert_eq!(endpoint(&stitch, later)["health"]["error"], "connection refused");
    assert_eq!(endpoint(&stitch, here.addr())["health"]["state"], "healthy");
    assert_eq!(heard(stitch.service("a")).unwrap(), "here");
    let lost = stitch.service("lost");
    let reset = || heard(lost).is_err_and(|kind| kind == ErrorKind::ConnectionReset);
    assert!(wait_until(PATIENCE, reset));
    let told = format!("lost at {later} is unhealthy: connection refused (1 check)");
    assert!(wait_until(PATIENCE, || stitch.stderr().contains(&told)), "{}", stitch.stderr());

    let _later = Upstream::scripted_on(later, saying("later"));
    wait_for(&stitch, later, "healthy");
    assert!(wait_until(PATIENCE, || heard(lost).is_ok_and(|word| word == "later")));
}

#[test]
fn a_path_is_asked_over_tls_of_whom_the_service_trusts() {
    let (certificates, folder) = (Certificates::new(), Scratch::new());
    let certificate = certificates.issue(&["127.0.0.1"]);
    folder.write("health", "fine");
    let server = PythonServer::https(&certificate, folder.path());
    let (url, address, ca) = (server.url("https"), server.addr(), certificates.ca());
    let stitch = Stitch::up(&format!(
        "defaults: {{ health: {{ every: 1s, healthy: 1, unhealthy: 1 }} }}\n\
         services:\n\
         \x20 a: {{ url: '{url}', tls: {{ ca: '{ca}' }} }}\n\
         \x20 tcp: {{ url: '{url}', tls: {{ ca: '{ca}' }}, health: {{ tcp: true }} }}\n\
         \x20 stranger: {{ url: '{url}', health: {{ tcp: true }} }}",
        ca = ca.display()
    ));
    let health = |service: &str| endpoint_of(service, &stitch, address)["health"].clone();
    for (service, state) in [("a", "healthy"), ("tcp", "healthy"), ("stranger", "unhealthy")] {
        let told = || health(service)["checks"].as_u64() > Some(0);
        assert!(wait_until(PATIENCE, told), "{service}: {}", health(service));
        assert_eq!(health(service)["state"], state, "{service}: {}", health(service));
    }
    let why = health("stranger")["error"].as_str().unwrap().to_owned();
    assert!(why.contains("TLS failed"), "{why}");
    assert_eq!(http::get(stitch.proxy(), "/health", &[("host", "a")]).text(), "fine");

    std::fs::remove_file(folder.path().join("health")).unwrap();
    wait_for(&stitch, address, "unhealthy");
    let told = endpoint(&stitch, address);
    assert!(told["health"]["error"].as_str().unwrap().starts_with("/health answers 404"), "{told}");
    folder.write("health", "fine");
    wait_for(&stitch, address, "healthy");
}

#[test]
fn grpc_services_are_well_while_they_say_that_they_serve() {
    let certificates = Certificates::new();
    let certificate = certificates.issue(&["localhost", "127.0.0.1"]);
    let (plain, secure) = (PythonServer::grpc(), PythonServer::grpc_tls(&certificate));
    let ca = certificates.ca();
    let (plain, secure, ca) = (plain.url("h2c"), secure.url("https"), ca.display());
    let named = |name: &str| format!("health: {{ grpc: '{name}', every: 20ms, timeout: 2s }}");
    let stitch = Stitch::up(&format!(
        "services:\n\
         \x20 server: {{ url: '{plain}', {server} }}\n\
         \x20 echo: {{ url: '{secure}', tls: {{ ca: '{ca}' }}, {echo} }}\n\
         \x20 ill: {{ url: '{plain}', {ill} }}\n\
         \x20 stranger: {{ url: '{secure}', {echo} }}",
        server = named(""),
        echo = named("stitch.test.Echo"),
        ill = named("stitch.test.Ill"),
    ));
    let health = |service: &str| {
        let told = http::get(stitch.admin(), &format!("/api/services/{service}"), &[]).json();
        told["data"]["upstreams"][0]["health"].clone()
    };
    for (service, state, error) in [
        ("server", "healthy", None),
        ("echo", "healthy", None),
        ("ill", "unhealthy", Some("NOT_SERVING")),
        ("stranger", "unhealthy", Some("TLS failed")),
    ] {
        let told = || health(service)["checks"].as_u64().unwrap() > 0;
        assert!(wait_until(PATIENCE, told), "{service}: {}", health(service));
        let told = health(service);
        assert_eq!(told["state"], state, "{service}: {told}");
        match error {
            None => assert_eq!(told["error"], Value::Null, "{service}: {told}"),
            Some(error) => assert!(told["error"].as_str().unwrap().contains(error), "{told}"),
        }
    }
    assert_eq!(grpc_call(stitch.proxy(), "server", "unary", "")["code"], "OK");
    let refused = grpc_call(stitch.proxy(), "ill", "unary", "");
    assert_eq!(refused["code"], "UNAVAILABLE", "{refused}");
    assert!(refused["details"].as_str().unwrap().contains("NOT_SERVING"), "{refused}");
}
