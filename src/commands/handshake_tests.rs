//! URLs, and what becomes of their TLS.

use super::super::explain;
use super::*;
use crate::testing;
use stitch_config::Report;
use stitch_mockd::Engine;

const SERVICES: &str = "services:
  api: { url: 'https://api.example.com', hosts: api.example.com }
  far: { url: 'https://far.example.com' }
  pay: { endpoints: [ { path: /x } ], port: 8002 }
  db: { type: tcp, url: 'tls://db.example.com:5432', port: 15432 }
routes: [ { match: { host: shop.test }, to: api } ]
";

fn config(proxy: &str) -> Config {
    testing::config(&format!("proxy: {{ {proxy} }}\n{SERVICES}"))
}

/// As the proxy would have found it.
fn found(services: &[&str], route: bool) -> Explanation {
    let candidate = |name: &&str| stitch_proxy::Candidate {
        service: (*name).to_owned(),
        share: None,
        mode: "real",
        endpoints: Vec::new(),
        policies: serde_json::Value::Null,
        in_words: Vec::new(),
    };
    Explanation {
        services: services.iter().map(candidate).collect(),
        route: route.then(|| "routes[0]".to_owned()),
        ..Explanation::default()
    }
}

fn fate(proxy: &str, url: &str, found: &Explanation) -> (Fate, String) {
    let handshake = Handshake::of(&config(proxy), &url.parse().unwrap(), found).unwrap();
    (handshake.tls, handshake.why)
}

#[test]
fn without_tls_there_is_nothing_to_say() {
    for url in ["http://api.example.com/", "/x", "api.example.com:443"] {
        let url = url.parse().unwrap();
        assert_eq!(Handshake::of(&config(""), &url, &found(&["api"], false)), None);
        assert_eq!(Handshake::of_bytes(&url), None);
    }
}

#[test]
fn a_tunnel_is_passed_on_unless_it_is_to_be_looked_into() {
    const LOOK: &str = "forward: { intercept_tls: true }";
    let url = "https://api.example.com/v1";
    let (fate_without, why) = fate("", url, &found(&["api"], false));
    assert_eq!(fate_without, Fate::PassedOn);
    assert!(
        why.starts_with("to https://api.example.com; set proxy.forward.intercept_tls"),
        "{why}"
    );
    assert_eq!(fate(LOOK, url, &found(&["api"], false)).0, Fate::LookedInto);

    let (refused, why) = fate("", "https://pay/x", &found(&["pay"], false));
    assert_eq!(refused, Fate::Refused);
    assert!(why.contains("no certificate to show"), "{why}");
    assert_eq!(fate(LOOK, "https://pay/x", &found(&["pay"], false)).0, Fate::LookedInto);

    let (passed, why) = fate("", "https://shop.test/", &found(&["api"], true));
    assert_eq!(passed, Fate::PassedOn);
    assert!(why.starts_with("to shop.test:443; set"), "{why}");
    // Whatever the path: only inside is it known.
    assert_eq!(fate(LOOK, "https://shop.test/", &found(&[], false)).0, Fate::LookedInto);

    let (passed, why) = fate(LOOK, "https://[2001:db8::1]:8443/", &found(&[], false));
    assert_eq!(passed, Fate::PassedOn);
    assert_eq!(why, "to [2001:db8::1]:8443, which nothing declares");
}

#[test]
fn at_a_listener_certificates_of_the_file_are_shown() {
    let none = found(&["api"], false);
    for url in ["https://api.localhost:8080/", "https://localhost:8002/x"] {
        assert_eq!(fate("", url, &none).0, Fate::Refused);
        assert_eq!(fate("tls: { cert: a.crt, key: a.key }", url, &none).0, Fate::Ended);
    }
    let clients = "tls: { cert: a.crt, key: a.key, client_ca: ca.crt }";
    assert!(fate(clients, "https://api.localhost:8080/", &none).1.contains("client_ca"));
}

#[test]
fn bytes_take_their_port_their_hosts_inside_tls_and_their_url() {
    let config = Arc::new(config(""));
    let engine = Engine::compile(&config, 0, None, &mut Report::default());
    let snapshot = explain::compile(&config, &engine);
    let rule = |url: &str| {
        let (service, rule) = bytes(&snapshot, &url.parse().unwrap())?;
        assert_eq!(&*service.name, "db");
        rule.chars().next()
    };
    for url in ["http://localhost:15432/", "https://127.0.0.1:15432/", "http://[::1]:15432/"] {
        assert_eq!(rule(url), Some('1'), "{url}");
    }
    for url in ["https://db/", "https://db.localhost:8080/", "https://db.localhost/x"] {
        assert_eq!(rule(url), Some('2'), "{url}");
    }
    for url in ["https://db.example.com:5432/", "https://DB.example.com:5432/"] {
        assert_eq!(rule(url), Some('3'), "{url}");
    }
    for url in ["http://db/", "https://db.example.com/", "http://far:15432/", "/x", "https://pay/"]
    {
        assert_eq!(rule(url), None, "{url}");
    }
    let passed = Handshake::of_bytes(&"https://db/".parse().unwrap()).unwrap();
    assert!(passed.is_unread() && passed.tls == Fate::PassedOn);
}
