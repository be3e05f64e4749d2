//! The whole file once, then each part that has a choice in it.

use super::super::testing::{bytes, command, config, infra, mock, real};
use super::*;
use std::path::PathBuf;
use std::sync::Arc;
use stitch_config::data::Text;
use stitch_config::model::{
    Certificate, PemFile, Policies, Route, RouteMatch, Scheme, Secret, ServerTls, Target,
    TimeoutOverrides,
};
use stitch_config::pattern::PathPattern;
use stitch_config::place::Place;

fn options() -> Options {
    Options {
        image: "servicestitch/stitch:latest".to_owned(),
        base: ".".to_owned(),
        file: "stitch.yaml".to_owned(),
        variables: Vec::new(),
        outside: Vec::new(),
        user: None,
        fingerprint: 0xabc,
    }
}

fn text(text: &str) -> Data {
    Data::Text(Text { text: text.to_owned(), place: Place::default() })
}

fn map(entries: &[(&str, Data)]) -> Data {
    Data::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

/// The lines of one container's entry.
fn entry(yaml: &str, name: &str) -> String {
    let start = format!("  {name}:\n");
    let lines = yaml.split_inclusive('\n').skip_while(|line| *line != start).skip(1);
    lines.take_while(|line| line.starts_with("    ")).collect()
}

#[test]
fn the_older_form_becomes_a_broker_and_one_container() {
    let config = config(vec![
        infra("nats", "nats:2.10-alpine", &["4222:4222", "8222:8222"]),
        mock("auth", Some(8001), vec![]),
        mock("payments", Some(8002), vec![]),
    ]);
    let generated = generate(&config, &options());
    assert_eq!(generated.yaml, include_str!("expected.yml"));
    let published: Vec<_> =
        generated.published.iter().map(|(name, url)| format!("{name} {url}")).collect();
    assert_eq!(
        published,
        [
            "stitch http://127.0.0.1:8080",
            "auth http://127.0.0.1:8001",
            "payments http://127.0.0.1:8002"
        ]
    );
    assert!(generated.warnings.is_empty());
}

#[test]
fn real_services_run_behind_their_names() {
    let mut users = real("users", &[("localhost", 8000)]);
    users.build = Some(text("./users"));
    users.env = vec![("PORT".to_owned(), "8000".to_owned())];
    users.command = command(true);
    users.depends_on = vec!["db".into(), "orders".into(), "payments".into()];
    let mut orders = real("orders", &[("localhost", 8100)]);
    orders.image = Some("acme/orders:1".to_owned());
    let db = infra("db", "postgres:16", &[]);
    let config = config(vec![users, orders, db, mock("payments", None, vec![])]);
    let yaml = generate(&config, &options()).yaml;
    assert_eq!(
        entry(&yaml, "users-real"),
        r#"    build: "./users"
    environment:
      PORT: "8000"
      HTTP_PROXY: "http://users@stitch:8080"
      http_proxy: "http://users@stitch:8080"
      HTTPS_PROXY: "http://users@stitch:8080"
      https_proxy: "http://users@stitch:8080"
    depends_on:
      stitch:
        condition: "service_started"
      db:
        condition: "service_started"
      orders-real:
        condition: "service_started"
"#
    );
    assert_eq!(
        entry(&yaml, "orders-real"),
        "    image: \"acme/orders:1\"\n    depends_on:\n      stitch:\n        condition: \"service_started\"\n"
    );
    let stitch = entry(&yaml, "stitch");
    assert!(stitch.contains("      - \"users=http://users-real:8000\"\n"), "{stitch}");
    assert!(!stitch.contains("extra_hosts"), "{stitch}");
}

#[test]
fn infrastructure_is_passed_through_literally() {
    let mut db = infra("db", "postgres:16", &["5432:5432"]);
    db.volumes = vec!["data:/var/lib/postgresql/data".to_owned(), "./init:/init:ro".to_owned()];
    db.environment = Some(map(&[
        ("PASSWORD", text("a$b")),
        ("DEBUG", Data::Bool(true)),
        ("SIZE", Data::Number(3.into())),
        ("FROM_SHELL", Data::Null),
    ]));
    db.depends_on = vec!["cache".into(), "web".into()];
    let mut cache = infra("cache", "redis", &[]);
    cache.environment = Some(Data::List(vec![text("A=b=c"), text("HOME"), Data::Null]));
    let config = config(vec![db, cache, mock("web", None, vec![])]);
    let yaml = generate(&config, &options()).yaml;
    assert_eq!(
        entry(&yaml, "db"),
        r#"    image: "postgres:16"
    ports:
      - "5432:5432"
    environment:
      PASSWORD: "a$$b"
      DEBUG: "true"
      SIZE: "3"
      FROM_SHELL: null
    volumes:
      - "data:/var/lib/postgresql/data"
      - "./init:/init:ro"
    depends_on:
      cache:
        condition: "service_started"
"#
    );
    assert!(entry(&yaml, "cache").contains("      A: \"b=c\"\n      HOME: null\n"), "{yaml}");
    assert!(yaml.ends_with("volumes:\n  data: {}\n"), "{yaml}");
}

#[test]
fn paths_are_found_from_where_the_compose_file_stands() {
    let mut db = infra("db", "postgres", &[]);
    db.volumes = ["./init:/init", "../up:/up", ".:/here", "/abs:/abs", "~/x:/x", "name:/n"]
        .map(str::to_owned)
        .to_vec();
    let mut users = real("users", &[("localhost", 8000)]);
    users.build = Some(map(&[("context", text("users")), ("dockerfile", text("Dev"))]));
    let mut far = real("far", &[("localhost", 8001)]);
    far.build = Some(text("https://example.com/far.git"));
    let options = Options { base: "/srv/$x".to_owned(), ..options() };
    let yaml = generate(&config(vec![db, users, far]), &options).yaml;
    for expected in [
        "- \"/srv/$$x/init:/init\"",
        "- \"/srv/$$x/../up:/up\"",
        "- \"/srv/$$x:/here\"",
        "- \"/abs:/abs\"",
        "- \"~/x:/x\"",
        "- \"name:/n\"",
        "context: \"/srv/$$x/users\"",
        "dockerfile: \"Dev\"",
        "build: \"https://example.com/far.git\"",
        "source: \"/srv/$$x\"",
    ] {
        assert!(yaml.contains(expected), "{expected} in\n{yaml}");
    }
}

#[test]
fn what_the_file_reads_from_the_environment_goes_along_by_name() {
    let options = Options {
        variables: vec!["CURRENCY".to_owned()],
        user: Some("1000:1000".to_owned()),
        ..options()
    };
    let stitch = entry(&generate(&config(vec![]), &options).yaml, "stitch");
    assert!(stitch.contains("      CURRENCY: null\n"), "{stitch}");
    assert!(stitch.contains("    user: \"1000:1000\"\n"), "{stitch}");
}

#[test]
fn admin_is_published_only_with_a_token() {
    let mut config = config(vec![]);
    let with = |config: &Config| entry(&generate(config, &options()).yaml, "stitch");
    assert!(!with(&config).contains("9900:9900"));
    config.proxy.admin.token = Some(Secret::new("s3cret"));
    let stitch = with(&config);
    assert!(stitch.contains("- \"127.0.0.1:9900:9900\""), "{stitch}");
    assert!(stitch.contains("- \"0.0.0.0:9900\""), "{stitch}");
    assert!(!stitch.contains("s3cret"), "{stitch}");
}

#[test]
fn ports_that_cannot_be_published_are_told() {
    let config = config(vec![
        infra("web", "nginx", &["8080:80"]),
        mock("free", Some(0), vec![]),
        mock("fixed", Some(8002), vec![]),
    ]);
    let generated = generate(&config, &options());
    assert_eq!(generated.published, [("fixed".to_owned(), "http://127.0.0.1:8002".to_owned())]);
    assert_eq!(generated.warnings.len(), 2, "{:?}", generated.warnings);
    assert!(generated.warnings[0].contains("port 8080 of this machine is web's already"));
    assert!(generated.warnings[1].contains("use http://free:8080"), "{:?}", generated.warnings);
    assert!(generated.yaml.contains("\n# warning: free: "), "{}", generated.yaml);
}

#[test]
fn a_database_of_bytes_stands_behind_its_own_port() {
    let mut db = bytes("db", Scheme::Tcp, "localhost", 5432);
    db.image = Some("postgres:16".to_owned());
    db.port = Some(15432);
    let free = Service { port: Some(0), ..bytes("free", Scheme::Tcp, "far", 1) };
    let config = config(vec![db, free]);
    let generated = generate(&config, &options());
    let published = ("db".to_owned(), "tcp://127.0.0.1:15432".to_owned());
    assert!(generated.published.contains(&published), "{:?}", generated.published);
    assert!(entry(&generated.yaml, "db-real").contains("postgres:16"), "{}", generated.yaml);
    assert!(entry(&generated.yaml, "stitch").contains("127.0.0.1:15432:15432"));
    assert_eq!(aliases(&config), ["db", "free"]);
    assert!(generated.warnings[0].ends_with("give it one"), "{:?}", generated.warnings);
}

#[test]
fn tls_is_in_the_urls_and_a_ca_has_a_place_inside() {
    let mut config = config(vec![mock("payments", Some(8002), vec![])]);
    let file = |path: &str| PemFile { path: path.into(), place: Place::default() };
    let certificate = Certificate { cert: file("a.crt"), key: file("a.key") };
    config.proxy.tls = Some(ServerTls { certificates: vec![certificate], client_ca: None });
    config.proxy.forward.intercept_tls = true;
    let generated = generate(&config, &options());
    let urls: Vec<_> = generated.published.iter().map(|(_, url)| url.as_str()).collect();
    assert_eq!(urls, ["https://127.0.0.1:8080", "https://127.0.0.1:8002"]);
    let stitch = entry(&generated.yaml, "stitch");
    assert!(stitch.contains("STITCH_CA_DIR: \"/tmp/stitch-ca\""), "{stitch}");
    assert!(stitch.contains("STITCH_ADMIN: \"http://"), "{stitch}");
    assert!(generated.warnings[0].contains("stitch ca export"), "{:?}", generated.warnings);
}

#[test]
fn files_that_the_container_cannot_use_are_told() {
    let mut config = config(vec![]);
    config.proxy.access_log.to = AccessLogTarget::File(PathBuf::from("access.log"));
    let outside = vec![PathBuf::from("../shared\n/more.yaml")];
    let generated = generate(&config, &Options { outside, ..options() });
    assert!(generated.warnings[0].contains("outside the directory of stitch.yaml"));
    assert!(generated.warnings[1].contains("access_log goes to access.log"));
    assert!(generated.yaml.contains("# warning: ../shared /more.yaml lies"), "{}", generated.yaml);
}

#[test]
fn names_of_the_network_are_services_and_hosts_that_are_not_local() {
    let host = |host: &str| HostPattern { host: host.to_owned(), port: None };
    let mut users = real("users", &[("api.example.com", 80)]);
    users.hosts =
        ["users", "users.localhost", "users.test", "api.example.com", "*.test", "10.0.0.1", "db"]
            .map(host)
            .to_vec();
    let mut config = config(vec![users, infra("db", "postgres", &[])]);
    let services = RouteAction::Services {
        targets: vec![Target { service: "users".into(), weight: 1 }],
        rewrite: None,
        sticky: None,
    };
    for (name, action) in [("shop.test", services), ("admin.test", RouteAction::Stitch)] {
        config.routes.push(Arc::new(Route {
            id: name.into(),
            place: Place::default(),
            matches: RouteMatch {
                path: PathPattern::parse("/**").unwrap(),
                hosts: vec![host(name), host("shop.localhost"), host("stitch")],
                methods: Vec::new(),
                headers: Vec::new(),
                query: Vec::new(),
                cookies: Vec::new(),
            },
            priority: 0,
            action,
            timeout: TimeoutOverrides::default(),
            policies: Policies::default(),
        }));
    }
    assert_eq!(aliases(&config), ["users", "users.test", "shop.test"]);
}

#[test]
fn the_host_is_named_only_where_it_is_needed() {
    let stitch = entry(
        &generate(&config(vec![real("users", &[("localhost", 8000)])]), &options()).yaml,
        "stitch",
    );
    assert!(stitch.contains("extra_hosts:\n      - \"host.docker.internal:host-gateway\"\n"));
}
