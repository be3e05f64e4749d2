//! The command line: exit codes, what goes to which stream, and what other programs read of it.

use serde_json::{Value, json};
use std::net::TcpListener;
use stitch_kit::http;
use stitch_kit::{Exit, Output, Scratch, Signal, Stitch, Upstream};

const MISTAKES: &str = include_str!("../../config/tests/fixtures/invalid/ten-mistakes.yaml");
const ONE: &str = "services: { shop: { endpoints: [{ path: /a, response: one }] } }";

/// `stitch ARGS…` in a folder that holds these files.
fn stitch(files: &[(&str, &str)], args: &[&str]) -> Output {
    let scratch = Scratch::new();
    for (name, text) in files {
        scratch.write(name, text);
    }
    Stitch::run(args).cwd(scratch.path()).output()
}

#[test]
fn ten_mistakes_are_ten_reports_and_exit_code_1() {
    let output = stitch(&[("stitch.yaml", MISTAKES)], &["check"]);
    assert_eq!(output.code(), 1);
    assert_eq!(output.stdout, "");
    let errors: Vec<&str> =
        output.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 10, "{}", output.stderr);
    for line in [2, 3, 6, 8, 9, 10, 12, 14, 15, 16] {
        let place = format!("--> stitch.yaml:{line}:");
        assert!(output.stderr.contains(&place), "nothing about line {line}:\n{}", output.stderr);
    }
    assert!(output.stderr.trim_end().ends_with("stitch.yaml: 10 errors"), "{}", output.stderr);
    assert!(!output.stderr.contains('\u{1b}'), "colours, and no terminal");
}

#[test]
fn mistakes_as_json_are_one_object_per_line() {
    let output = stitch(&[("stitch.yaml", MISTAKES)], &["check", "--format", "json"]);
    assert_eq!(output.code(), 1);
    let problems: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(problems.len(), 10, "{}", output.stdout);
    for problem in &problems {
        assert_eq!((&problem["file"], &problem["level"]), (&json!("stitch.yaml"), &json!("error")));
        assert!(problem["line"].as_u64() > Some(0) && problem["column"].as_u64() > Some(0));
        assert!(problem["message"].is_string() && problem["path"].is_string(), "{problem}");
    }
    assert_eq!(problems[1]["hint"], "did you mean \"services\"?");
}

#[test]
fn up_on_a_file_with_mistakes_binds_nothing_and_says_all_of_them() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    // The address is taken, and nobody finds out.
    let output = stitch(&[("stitch.yaml", MISTAKES)], &["up", "--listen", &address]);
    assert_eq!((output.code(), output.stdout.as_str()), (1, ""), "{}", output.stderr);
    assert_eq!(output.stderr.matches("error: ").count(), 10, "{}", output.stderr);
    for command in [&["mockd"][..], &["proxy", "--mockd", "http://127.0.0.1:1"], &["compose"]] {
        let output = stitch(&[("stitch.yaml", MISTAKES)], command);
        assert_eq!(output.code(), 1, "{command:?}: {}", output.stderr);
    }
}

#[test]
fn a_good_file_is_ok_in_one_line() {
    let output = stitch(&[("stitch.yaml", ONE)], &["check"]).success();
    assert_eq!(output.stdout, "stitch.yaml: ok (1 service, 0 routes)\n");
    assert_eq!(output.stderr, "");
}

#[test]
fn command_lines_that_make_no_sense_are_exit_code_2() {
    let lines: [&[&str]; 12] = [
        &[],
        &["serve"],
        &["up", "--no-such-option"],
        &["up", "--listen", "nowhere"],
        &["up", "--rebuild"],
        &["check", "a.yaml", "b.yaml"],
        &["explain", "stitch.yaml", "GET"],
        &["run"],
        &["proxy"],
        &["proxy", "--mockd", "ftp://x"],
        &["wait", "--timeout", "5"],
        &["env", "--as", "Not A Name"],
    ];
    for line in lines {
        let output = stitch(&[("stitch.yaml", ONE)], line);
        assert_eq!(output.code(), 2, "{line:?}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{line:?}");
        assert!(!output.stderr.is_empty(), "{line:?} says nothing");
    }
    for help in [&["--help"][..], &["help", "up"], &["run", "--help"], &["--version"]] {
        assert!(!stitch(&[], help).success().stdout.is_empty(), "{help:?}");
    }
}

#[test]
fn files_have_default_names_and_a_missing_one_is_usage() {
    let services = ("services.yaml", "services: {}");
    let check = |files: &[(&str, &str)]| stitch(files, &["check"]);
    assert!(check(&[services, ("stitch.yaml", ONE)]).success().stdout.starts_with("stitch.yaml:"));
    assert!(check(&[services]).success().stdout.starts_with("services.yaml:"));
    let none = check(&[]);
    assert_eq!(none.code(), 2);
    for name in ["stitch.yaml", "services.yaml"] {
        assert!(none.stderr.contains(name), "{}", none.stderr);
    }
    let named = stitch(&[services], &["check", "other.yaml"]);
    assert!([1, 2].contains(&named.code()), "{}", named.stderr);
    assert!(named.stderr.contains("other.yaml"), "{}", named.stderr);
}

#[test]
fn a_port_in_use_is_exit_code_3_and_says_for_what_and_by_whom() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port();
    let holder = format!("(pid {})", std::process::id());
    let service = format!("services: {{ shop: {{ port: {port}, endpoints: [{{ path: /a }}] }} }}");
    let taken = address.to_string();
    let cases: [(&str, &[&str], &str); 4] = [
        (
            &service,
            &["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
            "service \"shop\"",
        ),
        (ONE, &["up", "--listen", &taken, "--admin", "127.0.0.1:0"], "the proxy"),
        (ONE, &["up", "--listen", "127.0.0.1:0", "--admin", &taken], "the admin API"),
        (ONE, &["mockd", "--listen", &taken], "the mock daemon"),
    ];
    for (yaml, args, whom) in cases {
        let output = stitch(&[("stitch.yaml", yaml)], args);
        assert_eq!(output.code(), 3, "{args:?}: {}", output.stderr);
        for part in [whom, &taken, &holder] {
            assert!(output.stderr.contains(part), "no {part} in: {}", output.stderr);
        }
        assert_eq!(output.stdout, "", "{args:?}");
    }
}

#[test]
fn the_ready_line_says_where_everything_listens() {
    let upstream = Upstream::echo();
    let stitch = Stitch::builder()
        .yaml(&format!(
            "seed: 42\nproxy: {{ listen: ['127.0.0.1:0', '127.0.0.1:0'], admin: '127.0.0.1:0' }}\n\
             services:\n  users: {{ url: '{url}' }}\n  both: {{ url: '{url}', endpoints: \
             [{{ path: /a }}], port: 0 }}\n  shop: {{ port: 0, endpoints: [{{ path: /a }}] }}\n  \
             nats: {{ type: infra, image: 'nats:2' }}\n",
            url = upstream.url()
        ))
        .args(["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"])
        .start();
    let lines = stitch.stdout_lines();
    assert_eq!(lines.len(), 1, "one line, and nothing else: {lines:?}");
    let ready: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&ready["event"], &ready["seed"]), (&json!("ready"), &json!(42)));
    assert_eq!(ready["also"].as_array().unwrap().len(), 1);
    let services = ready["services"].as_array().unwrap();
    let kinds: Vec<_> = services.iter().map(|it| (&it["name"], &it["kind"])).collect();
    let expected = [("users", "real"), ("both", "mixed"), ("shop", "mock"), ("nats", "infra")];
    assert_eq!(json!(kinds), json!(expected));
    assert!(services[3]["urls"].as_array().unwrap().is_empty());
    // Port 0 became a port, and every port answers.
    for name in ["both", "shop"] {
        assert_ne!(stitch.service(name).port(), 0);
        assert_eq!(http::get(stitch.service(name), "/a", &[]).status, 200);
    }
    let second = ready["also"][0].as_str().unwrap().strip_prefix("http://").unwrap();
    for address in [stitch.proxy(), second.parse().unwrap()] {
        assert_eq!(http::get(address, "/a", &[("host", "shop")]).status, 200);
    }
    assert_eq!(http::get(stitch.admin(), "/health/ready", &[]).status, 200);
}

#[test]
fn people_see_a_table_and_a_ready_line() {
    let scratch = Scratch::new();
    scratch.write("services.yaml", ONE);
    let stitch = Stitch::run(&["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .cwd(scratch.path())
        .spawn();
    let ready = stitch.pick_stdout(|line| line.starts_with("ready ").then(|| line.to_owned()));
    assert!(
        ready.contains("proxy http://127.0.0.1:") && ready.contains("admin http://"),
        "{ready}"
    );
    let table = stitch.stdout();
    assert!(
        table.starts_with("SERVICE  KIND  MODE  URL\nshop     mock  mock  http://shop."),
        "{table}"
    );
    stitch.signal(Signal::TERM);
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
}

#[test]
fn explain_says_what_a_request_would_meet() {
    let yaml = "services:\n  users: { url: 'http://localhost:1', endpoints: [{ path: /me }] }\n\
                routes: [{ match: /api/users/**, to: users, rewrite: /** }]\n";
    let files = [("stitch.yaml", yaml)];
    let explain = |url: &str| {
        stitch(&files, &["explain", "stitch.yaml", "GET", url, "-H", "x-a: 1"]).success().stdout
    };
    let by_host = explain("http://users/me");
    for part in ["declared host", "users", "mock-then-real", "users GET /me"] {
        assert!(by_host.contains(part), "no {part} in {by_host}");
    }
    let by_route = explain("/api/users/me");
    assert!(by_route.contains("route") && by_route.contains("users GET /me"), "{by_route}");
    assert!(explain("http://users/other").contains("localhost:1\n"));
    let elsewhere = explain("http://elsewhere.example/");
    assert!(elsewhere.contains("loopback, private, public"), "{elsewhere}");
    assert!(explain("/nothing").contains("none"), "{}", explain("/nothing"));
}

#[test]
fn explain_says_what_becomes_of_tls_and_what_is_spoken() {
    let yaml = |intercept: bool| {
        format!(
            "proxy: {{ forward: {{ intercept_tls: {intercept} }} }}\nservices:\n  \
             api: {{ url: 'https://api.example.com/v1', tls: {{ ca: ca.crt }}, endpoints: [{{ path: /me }}] }}\n  \
             grpc: {{ url: 'h2c://localhost:50051' }}\n  \
             db: {{ type: tcp, url: 'tls://db.example.com:5432', port: 15432 }}\n"
        )
    };
    let explain = |intercept: bool, args: &[&str]| {
        let args = [&["explain", "stitch.yaml", "GET"], args].concat();
        stitch(&[("stitch.yaml", &yaml(intercept))], &args).success().stdout
    };
    let has = |text: &str, parts: &[&str]| {
        for part in parts {
            assert!(text.contains(part), "no {part} in {text}");
        }
    };
    let looked = explain(true, &["https://api.example.com/me"]);
    let verified = "https://api.example.com/v1 (HTTP/2 or HTTP/1.1 over TLS, verified as \
                    api.example.com by ";
    has(&looked, &["looked into", verified, "ca.crt)\n", "mock-then-real", "api GET /me"]);
    let passed = explain(false, &["https://api.example.com/me"]);
    let real = "real       https://api.example.com/v1\n";
    has(&passed, &["passed on unread: to https://api.example.com/v1", "intercept_tls", real]);
    assert!(!passed.contains("mock-then-real") && !passed.contains("GET /me"), "{passed}");
    let elsewhere = explain(true, &["https://elsewhere.example/"]);
    has(&elsewhere, &["passed on unread: to elsewhere.example:443, which nothing declares"]);
    has(&explain(false, &["http://grpc/a.B/C"]), &["h2c://localhost:50051 (HTTP/2 without TLS)"]);
    let bytes = explain(false, &["https://db/"]);
    has(&bytes, &["type tcp", "tls://db.example.com:5432 (any bytes inside TLS", "idle 5m"]);

    let json = |intercept, url| -> Value {
        serde_json::from_str(&explain(intercept, &[url, "--format", "json"])).unwrap()
    };
    let told = json(false, "https://api.example.com/me");
    assert_eq!((&told["client"]["tls"], &told["mocks"]), (&json!("passed_on"), &json!([])));
    let upstream = &told["upstreams"][0];
    assert_eq!((&upstream["service"], &upstream["tls"]["verified"]), (&json!("api"), &json!(true)));
    assert_eq!(json(true, "https://api.example.com/me")["client"]["tls"], "looked_into");
    let told = json(true, "http://localhost:15432/");
    assert_eq!((&told["client"], &told["services"][0]["service"]), (&Value::Null, &json!("db")));
}

#[test]
fn the_schema_is_json_and_knows_every_key_of_the_file() {
    let schema: Value = serde_json::from_str(&stitch(&[], &["schema"]).success().stdout).unwrap();
    let text = schema.to_string();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"));
    for key in ["services", "routes", "nats_subscribe", "failure_rate", "preserve_host"] {
        assert!(text.contains(&format!("\"{key}\"")), "no {key} in the schema");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(stitch(&[], &["version"]).success().stdout, format!("stitch {version}\n"));
    let json: Value =
        serde_json::from_str(&stitch(&[], &["version", "--format", "json"]).success().stdout)
            .unwrap();
    assert_eq!(json, json!({ "name": "stitch", "version": version }));
}

#[test]
fn what_env_prints_sets_a_shell_and_unset_takes_it_back() {
    let yaml = "proxy: { listen: '0.0.0.0:18080', forward: { allow: loopback } }\nservices: {}";
    let scratch = Scratch::new();
    scratch.write("stitch.yaml", yaml);
    let printed = |args: &[&str]| Stitch::run(args).cwd(scratch.path()).output().success().stdout;
    let set = printed(&["env", "--as", "web"]);
    let unset = printed(&["env", "--unset"]);
    let script = format!(
        "NO_PROXY=localhost\n{set}echo \"$HTTP_PROXY|$https_proxy|[$NO_PROXY]\"\n{unset}\
         echo \"[${{HTTP_PROXY-gone}}${{no_proxy-gone}}]\"\n"
    );
    let output = stitch_kit::Run::tool("sh").args(["-c", &script]).output().success();
    assert_eq!(
        output.stdout,
        "http://web@127.0.0.1:18080|http://web@127.0.0.1:18080|[]\n[gonegone]\n"
    );
    assert!(printed(&["env", "--shell", "fish"]).contains("set -gx HTTP_PROXY"));
    assert!(printed(&["env", "--shell", "powershell"]).contains("$env:HTTP_PROXY"));
}

#[test]
fn run_passes_calls_through_the_proxy_and_the_exit_code_back() {
    let running = Stitch::up(ONE);
    let proxy = running.proxy_url();
    let run = |command: &[&str]| {
        let args = [&["run", "--proxy", &proxy, "--as", "web", "--"], command].concat();
        Stitch::run(&args).output()
    };
    let output = run(&["curl", "-q", "-s", "http://shop/a"]).success();
    assert_eq!(output.stdout, "one");
    assert_eq!(run(&["sh", "-c", "exit 7"]).code(), 7);
    assert_eq!(run(&["sh", "-c", "kill -9 $$"]).code(), 128 + 9);
    assert_eq!(run(&["no-such-program"]).code(), 127);
    assert_eq!(run(&["/"]).code(), 126);
}

#[test]
fn run_sets_each_spelling_and_overrides_what_was_inherited() {
    let proxied =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let excepted = ["NO_PROXY", "no_proxy"];
    let args = ["run", "--proxy", "http://127.0.0.1:9", "--as", "web", "--", "env"];
    let inherited = proxied.iter().chain(&excepted);
    let run = inherited.fold(Stitch::run(&args), |run, name| run.env(name, "localhost"));
    let output = run.output().success().stdout;
    let value =
        |name: &str| output.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    for name in proxied {
        assert_eq!(value(name), Some("http://web@127.0.0.1:9"), "{name}");
    }
    for name in excepted {
        // Set to nothing: services on localhost are proxied too.
        assert_eq!(value(name), Some(""), "{name}");
    }
}

#[test]
fn signals_to_run_reach_its_program() {
    let running = Stitch::up(ONE);
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::HUP, "HUP")] {
        let script = format!(
            "trap 'echo caught; exit 5' {name}; echo started; while :; do sleep 0.01; done"
        );
        let args = ["run", "--proxy", &running.proxy_url(), "--", "sh", "-c", &script];
        let run = Stitch::run(&args).spawn();
        run.pick_stdout(|line| (line == "started").then_some(()));
        run.signal(signal);
        assert_eq!(run.wait_exit(), Exit::Code(5), "{name}");
        assert!(run.stdout().contains("caught"));
    }
}

#[test]
fn wait_and_health_ask_a_running_stitch() {
    let running = Stitch::up(ONE);
    let admin = format!("http://{}", running.admin());
    // Proxy variables point elsewhere, and are ignored.
    let ask = |args: &[&str], admin: &str| {
        let args = [args, &["--admin", admin]].concat();
        Stitch::run(&args).env("http_proxy", "http://127.0.0.1:1").output()
    };
    assert_eq!(ask(&["wait"], &admin).code(), 0);
    assert_eq!(ask(&["wait", "--service", "shop"], &admin).code(), 0);
    assert_eq!(ask(&["health"], &admin).code(), 0);
    assert_eq!(ask(&["health", "--live"], &admin).code(), 0);
    let by_variable = Stitch::run(&["health"]).env("STITCH_ADMIN", &admin).output();
    assert_eq!(by_variable.code(), 0, "{}", by_variable.stderr);
    drop(running);
    let gone = ask(&["health"], &admin);
    assert_eq!(gone.code(), 4, "{}", gone.stderr);
    let gave_up = ask(&["wait", "--timeout", "200ms"], &admin);
    assert_eq!(gave_up.code(), 4);
    let address = admin.strip_prefix("http://").unwrap();
    assert!(gave_up.stderr.contains(address), "{}", gave_up.stderr);
}

#[test]
fn wait_says_which_service_is_missing() {
    let running = Stitch::up(ONE);
    let admin = format!("http://{}", running.admin());
    // Runs, and never answers.
    running.rewrite(
        "services:\n  shop: { endpoints: [{ path: /a }] }\n  \
         web: { url: 'http://127.0.0.1:1', command: sleep 600 }\n",
    );
    running.wait_for_stdout(|line| line["event"] == "reloaded");
    let wait = |more: &[&str]| {
        let args = [&["wait", "--timeout", "300ms", "--admin", &admin], more].concat();
        Stitch::run(&args).output()
    };
    let output = wait(&[]);
    assert_eq!(output.code(), 4, "{}", output.stderr);
    assert!(output.stderr.contains("web"), "{}", output.stderr);
    assert_eq!(wait(&["--service", "shop"]).code(), 0);
    assert_eq!(wait(&["--service", "web"]).code(), 4);
}

#[test]
fn compose_prints_a_file_for_compose() {
    let output = stitch(&[("stitch.yaml", ONE)], &["compose", "--stdout"]).success();
    assert!(
        output.stdout.contains("services:") && output.stdout.contains("shop"),
        "{}",
        output.stdout
    );
}
