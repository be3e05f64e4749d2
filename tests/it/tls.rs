//! TLS that ends at the proxy and TLS that begins there, with curl, Python and nginx on the far side.

use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use stitch_kit::http::{self, Response};
use stitch_kit::{
    Certificate, Certificates, Nginx, Output, Stitch, Upstream, curl, python, wait_until,
};

/// What tells a service who its caller is by its certificate.
const IDENTITY: &str = "x-forwarded-client-cert";

/// How long a file that was replaced may take to be in force.
const PATIENCE: Duration = Duration::from_secs(20);

/// curl asks `https://HOST` on this port of 127.0.0.1 and trusts this authority.
fn ask(authority: &Certificates, host: &str, address: SocketAddr, args: &[&str]) -> Output {
    let port = address.port();
    let resolve = format!("{host}:{port}:127.0.0.1");
    let url = format!("https://{host}:{port}/");
    let ca = authority.ca().display().to_string();
    curl(&[&["--cacert", &ca, "--resolve", &resolve, &url], args].concat())
}

fn echo_behind(tls: &str, upstream: &Upstream) -> Stitch {
    Stitch::up(&format!(
        "proxy: {{ access_log: {{ format: json, only: all }}, tls: {{ {tls} }} }}\n\
         services: {{ a: {{ url: '{}', hosts: [a.test, b.test] }} }}",
        upstream.url()
    ))
}

/// As [`ask`] for a.test, with a certificate of the client's own and another one's name.
fn ask_as(authority: &Certificates, address: SocketAddr, certificate: &Certificate) -> Output {
    let [cert, key] = [&certificate.cert, &certificate.key].map(|path| path.display().to_string());
    let args = ["--cert", &cert, "--key", &key, "-H", &format!("{IDENTITY}: mallory")];
    ask(authority, "a.test", address, &args)
}

#[test]
fn the_certificate_is_chosen_by_the_name_that_is_asked_for() {
    let authority = Certificates::new();
    let upstream = Upstream::echo();
    let (a, b) = (authority.issue(&["a.test", "127.0.0.1"]), authority.issue(&["b.test"]));
    let both = format!("certificates: [{{ {} }}, {{ {} }}]", a.yaml(), b.yaml());
    let stitch = echo_behind(&both, &upstream);
    for host in ["a.test", "b.test"] {
        ask(&authority, host, stitch.proxy(), &["--fail"]).success();
    }
    // The first is for whoever asks for no name, or another.
    ask(&authority, "127.0.0.1", stitch.proxy(), &["--fail", "-H", "Host: a.test"]).success();
    let refused = ask(&authority, "c.test", stitch.proxy(), &[]);
    assert_eq!(refused.code(), 60, "curl does not take a certificate of another name");
}

#[test]
fn one_port_takes_tls_and_plain_connections() {
    let authority = Certificates::new();
    let upstream = Upstream::echo();
    let stitch = echo_behind(&authority.issue(&["a.test"]).yaml(), &upstream);
    ask(&authority, "a.test", stitch.proxy(), &["--fail"]).success();
    assert_eq!(http::get(stitch.proxy(), "/", &[("host", "a.test")]).status, 200);
    let proto =
        |number: usize| upstream.requests()[number].header("x-forwarded-proto").map(str::to_owned);
    assert_eq!((proto(0).as_deref(), proto(1).as_deref()), (Some("https"), Some("http")));
}

#[test]
fn curl_speaks_tls_to_its_proxy() {
    let authority = Certificates::new();
    let upstream = Upstream::echo();
    let stitch = echo_behind(&authority.issue(&["proxy.test", "127.0.0.1"]).yaml(), &upstream);
    let port = stitch.proxy().port();
    let through = |trusted: &Certificates, more: &[&str]| {
        let (proxy, ca) = (format!("https://proxy.test:{port}"), trusted.ca());
        let resolve = format!("proxy.test:{port}:127.0.0.1");
        let connected = ["-w", "\n%{http_connect}", "--resolve", &resolve, "-x", &proxy];
        let args = ["--proxy-cacert", ca.to_str().unwrap(), "--fail", "http://a.test/hello"];
        curl(&[&connected, &args[..], more].concat())
    };
    for (tunnel, connected) in [(&[][..], "000"), (&["-p"], "200")] {
        let output = through(&authority, tunnel).success();
        let (echo, code) = output.stdout.rsplit_once('\n').unwrap();
        let echo: Value = serde_json::from_str(echo).unwrap();
        assert_eq!((&echo["target"], code), (&"/hello".into(), connected), "{echo}");
    }
    for request in upstream.requests() {
        assert_eq!(request.header("x-forwarded-host"), Some("a.test"), "{request:?}");
    }
    for tunnel in [&[][..], &["-p"]] {
        assert_eq!(through(&Certificates::new(), tunnel).code(), 60, "{tunnel:?}");
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn the_version_of_http_is_agreed_on_in_the_handshake() {
    let authority = Certificates::new();
    let upstream = Upstream::echo();
    let stitch = echo_behind(&authority.issue(&["a.test"]).yaml(), &upstream);
    for (wanted, version) in [("--http2", "2"), ("--http1.1", "1.1"), ("--no-alpn", "1.1")] {
        let args = [wanted, "-o", "/dev/null", "-w", "%{http_version}"];
        let output = ask(&authority, "a.test", stitch.proxy(), &args).success();
        assert_eq!(output.stdout, version, "{wanted}");
    }
}

#[test]
fn a_client_certificate_becomes_the_callers_identity() {
    let authority = Certificates::new();
    let upstream = Upstream::echo();
    let tls = authority.issue(&["a.test"]).yaml();
    let ca = authority.ca();
    let stitch = echo_behind(&format!("{tls}, client_ca: '{}'", ca.display()), &upstream);
    let with = |certificate: &Certificate| ask_as(&authority, stitch.proxy(), certificate);
    with(&authority.issue(&["alice.clients.test"])).success();
    let requests = upstream.requests();
    let told = requests[0].headers.all(IDENTITY);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("Hash=") && !told[0].contains("mallory"), "{told:?}");
    assert!(
        told[0].ends_with(";Subject=\"CN=alice.clients.test\";DNS=alice.clients.test"),
        "{told:?}"
    );
    let line = stitch.wait_for_stderr(|line| line.contains(r#""host":"a.test"#));
    let logged: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(logged["caller"], "alice.clients.test", "{line}");
    for stranger in
        [Certificates::new().issue(&["alice.clients.test"]), authority.expired(&["old"])]
    {
        assert_ne!(with(&stranger).code(), 0, "taken: {stranger:?}");
    }
    assert_ne!(ask(&authority, "a.test", stitch.proxy(), &[]).code(), 0, "none is not enough");
    let plain = curl(&["-H", "Host: a.test", &stitch.proxy_url()]);
    assert!(plain.code() != 0 || !plain.stdout.contains("\"target\""), "{}", plain.stdout);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_renewed_certificate_is_served_and_kept_connections_stay() {
    let authority = Certificates::new();
    let upstream = Upstream::echo();
    let old = authority.issue(&["a.test"]);
    let stitch = echo_behind(&old.yaml(), &upstream);
    // The fresh connections of the loop are the wait; what is said on standard output its end.
    let client = python(
        r#"
import socket, ssl, sys
port, ca = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=ca)

def dial():
    raw = socket.create_connection(("127.0.0.1", port), 20)
    return context.wrap_socket(raw, server_hostname="a.test")

def ask(peer):
    peer.sendall(b"GET /?status=204 HTTP/1.1\r\nhost: a.test\r\n\r\n")
    return peer.recv(65536).split(b" ")[1].decode()

kept = dial()
before = kept.getpeercert()["serialNumber"]
print('{"asked": "%s"}' % ask(kept), flush=True)
while True:
    with dial() as fresh:
        if fresh.getpeercert()["serialNumber"] != before:
            break
print('{"fresh": true, "kept": "%s"}' % ask(kept), flush=True)
"#,
    )
    .arg(stitch.proxy().port().to_string())
    .arg(authority.ca())
    .spawn();
    client.wait_for_stdout(|line| line["asked"] == "204");
    old.replace_by(&authority.issue(&["a.test"]));
    let told = client.wait_for_stdout(|line| line["fresh"] == true);
    assert_eq!(told["kept"], "204");
    client.wait_exit();
}

#[test]
fn a_replaced_authority_of_clients_is_in_force_without_a_restart() {
    let authority = Certificates::new();
    let upstream = Upstream::echo();
    let (before, after) = (Certificates::new(), Certificates::new());
    let (old, new) = (before.issue(&["old.test"]), after.issue(&["new.test"]));
    let tls = authority.issue(&["a.test"]).yaml();
    let ca = before.ca();
    let stitch = echo_behind(&format!("{tls}, client_ca: '{}'", ca.display()), &upstream);
    let code = |certificate| ask_as(&authority, stitch.proxy(), certificate).code();
    assert_eq!(code(&old), 0);
    assert_ne!(code(&new), 0);
    replace(&ca, &after.ca());
    assert!(wait_until(PATIENCE, || code(&new) == 0), "{}", stitch.stderr());
    assert_ne!(code(&old), 0, "whom the old one signed is still taken");
}

/// Puts the contents of another file into this one, in one step.
fn replace(path: &Path, by: &Path) {
    let beside = path.with_extension("new");
    std::fs::copy(by, &beside).and_then(|_| std::fs::rename(&beside, path)).unwrap();
}

/// nginx with TLS for these names, which tells what it was asked.
fn tls_nginx(authority: &Certificates, names: &[&str], more: &str, options: &str) -> Nginx {
    nginx_with(&authority.issue(names), more, options)
}

fn nginx_with(pair: &Certificate, more: &str, options: &str) -> Nginx {
    let tell = "location / { return 200 \"$server_protocol|$ssl_server_name|$ssl_client_s_dn|\"; }";
    Nginx::listening(
        options,
        &format!(
            "ssl_certificate {}; ssl_certificate_key {}; {more} {tell}",
            pair.cert.display(),
            pair.key.display()
        ),
    )
}

/// The answer of the service behind this URL, which is reached with these keys under `tls`.
fn through(url: &str, tls: &str) -> Response {
    let yaml = format!("services: {{ a: {{ url: '{url}', tls: {{ {tls} }} }} }}");
    http::get(Stitch::up(&yaml).proxy(), "/", &[("host", "a")])
}

fn trusting(path: &Path) -> String {
    format!("ca: '{}'", path.display())
}

/// How a problem names it.
fn place(nginx: &Nginx) -> String {
    format!("localhost:{}", nginx.addr().port())
}

/// Refused in the handshake; gives the problem's text.
fn refused(answer: &Response) -> String {
    assert_eq!((answer.status, answer.header("x-stitch-reason")), (502, Some("connect_tls")));
    let problem: Value = answer.json();
    problem["detail"].as_str().unwrap().to_owned()
}

#[test]
fn tls_begins_at_the_proxy() {
    let authority = Certificates::new();
    let nginx = tls_nginx(&authority, &["localhost"], "", "ssl");
    let answer = through(&nginx.https_url(), &trusting(&authority.ca()));
    assert_eq!(answer.text(), "HTTP/1.1|localhost||");
}

#[test]
fn https_upstreams_that_speak_http_2_are_spoken_to_in_it() {
    let authority = Certificates::new();
    let nginx = tls_nginx(&authority, &["localhost"], "", "ssl http2");
    let answer = through(&nginx.https_url(), &trusting(&authority.ca()));
    assert_eq!(answer.text(), "HTTP/2.0|localhost||");
}

#[test]
fn an_authority_that_nobody_trusts_is_refused_in_words() {
    let (authority, other) = (Certificates::new(), Certificates::new());
    let nginx = tls_nginx(&authority, &["localhost"], "", "ssl");
    for tls in [trusting(&other.ca()), String::new()] {
        let detail = refused(&through(&nginx.https_url(), &tls));
        assert!(detail.contains(&place(&nginx)), "{detail}");
    }
    let answer = through(&nginx.https_url(), "insecure: true");
    assert_eq!(answer.text(), "HTTP/1.1|localhost||");
}

#[test]
fn a_certificate_that_is_over_is_refused_in_words() {
    let authority = Certificates::new();
    let nginx = nginx_with(&authority.expired(&["localhost"]), "", "ssl");
    let detail = refused(&through(&nginx.https_url(), &trusting(&authority.ca())));
    assert!(detail.contains("expired"), "{detail}");
}

#[test]
fn another_name_can_be_asked_for() {
    let authority = Certificates::new();
    let nginx = tls_nginx(&authority, &["inner.test"], "", "ssl");
    refused(&through(&nginx.https_url(), &trusting(&authority.ca())));
    let tls = format!("{}, sni: inner.test", trusting(&authority.ca()));
    assert_eq!(through(&nginx.https_url(), &tls).text(), "HTTP/1.1|inner.test||");
}

#[test]
fn the_proxy_shows_a_certificate_of_its_own() {
    let authority = Certificates::new();
    let verify =
        format!("ssl_verify_client on; ssl_client_certificate {};", authority.ca().display());
    let nginx = tls_nginx(&authority, &["localhost"], &verify, "ssl");
    let trust = trusting(&authority.ca());
    let tls = format!("{trust}, {}", authority.issue(&["us.test"]).yaml());
    assert_eq!(through(&nginx.https_url(), &tls).text(), "HTTP/1.1|localhost|CN=us.test|");
    assert_eq!(through(&nginx.https_url(), &trust).status, 400, "nginx wants one");
}

#[test]
fn what_a_service_is_reached_with_is_renewed_without_a_restart() {
    let (authority, stranger) = (Certificates::new(), Certificates::new());
    let verify =
        format!("ssl_verify_client on; ssl_client_certificate {};", authority.ca().display());
    let nginx = tls_nginx(&authority, &["localhost"], &verify, "ssl");
    let trusted = stranger.ca();
    let own = authority.issue(&["us.test"]);
    let stitch = Stitch::up(&format!(
        "services: {{ a: {{ url: '{}', tls: {{ {}, {} }} }} }}",
        nginx.https_url(),
        trusting(&trusted),
        own.yaml()
    ));
    let ask = || http::get(stitch.proxy(), "/", &[("host", "a")]);
    let told = |text: &str| wait_until(PATIENCE, || ask().text() == text);
    refused(&ask());
    replace(&trusted, &authority.ca());
    assert!(told("HTTP/1.1|localhost|CN=us.test|"), "{}", stitch.stderr());
    own.replace_by(&authority.issue(&["renewed.test"]));
    assert!(told("HTTP/1.1|localhost|CN=renewed.test|"), "{}", stitch.stderr());
    // Connections that were opened in trust are not used any more.
    let other = Certificates::new();
    replace(&trusted, &other.ca());
    assert!(wait_until(PATIENCE, || ask().status == 502), "{}", stitch.stderr());
    refused(&ask());
}

#[test]
fn a_service_whose_certificate_is_not_checked_is_warned_of() {
    let yaml = |tls: &str| format!("services: {{ a: {{ url: 'https://localhost:1', {tls} }} }}");
    let stitch = Stitch::up(&yaml("tls: { insecure: true }"));
    // The report about the file says so too: another line.
    let line =
        stitch.wait_for_stderr(|line| line.contains("WARN") && line.contains("tls.insecure"));
    assert!(line.contains("service=a") && line.contains("is not checked"), "{line}");
    let stitch = Stitch::up(&yaml(""));
    stitch.stop();
    assert!(!stitch.stderr().contains("tls.insecure"), "{}", stitch.stderr());
}

#[test]
fn a_service_that_speaks_no_tls_is_named() {
    let plain = Nginx::start("location / { return 200 hello; }");
    let detail = refused(&through(&plain.https_url(), "insecure: true"));
    assert!(detail.contains(&place(&plain)), "{detail}");
}
