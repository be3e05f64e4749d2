//! The rules, as commands: a chain of our own in the nat table, entered from OUTPUT.
//!
//! Everything here is a function of a [`Plan`]; nothing is run.

use super::ports::Ports;
use ipnet::IpNet;
use std::fmt::Write as _;

/// The chain that holds every rule of ours.
const CHAIN: &str = "STITCH_OUTPUT";

/// What is redirected, and to where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Whose connections are left alone; the proxy's own must be among them.
    pub(crate) exclude_uids: Vec<u32>,
    /// Destinations that are redirected.
    pub(crate) ports: Ports,
    /// Destinations that are not, whatever their address.
    pub(crate) exclude_ports: Option<Ports>,
    /// Destinations that are not, whatever their port.
    pub(crate) exclude_nets: Vec<IpNet>,
    /// Whether connections to loopback addresses are redirected too.
    pub(crate) loopback: bool,
    /// Ports of the proxy itself, which are never redirected on an address of this machine.
    pub(crate) own_ports: Vec<u16>,
    /// By protocol, the port of `proxy.transparent`.
    pub(crate) tables: Vec<Table>,
}

impl Plan {
    /// Protocols that it leaves alone: earlier rules for them are not to stay.
    pub(super) fn others(&self) -> impl Iterator<Item = Family> {
        let planned = |family| self.tables.iter().any(|table| table.family == family);
        Family::BOTH.into_iter().filter(move |family| !planned(*family))
    }
}

/// One protocol's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) family: Family,
    pub(crate) port: u16,
}

/// IPv4 or IPv6: two firewalls that know nothing of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The program that knows its rules.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::V4 => "iptables",
            Self::V6 => "ip6tables",
        }
    }

    fn loopback(self) -> &'static str {
        match self {
            Self::V4 => "127.0.0.0/8",
            Self::V6 => "::1/128",
        }
    }

    fn has(self, net: &IpNet) -> bool {
        matches!((self, net), (Self::V4, IpNet::V4(_)) | (Self::V6, IpNet::V6(_)))
    }
}

/// What a command is for, and so what becomes of its failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It has to succeed.
    Do,
    /// The next one is for when it fails.
    Ask,
    /// What it takes away may not be there.
    Undo,
}

/// One command's arguments, after the program.
pub(super) type Step = (Role, Vec<String>);

/// The commands that put one protocol's rules in force, whatever was there of ours before.
pub(super) fn applying(plan: &Plan, table: Table) -> Vec<Step> {
    let mut steps = vec![step(Role::Ask, &["-N", CHAIN]), step(Role::Do, &["-F", CHAIN])];
    let mut rule = |rest: &[&str]| {
        steps.push(step(Role::Do, &[&["-A", CHAIN], rest].concat()));
    };
    for uid in &plan.exclude_uids {
        rule(&["-m", "owner", "--uid-owner", &uid.to_string(), "-j", "RETURN"]);
    }
    if !plan.loopback {
        rule(&["-d", table.family.loopback(), "-j", "RETURN"]);
    }
    // This machine has more addresses than those of its loopback.
    for port in &plan.own_ports {
        let to = ["-p", "tcp", "--dport", &port.to_string(), "-j", "RETURN"];
        rule(&[&["-m", "addrtype", "--dst-type", "LOCAL"][..], &to].concat());
    }
    for net in plan.exclude_nets.iter().filter(|net| table.family.has(net)) {
        rule(&["-d", &net.to_string(), "-j", "RETURN"]);
    }
    for ports in plan.exclude_ports.iter().flat_map(Ports::matches) {
        rule(&[&to_port(ports.as_deref())[..], &["-j", "RETURN"]].concat());
    }
    let to = table.port.to_string();
    for ports in plan.ports.matches() {
        rule(&[&to_port(ports.as_deref())[..], &["-j", "REDIRECT", "--to-ports", &to]].concat());
    }
    steps.push(step(Role::Ask, &["-C", "OUTPUT", "-p", "tcp", "-j", CHAIN]));
    steps.push(step(Role::Do, &["-A", "OUTPUT", "-p", "tcp", "-j", CHAIN]));
    steps
}

/// The commands that take one protocol's rules away.
pub(super) fn removing() -> Vec<Step> {
    vec![
        step(Role::Undo, &["-D", "OUTPUT", "-p", "tcp", "-j", CHAIN]),
        step(Role::Undo, &["-F", CHAIN]),
        step(Role::Undo, &["-X", CHAIN]),
    ]
}

fn to_port(ports: Option<&str>) -> Vec<&str> {
    let tcp = ["-p", "tcp"];
    tcp.into_iter().chain(ports.into_iter().flat_map(|ports| ["--dport", ports])).collect()
}

/// Others may be changing rules at the same time: `-w` waits for them.
fn step(role: Role, words: &[&str]) -> Step {
    (role, ["-w", "-t", "nat"].iter().chain(words).map(|word| (*word).to_owned()).collect())
}

/// The commands for a shell. Without a plan, those that take everything away again.
pub(crate) fn script(plan: Option<&Plan>) -> String {
    let mut text = String::new();
    let families: Vec<(Family, Vec<Step>)> = match plan {
        Some(plan) => {
            let planned = plan.tables.iter().map(|table| (table.family, applying(plan, *table)));
            planned.chain(plan.others().map(|family| (family, removing()))).collect()
        }
        None => Family::BOTH.map(|family| (family, removing())).into(),
    };
    for (family, steps) in families {
        for (role, words) in steps {
            let _ = write!(text, "{} {}", family.program(), words.join(" "));
            text.push_str(match role {
                Role::Do => "\n",
                Role::Ask => " 2>/dev/null || ",
                Role::Undo => " 2>/dev/null || true\n",
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            exclude_uids: vec![1337],
            ports: Ports::All,
            exclude_ports: None,
            exclude_nets: Vec::new(),
            loopback: false,
            own_ports: vec![8080, 15001],
            tables: vec![Table { family: Family::V4, port: 15001 }],
        }
    }

    #[test]
    fn a_plan_becomes_commands() {
        assert_eq!(
            script(Some(&plan())),
            "\
iptables -w -t nat -N STITCH_OUTPUT 2>/dev/null || iptables -w -t nat -F STITCH_OUTPUT
iptables -w -t nat -A STITCH_OUTPUT -m owner --uid-owner 1337 -j RETURN
iptables -w -t nat -A STITCH_OUTPUT -d 127.0.0.0/8 -j RETURN
iptables -w -t nat -A STITCH_OUTPUT -m addrtype --dst-type LOCAL -p tcp --dport 8080 -j RETURN
iptables -w -t nat -A STITCH_OUTPUT -m addrtype --dst-type LOCAL -p tcp --dport 15001 -j RETURN
iptables -w -t nat -A STITCH_OUTPUT -p tcp -j REDIRECT --to-ports 15001
iptables -w -t nat -C OUTPUT -p tcp -j STITCH_OUTPUT 2>/dev/null || \
             iptables -w -t nat -A OUTPUT -p tcp -j STITCH_OUTPUT
ip6tables -w -t nat -D OUTPUT -p tcp -j STITCH_OUTPUT 2>/dev/null || true
ip6tables -w -t nat -F STITCH_OUTPUT 2>/dev/null || true
ip6tables -w -t nat -X STITCH_OUTPUT 2>/dev/null || true
"
        );
    }

    #[test]
    fn exclusions_come_before_what_is_redirected() {
        let plan = Plan {
            exclude_uids: vec![0, 1337],
            ports: "80,8000-8100".parse().unwrap(),
            exclude_ports: Some("8001".parse().unwrap()),
            exclude_nets: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            loopback: true,
            tables: vec![Table { family: Family::V6, port: 15006 }],
            ..plan()
        };
        let script = script(Some(&plan));
        let rules: Vec<_> = script
            .lines()
            .filter_map(|line| line.strip_prefix("ip6tables -w -t nat -A STITCH_OUTPUT "))
            .collect();
        assert_eq!(
            rules,
            [
                "-m owner --uid-owner 0 -j RETURN",
                "-m owner --uid-owner 1337 -j RETURN",
                "-m addrtype --dst-type LOCAL -p tcp --dport 8080 -j RETURN",
                "-m addrtype --dst-type LOCAL -p tcp --dport 15001 -j RETURN",
                "-d fd00::/8 -j RETURN",
                "-p tcp --dport 8001 -j RETURN",
                "-p tcp --dport 80 -j REDIRECT --to-ports 15006",
                "-p tcp --dport 8000:8100 -j REDIRECT --to-ports 15006",
            ]
        );
    }

    #[test]
    fn removing_leaves_nothing_and_minds_nothing() {
        let script = script(None);
        assert_eq!(script.lines().count(), 6);
        assert!(script.lines().all(|line| line.ends_with(" 2>/dev/null || true")));
        assert!(script.contains("ip6tables -w -t nat -X STITCH_OUTPUT "));
    }
}
