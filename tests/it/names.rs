//! Names with several addresses, as the system resolves them: a hosts file that changes beneath the
//! real binary, in a mount namespace of its own; where that cannot be made, the test says so.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use stitch_kit::{Answer, Exit, Run, Scratch, Stitch, Upstream, http, require, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);

/// What stands where `/etc/hosts` is, for one stitch.
struct Hosts(Scratch);

impl Hosts {
    /// `None` where this user may not.
    fn new(last: [u8; 2]) -> Option<Self> {
        let tried = Run::tool("unshare").args(["--mount", "true"]).output();
        if tried.exit != Exit::Code(0) {
            eprintln!("not tested: no mount namespace can be made here: {}", tried.stderr);
            return None;
        }
        let hosts = Self(Scratch::new());
        hosts.0.write("hosts", "");
        hosts.say(last);
        Some(hosts)
    }

    /// Gives `several.test` two addresses: 127.0.0.x. In place, because a mount is of the file and not of
    /// its name; and in one write of always the same length, so that nobody reads half of it.
    fn say(&self, last: [u8; 2]) {
        let lines = last.map(|last| format!("127.0.0.{last} several.test\n"));
        let mut file = std::fs::OpenOptions::new().write(true).open(self.0.join("hosts")).unwrap();
        file.write_all(lines.concat().as_bytes()).unwrap();
    }

    fn stitch(&self, yaml: &str) -> Stitch {
        let [unshare, mount] = ["unshare", "mount"].map(require);
        let text = format!(
            "#!/bin/sh\nexec {} --mount sh -ec '{} --bind {} /etc/hosts; exec \"$0\" \"$@\"' {} \"$@\"\n",
            unshare.display(),
            mount.display(),
            self.0.join("hosts").display(),
            env!("CARGO_BIN_EXE_stitch")
        );
        let script = self.0.write("stitch", text);
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        Stitch::builder().binary(script).yaml(yaml).start()
    }
}

/// A server on 127.0.0.x that says which one it is.
fn server(last: u8, port: u16) -> Upstream {
    let answer = move |_: &_| Answer::new(200, last.to_string());
    Upstream::http_on(([127, 0, 0, last], port).into(), answer)
}

/// Who answers the next request, which must not fail.
fn ask(stitch: &Stitch) -> String {
    let answer = http::get(stitch.proxy(), "/", &[("host", "users")]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// Who answers so many, in order of their numbers.
fn answers(stitch: &Stitch, requests: usize) -> String {
    let mut all: Vec<_> = (0..requests).map(|_| ask(stitch)).collect();
    all.sort_unstable();
    all.concat()
}

#[test]
fn requests_follow_the_addresses_of_a_name() {
    let Some(hosts) = Hosts::new([2, 3]) else { return };
    let second = server(2, 0);
    let port = second.addr().port();
    let [third, _fourth, fifth] = [3, 4, 5].map(|last| server(last, port));
    let stitch = hosts.stitch(&format!(
        "services: {{ users: {{ url: 'http://several.test:{port}', balance: round_robin }} }}"
    ));
    let shows = |expected: [u8; 2]| {
        let told = http::get(stitch.admin(), "/api/services/users", &[]).json();
        let shown = told["data"]["upstreams"].as_array().unwrap().iter();
        let shown: Vec<_> = shown.map(|one| one["address"].as_str().unwrap().to_owned()).collect();
        shown == expected.map(|last| format!("127.0.0.{last}:{port}"))
    };
    assert!(wait_until(PATIENCE, || shows([2, 3])));
    assert_eq!(answers(&stitch, 10), "2222233333");

    // All names are asked for every 5 s.
    hosts.say([4, 5]);
    assert!(wait_until(Duration::from_secs(7), || ["4", "5"].contains(&&*ask(&stitch))));
    assert!(shows([4, 5]));
    drop(third);
    assert_eq!(answers(&stitch, 10), "4444455555");

    // A name of which an address is gone is asked for at once, which is long before that.
    hosts.say([2, 4]);
    drop(fifth);
    assert!(wait_until(Duration::from_secs(3), || ask(&stitch) == "2"));
    assert!(shows([2, 4]));
    assert_eq!(answers(&stitch, 10), "2222244444");
}
