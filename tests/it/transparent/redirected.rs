//! Who gets a redirected connection.

use super::lab::{Lab, V4, V6};
use std::path::Path;
use stitch_kit::{Exit, Signal};

const SERVICES: &str = "services:\n  \
    users: { endpoints: [{ path: /hi, response: mocked }] }\n  \
    orders: { url: 'http://10.77.0.2:80', hosts: [orders] }\n  \
    db: { type: tcp, url: 'tcp://10.77.0.2:7777', hosts: [db] }\n  \
    secure: { type: tcp, url: 'tcp://10.77.0.2:8443', hosts: [secure.test] }\n";

fn lab(services: &str) -> Option<Lab> {
    let lab = Lab::build(services)?;
    let path = lab.stitch.path().display().to_string();
    let _ = lab.iptables(&[&path, "--apply", "--ipv6"]).success();
    Some(lab)
}

#[test]
fn requests_go_to_who_is_declared_or_where_they_were_going() {
    let Some(lab) = lab("services: { users: { endpoints: [{ path: /hi, response: mocked }] } }")
    else {
        return;
    };
    let curl = |args: &[&str]| lab.curl(args).success().stdout;
    for address in [V4.to_owned(), format!("[{V6}]")] {
        let answer = curl(&[&format!("http://{address}/x"), "-H", "host: some.where"]);
        assert!(answer.starts_with("some.where HTTP/1.1 via=1.1 "), "{answer}");
        assert!(answer.ends_with("xff="), "{answer}");
        let there = format!("users:80:{address}");
        assert_eq!(curl(&["--resolve", &there, "http://users/hi"]), "mocked");
    }
    // Nobody has this address, and nobody needs to.
    let nowhere = "users:8000:10.77.0.99";
    assert_eq!(curl(&["--resolve", nowhere, "http://users:8000/hi"]), "mocked");
    let prior = "--http2-prior-knowledge";
    assert_eq!(curl(&[prior, &format!("http://{V4}:82/")]), format!("{V4} HTTP/2.0"));
    assert_eq!(curl(&[prior, "--resolve", "users:82:10.77.0.2", "http://users:82/hi"]), "mocked");
    assert_eq!(lab.counted("http"), 7);

    let refused = curl(&["-o", "/dev/null", "-w", "%{http_code}", &format!("http://{V4}:81/")]);
    assert_eq!(refused, "502");
    let direct = lab.curl(&["http://127.0.0.1:15001/"]);
    assert_ne!(direct.exit, Exit::Code(0), "it was not redirected");
    assert_eq!(lab.counted("refused"), 1);
}

#[test]
fn a_service_is_known_by_its_address() {
    let Some(lab) = lab(SERVICES) else { return };
    // Its url has this address, whatever the request calls it.
    let answer = lab.curl(&[&format!("http://{V4}/x"), "-H", "host: other"]).success().stdout;
    assert!(answer.starts_with(V4) && answer.ends_with("xff=10.77.0.1"), "{answer}");
    assert_eq!(lab.echoed(V4, 7777, "GET / HTTP/1.1\r\n"), r"b'GET / HTTP/1.1\r\n'");
    let db = lab.admin("/api/services/db");
    let db: serde_json::Value = serde_json::from_str(&db).unwrap();
    assert_eq!(db["data"]["counters"]["bytes_in"], 16);
    assert_eq!((lab.counted("http"), lab.counted("tcp")), (1, 1));
}

#[test]
fn other_bytes_go_on_untouched_whoever_speaks_first() {
    let Some(lab) = lab("services: {}") else { return };
    for host in [V4, V6] {
        assert_eq!(lab.echoed(host, 7777, "PING\r\n"), r"b'PING\r\n'");
        assert_eq!(lab.echoed(host, 7777, "get key\r\n"), r"b'get key\r\n'");
        assert_eq!(lab.echoed(host, 7778, ""), "b'220 welcome\\r\\n'\nb''");
    }
    assert_eq!(lab.echoed(V4, 7777, "CONNECT a:1 HTTP/1.1\r\n"), r"b'CONNECT a:1 HTTP/1.1\r\n'");
    assert_eq!(lab.counted("opaque"), 7);
    assert_eq!(lab.echoed(V4, 7, "nobody is there"), "reset");
    assert!(lab.stitch.stderr().contains(" TCP - 10.77.0.2:7 in=0 out=0 "));
}

#[test]
fn tls_goes_to_whom_it_asks_for_or_where_it_was_going() {
    let Some(lab) = lab(SERVICES) else { return };
    let ca = lab.certificates.ca().display().to_string();
    let asked = |name: &str, address: &str| {
        let there = format!("{name}:443:{address}");
        lab.curl(&["--cacert", &ca, "--resolve", &there, &format!("https://{name}/")])
    };
    assert_eq!(asked("world.test", V4).success().stdout, "world");
    assert_eq!(asked("secure.test", "10.77.0.99").success().stdout, "declared");
    assert_eq!(lab.counted("tls"), 2);
}

#[test]
fn tls_to_something_declared_is_passed_on_unread_and_reset_when_nobody_is_there() {
    let services = "services:\n  \
        api: { hosts: [world.test], url: 'https://10.77.0.2:8443', tls: { insecure: true } }\n  \
        down: { hosts: [secure.test], url: 'https://10.77.0.2:9', tls: { insecure: true } }\n";
    let Some(lab) = lab(services) else { return };
    let ca = lab.certificates.ca().display().to_string();
    let asked = |name: &str| {
        let there = format!("{name}:443:10.77.0.99");
        lab.curl(&["--cacert", &ca, "--resolve", &there, &format!("https://{name}/")])
    };
    assert_eq!(asked("world.test").success().stdout, "declared");
    let unanswered = asked("secure.test");
    assert_eq!(unanswered.exit, Exit::Code(35), "{}", unanswered.stderr);
    assert!(unanswered.stderr.to_lowercase().contains("reset by peer"), "{}", unanswered.stderr);
    let metrics = lab.admin("/metrics");
    for (service, result) in [("api", "closed"), ("down", "connect_refused")] {
        let series = format!(
            "stitch_tcp_connections_total{{service=\"{service}\",result=\"{result}\"}} 1\n"
        );
        assert!(metrics.contains(&series), "{metrics}");
    }
    let log = lab.stitch.stderr();
    let line = log.lines().find(|line| line.contains(" TCP down 10.77.0.2:9 in=0 out=0 "));
    let words = " connect_refused: 10.77.0.2:9 refused the connection";
    assert!(line.is_some_and(|line| line.ends_with(words)), "{log}");
}

#[test]
fn tls_after_a_silence_leaves_no_idle_connection_beside_the_one_it_goes_on_over() {
    let Some(lab) = lab("services: {}") else { return };
    // It begins like TLS, and that is all.
    let client = lab.hesitant(V4, 7779, b"\x16\x03\x01\x00\x02hi");
    lab.echo.wait_for_stdout(|line| line["event"] == "connected");
    client.signal(Signal::USR1);
    assert_eq!(client.wait_exit(), Exit::Code(0), "{}", client.stderr());
    assert_eq!(client.stdout().trim(), r"b'\x16\x03\x01\x00\x02hi'");
    assert_eq!(lab.counted("tls"), 1);
}

#[test]
fn tls_to_something_declared_is_looked_into_where_that_is_wanted() {
    let services =
        "services: { api: { hosts: [api.test], endpoints: [{ path: /hi, response: mocked }] } }";
    let Some(lab) = Lab::intercepting(services) else { return };
    let path = lab.stitch.path().display().to_string();
    let _ = lab.iptables(&[&path, "--apply"]).success();
    let (ours, theirs) = (lab.authority(), lab.certificates.ca());
    let asked = |ca: &Path, name: &str, address: &str| {
        let there = format!("{name}:443:{address}");
        let url = format!("https://{name}/hi");
        lab.curl(&["--cacert", ca.to_str().unwrap(), "--resolve", &there, &url])
    };
    // Nobody has this address, and nobody needs to.
    assert_eq!(asked(&ours, "api.test", "10.77.0.99").success().stdout, "mocked");
    // What nobody declared shows its own certificate.
    assert_eq!(asked(&theirs, "world.test", V4).success().stdout, "world");
    assert_ne!(asked(&ours, "world.test", V4).exit, Exit::Code(0));
}

#[test]
fn own_connections_that_come_back_are_noticed() {
    let services = "services:\n  \
        api: { url: 'https://10.77.0.2:443', hosts: [api], tls: { insecure: true } }\n  \
        secure: { type: tcp, url: 'tls://10.77.0.2:8443', tls: { insecure: true } }\n";
    let Some(lab) = Lab::build(services) else { return };
    let path = lab.stitch.path().display().to_string();
    // Nobody is left out, root and so stitch are not.
    let _ = lab.iptables(&[&path, "--apply", "--exclude-uid", "65534"]).success();
    for (port, text) in [(7777, "PING\r\n"), (7778, ""), (8443, "GET / HTTP/1.0\r\n\r\n")] {
        assert_eq!(lab.bytes("0", V4, port, text), "reset");
    }
    let refused = lab.counted("refused");
    assert!((3..100).contains(&refused), "{refused}");
    let proxy = lab.stitch.proxy_url();
    let answer = lab.curl(&["-w", "%{http_code}", "-o", "/dev/null", "-x", &proxy, "http://api/"]);
    assert_eq!(answer.success().stdout, "502");
    assert!(lab.counted("refused") > refused);
    assert_eq!(lab.counted("tls"), 0, "a handshake of stitch's own was passed on");
}
