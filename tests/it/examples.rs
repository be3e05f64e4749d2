//! Runs what the READMEs tell people to run, and compares what comes out with what they show.
//!
//! The convention, for README.md at the top and in the folders of examples:
//! - in a fence of ```` ```sh ````, lines that start with `$ ` are commands; the lines up to the next
//!   command are what it prints, where `…` stands for anything, and alone on a line for any lines.
//!   A command without lines below it only has to succeed;
//! - `stitch up` (or `cargo run … -- up`) stays running until the page ends;
//! - every `${NAME:-8080}` in a `stitch.yaml` gets a free port, and the page's ports follow;
//! - a command that only reads is asked again for a while: events arrive when they arrive.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stitch_kit::{Exit, Run, Running, free_port, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
/// Starts that lose a port to another process in between.
const STARTS: usize = 5;

#[test]
fn the_first_page_tells_the_truth() {
    Page::read("").follow();
}

#[test]
fn the_minimal_example_tells_the_truth() {
    Page::read("examples/minimal").follow();
}

#[test]
fn the_example_of_http_proxy_tells_the_truth() {
    Page::read("examples/http-proxy").follow();
}

#[test]
fn the_example_of_real_and_mock_tells_the_truth() {
    Page::read("examples/mixed").follow();
}

#[test]
fn the_shop_tells_the_truth() {
    Page::read("examples/shop").follow();
}

#[test]
fn the_example_of_resilience_tells_the_truth() {
    Page::read("examples/resilience").follow();
}

/// One README, its folder, and the ports that its file may be given.
struct Page {
    folder: PathBuf,
    steps: Vec<Step>,
    /// Variable and default of every port.
    ports: Vec<(String, u16)>,
}

/// A command and the lines it should print.
#[derive(Debug, PartialEq)]
struct Step {
    command: String,
    expected: Vec<String>,
}

/// Other ports than those on the page, and the programs that need no build.
struct Surroundings {
    variables: Vec<(String, String)>,
    moved: Vec<(u16, u16)>,
}

impl Page {
    fn read(folder: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join(folder);
        let text = std::fs::read_to_string(folder.join("README.md")).unwrap();
        let steps = steps(&text);
        assert!(steps.len() > 2, "{}: hardly any command", folder.display());
        // The file is beside the page, or named by the command that starts it.
        let named = steps.iter().flat_map(|step| step.command.split_whitespace());
        let named = named.filter(|word| word.ends_with(".yaml") && !word.contains(':'));
        let file = named.map(|word| folder.join(word)).find(|file| file.is_file());
        let file = file.unwrap_or_else(|| folder.join("stitch.yaml"));
        let ports = ports(&std::fs::read_to_string(&file).unwrap());
        assert!(!ports.is_empty(), "{}: no port can be moved", file.display());
        Self { folder, steps, ports }
    }

    /// Runs everything on the page.
    fn follow(&self) {
        let (first, rest) = self.steps.split_first().unwrap();
        assert!(first.starts_stitch(), "the page does not begin with `stitch up`");
        let (around, stitch) = self.start(first);
        for step in rest.iter().filter(|step| !step.is_elsewhere()) {
            assert!(!step.starts_stitch(), "the page starts a second stitch");
            self.check(step, &around, &stitch);
        }
    }

    /// Starts `stitch`, on other ports when one was taken in between.
    fn start(&self, step: &Step) -> (Surroundings, Running) {
        for _ in 0..STARTS {
            let around = Surroundings::new(&self.ports);
            let stitch = self.run(&step.command, &around).spawn();
            let ready = || stitch.stdout_lines().iter().any(|line| line.starts_with("ready "));
            assert!(
                wait_until(PATIENCE * 3, || ready() || stitch.exited().is_some()),
                "`{}` is not ready: {}",
                step.command,
                stitch.stderr()
            );
            if stitch.exited() == Some(Exit::Code(3)) {
                continue;
            }
            let said = around.back(&stitch.stdout());
            assert!(matches(&step.expected, &said), "{}", difference(step, &said));
            return (around, stitch);
        }
        panic!("no start found its ports free");
    }

    fn check(&self, step: &Step, around: &Surroundings, stitch: &Running) {
        let mut said = String::new();
        let mut run = || {
            let output = self.run(&step.command, around).output();
            said = around.back(&(output.stdout + &output.stderr));
            output.exit == Exit::Code(0)
                && (step.expected.is_empty() || matches(&step.expected, &said))
        };
        let good = if step.only_reads() { wait_until(PATIENCE, run) } else { run() };
        assert!(good, "{}\nstitch says:\n{}", difference(step, &said), stitch.stderr());
    }

    /// The command in a shell, where `stitch` and the example services are those under test.
    fn run(&self, command: &str, around: &Surroundings) -> Run {
        let binary = Path::new(env!("CARGO_BIN_EXE_stitch"));
        let folder = binary.parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let command = match command.split_once(" -- ") {
            Some((start, rest)) if start.starts_with("cargo run") => format!("stitch {rest}"),
            _ => command.to_owned(),
        };
        // In place of the shell, so that a signal reaches the program itself.
        let exec = if command.starts_with("stitch up") { "exec " } else { "" };
        let mut run = Run::tool("sh")
            .args(["-c", &format!("{exec}{}", around.there(&command))])
            .cwd(&self.folder)
            .env("PATH", format!("{}:{path}:/usr/sbin", folder.display()))
            .env("USERS", built(folder, "users"))
            .env("ORDERS", built(folder, "orders"));
        for (name, value) in &around.variables {
            run = run.env(name, value);
        }
        run
    }
}

impl Surroundings {
    fn new(ports: &[(String, u16)]) -> Self {
        let moved: Vec<_> = ports.iter().map(|(_, port)| (*port, free_port())).collect();
        let names = ports.iter().map(|(name, _)| name.clone());
        let values = moved.iter().map(|(_, port)| port.to_string());
        Self { variables: names.zip(values).collect(), moved }
    }

    /// The page's text with the ports of this run.
    fn there(&self, text: &str) -> String {
        replace_numbers(text, |port| self.moved.iter().find(|(page, _)| *page == port)?.1.into())
    }

    /// This run's text with the ports of the page.
    fn back(&self, text: &str) -> String {
        replace_numbers(text, |port| self.moved.iter().find(|(_, run)| *run == port)?.0.into())
    }
}

impl Step {
    fn starts_stitch(&self) -> bool {
        self.command.starts_with("stitch up") || self.command.contains(" -- up ")
    }

    /// What tests do not do: run the tests, build, use Docker.
    fn is_elsewhere(&self) -> bool {
        self.command.starts_with("scripts/") || self.command.contains("compose")
    }

    fn only_reads(&self) -> bool {
        !["-X", "-d", "--json"].iter().any(|option| self.command.contains(option))
    }
}

/// An example service that was built before, and answers as soon as it is started.
fn built(folder: &Path, name: &str) -> PathBuf {
    let program = folder.join(name);
    let path = program.display();
    assert!(program.is_file(), "{path} is not built: run cargo build -p users -p orders");
    program
}

/// The commands of a page and what they print.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside && line == "```sh";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            steps.push(Step { command: command.to_owned(), expected: Vec::new() });
        } else if inside {
            let step = steps.last_mut().expect("a fence of sh begins with a command");
            // A command that goes on below is one command.
            match step.command.strip_suffix('\\').filter(|_| step.expected.is_empty()) {
                Some(start) => step.command = format!("{start}{}", line.trim_start()),
                None => step.expected.push(line.to_owned()),
            }
        }
    }
    for step in &mut steps {
        while step.expected.last().is_some_and(String::is_empty) {
            step.expected.pop();
        }
    }
    steps
}

/// Every `${NAME:-NUMBER}` once.
fn ports(yaml: &str) -> Vec<(String, u16)> {
    let mut found: Vec<(String, u16)> = Vec::new();
    for rest in yaml.split("${").skip(1) {
        let variable = rest.split('}').next().unwrap_or_default();
        let Some((name, Ok(port))) =
            variable.split_once(":-").map(|(name, port)| (name, port.parse()))
        else {
            continue;
        };
        if found.iter().all(|(known, _)| known != name) {
            found.push((name.to_owned(), port));
        }
    }
    found
}

/// Replaces whole numbers of four and five digits.
fn replace_numbers(text: &str, other: impl Fn(u16) -> Option<u16>) -> String {
    let mut out = String::new();
    for run in text.split_inclusive(|char: char| !char.is_ascii_digit()) {
        let digits = run.trim_end_matches(|char: char| !char.is_ascii_digit());
        let port = digits.parse().ok().filter(|_| digits.len() > 3).and_then(&other);
        let _ = match port {
            Some(port) => write!(out, "{port}{}", &run[digits.len()..]),
            None => write!(out, "{run}"),
        };
    }
    out
}

/// Whether a text is what the lines show.
fn matches(expected: &[String], said: &str) -> bool {
    let said: Vec<&str> = said.trim_end().lines().map(str::trim_end).collect();
    lines_match(expected, &said)
}

fn lines_match(expected: &[String], said: &[&str]) -> bool {
    match expected.split_first() {
        None => said.is_empty(),
        Some((line, rest)) if line == "…" => {
            (0..=said.len()).any(|skipped| lines_match(rest, &said[skipped..]))
        }
        Some((line, rest)) => said
            .split_first()
            .is_some_and(|(first, more)| line_matches(line, first) && lines_match(rest, more)),
    }
}

fn line_matches(expected: &str, said: &str) -> bool {
    let Some((start, rest)) = expected.split_once('…') else { return expected == said };
    let Some(mut left) = said.strip_prefix(start) else { return false };
    let mut pieces: Vec<&str> = rest.split('…').collect();
    let end = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some((_, after)) = left.split_once(piece) else { return false };
        left = after;
    }
    left.ends_with(end)
}

fn difference(step: &Step, said: &str) -> String {
    let expected = step.expected.join("\n");
    format!("`{}`\nshould print\n{expected}\nand prints\n{said}", step.command)
}

#[test]
fn a_page_is_read_as_people_read_it() {
    let text = "x\n```yaml\n$ no\n```\n```sh\n$ one \\\n    -d 1\n1\n\n$ two\n```\n";
    let expected = [("one -d 1", vec!["1".to_owned()]), ("two", vec![])];
    let expected = expected.map(|(command, expected)| Step { command: command.into(), expected });
    assert_eq!(steps(text), expected);
    assert_eq!(ports("a: ${P:-8080}\nb: ${C:-cargo run} ${P:-8080}"), [("P".to_owned(), 8080)]);
}

#[test]
fn what_differs_from_a_page_is_found() {
    let page = ["a … c".to_owned(), "…".to_owned(), "end".to_owned()];
    assert!(matches(&page, "a b c\nend\n") && matches(&page, "a  c\nmore\nmore\nend"));
    assert!(!matches(&page, "a b\nend") && !matches(&page, "a b c\nend\nmore"));
    assert!(matches(&[], "") && !matches(&[], "x"));
    assert_eq!(
        replace_numbers("x:80808/8080 8080", |port| (port == 8080).then_some(1)),
        "x:80808/1 1"
    );
}

#[test]
fn nothing_of_an_example_stays_behind() {
    let page = Page::read("examples/shop");
    let (around, stitch) = page.start(&page.steps[0]);
    let users = around.there("127.0.0.1:8000");
    assert!(TcpStream::connect(&users).is_ok(), "users was not started");
    drop(stitch);
    assert!(wait_until(PATIENCE, || TcpStream::connect(&users).is_err()), "users still runs");
}
