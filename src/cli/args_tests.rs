//! What the command line accepts.

use super::*;
use clap::CommandFactory as _;

fn parse(line: &str) -> Result<Command, String> {
    let words = std::iter::once("stitch").chain(line.split_whitespace());
    Cli::try_parse_from(words).map(|cli| cli.command).map_err(|error| error.to_string())
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn everything_after_the_dashes_is_the_program() {
    let Ok(Command::Run(run)) = parse("run shop.yaml --as web -- curl --proxy x -- y") else {
        panic!("run");
    };
    assert_eq!(run.file.file.unwrap().to_str(), Some("shop.yaml"));
    assert_eq!(run.proxy.name.as_deref(), Some("web"));
    assert_eq!(run.command, ["curl", "--proxy", "x", "--", "y"]);

    let Ok(Command::Run(run)) = parse("run -- env") else { panic!("run") };
    assert_eq!(run.file.file, None);
    assert!(parse("run curl").is_err());
    assert!(parse("run --proxy http://h:1 a.yaml -- env").unwrap_err().contains("cannot be used"));
}

#[test]
fn up_takes_overrides() {
    let line = "up a.yaml --format json --listen 127.0.0.1:0 --listen unix:/run/s --admin 0.0.0.0:1 \
                --events in-process --forward-allow none --trust loopback,private --url a=http://b:1";
    let Ok(Command::Up(up)) = parse(line) else { panic!("up") };
    assert_eq!(up.format.format, Format::Json);
    let overrides = Overrides::from(up.overrides);
    let words = line.split_whitespace().skip(4).map(str::to_owned);
    assert_eq!(overrides.to_args(), words.collect::<Vec<_>>());
    assert!(parse("up --trust ,").unwrap_err().contains("--trust"));
    assert!(parse("up --rebuild").is_err());
    assert!(parse("up --compose --rebuild").is_ok());
    for bad in ["8080", "unix:", "localhost:1"] {
        assert!(parse(&format!("up --listen {bad}")).unwrap_err().contains(bad));
    }
}

#[test]
fn the_daemons_apart_take_their_addresses() {
    let Ok(Command::Proxy(proxy)) = parse("proxy a.yaml --mockd http://127.0.0.1:9000") else {
        panic!("proxy");
    };
    assert_eq!(proxy.mockd.authority(), "127.0.0.1:9000");
    assert!(parse("proxy a.yaml").unwrap_err().contains("--mockd"));
    let line = "mockd a.yaml --listen 127.0.0.1:0 --no-ports --format json";
    let Ok(Command::Mockd(mockd)) = parse(line) else { panic!("mockd") };
    assert!(mockd.no_ports && mockd.listen.port() == 0);
}

#[test]
fn a_request_can_be_described() {
    let line = "explain a.yaml GET http://users/1 -H x-a:1 -H x-b:2 --format json";
    let Ok(Command::Explain(explain)) = parse(line) else { panic!("explain") };
    assert_eq!(explain.method, http::Method::GET);
    assert_eq!(explain.url.host(), Some("users"));
    assert_eq!(explain.headers.len(), 2);
    assert!(parse("explain a.yaml GET").is_err());
}

#[test]
fn waiting_has_a_limit() {
    let Ok(Command::Wait(wait)) = parse("wait --service a --service b") else { panic!("wait") };
    assert_eq!((wait.timeout, wait.services.len()), (Duration::from_secs(30), 2));
    assert!(parse("wait --timeout soon").unwrap_err().contains("\"soon\""));
    assert!(parse("wait a.yaml --admin http://h:1").is_err());
    assert!(matches!(parse("health --live"), Ok(Command::Health(HealthArgs { live: true, .. }))));
}

#[test]
fn the_compose_file_is_written_unless_it_is_to_be_printed() {
    let Ok(Command::Compose(compose)) = parse("compose a.yaml") else { panic!("compose") };
    assert!(!compose.stdout && compose.file.file.is_some());
    let Ok(Command::Compose(compose)) = parse("compose --stdout") else { panic!("--stdout") };
    assert!(compose.stdout && compose.file.file.is_none());
}

#[test]
fn the_ca_is_shown_in_one_way_at_a_time() {
    let ca = |line: &str| match parse(line) {
        Ok(Command::Ca(ca)) => ca.command,
        other => panic!("{line}: {other:?}"),
    };
    assert!(matches!(ca("ca path"), CaCommand::Path));
    assert!(matches!(ca("ca fingerprint"), CaCommand::Fingerprint));
    let CaCommand::Export(export) = ca("ca export --bundle --out a.pem") else { panic!("export") };
    assert!(export.bundle && export.out.is_some());
    for bad in ["ca", "ca path --out a", "ca export --out", "ca trust"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

/// Every command, and every option that is not hidden, is in docs/commands.md.
#[test]
fn the_page_about_commands_knows_all_of_them() {
    let page = include_str!("../../docs/commands.md");
    let mut cli = Cli::command();
    cli.build();
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        page_knows(page, command, &format!("stitch {}", command.get_name()));
    }
}

fn page_knows(page: &str, command: &clap::Command, name: &str) {
    // All but the first of several stand without the program's name.
    let last = format!("`{}`", command.get_name());
    assert!(page.contains(name) || page.contains(&last), "nothing about {name}");
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let long = argument.get_long().filter(|long| !["help", "version"].contains(long));
        let known = long.is_none_or(|long| page.contains(&format!("--{long}")));
        assert!(known, "nothing about {:?} of {name}", argument.get_long());
    }
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        page_knows(page, inner, &format!("{name} {}", inner.get_name()));
    }
}
