//! What `auth` means, what is watched for it, and that nothing of it leaks.

use std::path::Path;
use std::time::Duration;
use stitch_config::model::{Auth, Jwks, KeyPlace, PasswordHash, Setting, UpstreamAddress};
use stitch_config::{Config, dump, load};

fn fixture() -> Config {
    load(Path::new("tests/fixtures/valid/auth.yaml"), &super::env).config
}

fn of<'a>(config: &'a Config, service: &str) -> &'a Auth {
    config.service(service).expect("it is declared").policies.auth.get().expect("auth is in force")
}

#[test]
fn everything_that_is_written_is_meant() {
    let config = fixture();
    let auth = of(&config, "users");
    let jwt = auth.jwt.as_ref().unwrap();
    let Jwks::Url { upstream, path, cache } = &jwt.keys else { panic!("a url was written") };
    assert_eq!(upstream.to_string(), "https://id.example.com");
    assert_eq!((path.as_str(), *cache), ("/keys?tenant=7", Duration::from_secs(60)));
    assert_eq!(jwt.issuers, ["https://id.example.com/", "other"]);
    assert_eq!(jwt.audiences, ["users"]);
    assert_eq!(jwt.algorithms, ["RS256", "EdDSA"]);
    assert_eq!(jwt.scopes, ["read", "write"]);
    assert_eq!((jwt.leeway, jwt.strip), (Duration::from_secs(5), true));
    assert_eq!(jwt.claims[1], ("realm.roles".to_owned(), "x-roles".parse().unwrap()));
    assert_eq!(jwt.from, KeyPlace::Cookie("session".to_owned()));
    let keys = auth.api_key.as_ref().unwrap();
    assert_eq!((&keys.from, keys.strip), (&KeyPlace::Query("key".to_owned()), false));
    assert_eq!((&*keys.keys[0].owner, keys.keys[0].digest.0), ("alice", [0xaa; 32]));
    let basic = auth.basic.as_ref().unwrap();
    assert_eq!(basic.realm, "Back office");
    assert!(matches!(basic.users[0].password, PasswordHash::Bcrypt(_)));
    assert!(matches!(&basic.users[1].password, PasswordHash::Plain(p) if p.reveal() == "hunter2"));
    assert_eq!(basic.file.as_ref().unwrap().path, Path::new("tests/fixtures/valid/./htpasswd"));
    let forward = auth.forward.as_ref().unwrap();
    let authz = UpstreamAddress::Host { host: "authz".to_owned(), port: 80 };
    assert_eq!((&forward.upstream.address, forward.path.as_str()), (&authz, "/check"));
    assert_eq!(forward.timeout, Duration::from_secs(1));
    assert_eq!(forward.request_headers.as_deref(), Some(&["cookie".parse().unwrap()][..]));
}

#[test]
fn services_inherit_it_and_may_do_without() {
    let config = fixture();
    let jwt = of(&config, "orders").jwt.as_ref().unwrap();
    assert!(matches!(jwt.keys, Jwks::File(_)));
    assert!(jwt.algorithms.len() == 9 && !jwt.algorithms.iter().any(|name| name == "HS256"));
    assert_eq!((jwt.leeway, jwt.strip), (Duration::from_secs(30), false));
    assert_eq!(config.service("open").unwrap().policies.auth, Setting::Off);
    assert_eq!(config.service("db").unwrap().policies.auth, Setting::Inherited);
    let asked = of(&config, "asked").forward.as_ref().unwrap();
    assert_eq!((asked.path.as_str(), asked.timeout), ("/", Duration::from_secs(2)));
    let secret = config.routes[0].policies.auth.get().unwrap().jwt.as_ref().unwrap();
    assert_eq!(secret.algorithms, ["HS256", "HS384", "HS512"]);
    assert_eq!(config.routes[1].policies.auth, Setting::Off);
}

#[test]
fn its_files_are_watched() {
    let config = fixture();
    let names: Vec<_> = config.pem_files().map(|file| file.path.file_name().unwrap()).collect();
    assert_eq!(names, ["htpasswd", "keys.json"]);
}

#[test]
fn neither_dump_nor_debug_shows_what_lets_in() {
    let config = fixture();
    let text = format!("{} {config:?}", dump(&config));
    for secret in ["hunter2", "aaaaaaaa", "abcdefghijklm"] {
        assert!(!text.contains(secret), "{secret} is shown");
    }
    let json = dump(&config);
    let auth = &json["services"]["users"]["auth"];
    assert_eq!(auth["basic"]["users"], serde_json::json!(["bob", "carol"]));
    assert_eq!(auth["jwt"]["keys"]["jwks"], "https://id.example.com/keys?***");
    assert_eq!(auth["forward"]["url"], "http://authz/check");
    assert_eq!(json["services"]["open"]["auth"], "none");
    assert_eq!(json["routes"][0]["auth"]["jwt"]["keys"]["secret"], "***");
}

#[test]
fn no_report_repeats_a_secret() {
    for name in ["auth", "secrets"] {
        let path = format!("tests/fixtures/invalid/{name}.yaml");
        let loaded = load(Path::new(&path), &super::env);
        let report = loaded.report.render(&loaded.sources);
        assert!(!report.contains("hunter"), "{report}");
        let lines = loaded.report.sorted().iter().all(|problem| problem.place.line > 0);
        assert!(lines, "{report}");
    }
}
