//! `stitch iptables`: the rules that redirect a machine's or a container's connections to
//! `proxy.transparent`, printed, put in force or taken away.

use crate::cli::IptablesArgs;
use crate::exit::{ExitCode, Failure};
use crate::redirect::{Family, Plan, Ports, Table, apply, remove, script};
use crate::{file, output};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use stitch_config::model::{Config, ListenAddress};

pub(super) fn run(args: &IptablesArgs) -> Result<ExitCode, Failure> {
    if args.remove {
        remove().map_err(Failure::runtime)?;
        return Ok(ExitCode::Ok);
    }
    let config = file::load_valid(&file::find(&args.file)?)?.config;
    let own = rustix::process::getuid().as_raw();
    let plan = plan(args, &config, own)?;
    if plan.exclude_uids == [0] {
        eprintln!(
            "warning: connections of root are left alone, and nobody else's: run stitch as another \
             user and name it with --exclude-uid"
        );
    }
    if args.apply {
        apply(&plan).map_err(Failure::runtime)?;
    } else {
        output::print(&script(Some(&plan)))?;
    }
    Ok(ExitCode::Ok)
}

/// What the arguments and the file ask for.
fn plan(args: &IptablesArgs, config: &Config, own: u32) -> Result<Plan, Failure> {
    let exclude_uids = match args.exclude_uids.is_empty() {
        true => vec![own],
        false => args.exclude_uids.clone(),
    };
    Ok(Plan {
        exclude_uids,
        ports: args.ports.clone().unwrap_or(Ports::All),
        exclude_ports: args.exclude_ports.clone(),
        exclude_nets: args.exclude_nets.clone(),
        loopback: args.loopback,
        own_ports: own_ports(config),
        tables: tables(args, &config.proxy.transparent)?,
    })
}

/// Where each protocol is redirected to.
fn tables(args: &IptablesArgs, listeners: &[SocketAddr]) -> Result<Vec<Table>, Failure> {
    if listeners.is_empty() {
        return Err(Failure::usage(
            "the file has no proxy.transparent: add one such as 127.0.0.1:15001",
        ));
    }
    let v4 = table(Family::V4, listeners)?;
    let v6 = if args.no_ipv6 { None } else { table(Family::V6, listeners)? };
    if args.ipv6 && v6.is_none() {
        return Err(Failure::usage(
            "proxy.transparent has no IPv6 address: add one such as \"[::1]:15001\"",
        ));
    }
    let tables: Vec<_> = [v4, v6].into_iter().flatten().collect();
    match tables.iter().any(|table| table.port == 0) {
        _ if tables.is_empty() => Err(Failure::usage(
            "proxy.transparent has no IPv4 address: add one such as 127.0.0.1:15001",
        )),
        true => Err(Failure::usage(
            "proxy.transparent is a port picked at start: give it one such as 127.0.0.1:15001",
        )),
        false => Ok(tables),
    }
}

/// The listener of one protocol that REDIRECT leads to, if it has any. Connections of this machine
/// arrive at the first loopback address and at no other; a wildcard IPv6 address takes IPv4 too.
fn table(family: Family, listeners: &[SocketAddr]) -> Result<Option<Table>, Failure> {
    let first: IpAddr = match family {
        Family::V4 => Ipv4Addr::LOCALHOST.into(),
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
    };
    let same = |address: &&SocketAddr| address.is_ipv4() == first.is_ipv4();
    let fits = |address: &&SocketAddr| address.ip().is_unspecified() || address.ip() == first;
    let both = |address: &&SocketAddr| address.is_ipv6() && address.ip().is_unspecified();
    let found = listeners.iter().find(|address| same(address) && fits(address));
    let found = found.or_else(|| listeners.iter().find(both));
    match (found, listeners.iter().find(same)) {
        (Some(address), _) => Ok(Some(Table { family, port: address.port() })),
        (None, None) => Ok(None),
        (None, Some(other)) => {
            let arrive = SocketAddr::new(first, other.port());
            let or = match family {
                Family::V4 => "",
                Family::V6 => ", or leave IPv6 alone with --no-ipv6",
            };
            Err(Failure::usage(format!(
                "proxy.transparent has {other}, where nothing that is redirected arrives: write \
                 \"{arrive}\"{or}"
            )))
        }
    }
}

/// Every port that the proxy listens on.
fn own_ports(config: &Config) -> Vec<u16> {
    let proxy = &config.proxy;
    let shared = proxy.listen.iter().filter_map(ListenAddress::tcp);
    let shared = shared.chain([proxy.admin.listen]).chain(proxy.transparent.iter().copied());
    let services = config.services.iter().filter_map(|service| service.port);
    let mut ports: Vec<_> = shared.map(|address| address.port()).chain(services).collect();
    ports.retain(|port| *port != 0);
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::testing;
    use clap::Parser as _;

    fn args(line: &str) -> Result<IptablesArgs, String> {
        let words = ["stitch", "iptables"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Iptables(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    fn config(transparent: &str) -> Config {
        let transparent = match transparent {
            "" => String::new(),
            addresses => format!("transparent: [{addresses}]"),
        };
        testing::config(&format!(
            "proxy: {{ {transparent} }}\n\
             services: {{ db: {{ type: tcp, url: 'tcp://h:1', port: 5432 }} }}\n"
        ))
    }

    fn planned(line: &str, transparent: &str) -> Result<Plan, String> {
        let planned = plan(&args(line)?, &config(transparent), 1000);
        planned.map_err(|failure| failure.message().unwrap())
    }

    #[test]
    fn own_connections_are_left_alone_unless_somebody_elses_are() {
        let plan = planned("", "'127.0.0.1:15001'").unwrap();
        assert_eq!(plan.exclude_uids, [1000]);
        assert_eq!((plan.ports, plan.loopback), (Ports::All, false));
        assert_eq!(plan.own_ports, [5432, 8080, 9900, 15001]);
        assert_eq!(plan.tables, [Table { family: Family::V4, port: 15001 }]);
        let line = "--exclude-uid 1 --exclude-uid 2 --ports 80,443 --exclude-cidr 10.0.0.0/8 \
                    --exclude-ports 22 --loopback";
        let plan = planned(line, "'127.0.0.1:15001'").unwrap();
        assert_eq!(plan.exclude_uids, [1, 2]);
        assert!(plan.loopback && plan.exclude_nets.len() == 1 && plan.exclude_ports.is_some());
    }

    #[test]
    fn protocols_follow_the_listeners() {
        let both = "'127.0.0.1:15001', '[::1]:15006'";
        let families = |line: &str, transparent: &str| -> Vec<_> {
            let tables = planned(line, transparent).unwrap().tables;
            tables.iter().map(|table| (table.family, table.port)).collect()
        };
        assert_eq!(families("", both), [(Family::V4, 15001), (Family::V6, 15006)]);
        assert_eq!(families("--no-ipv6", both), [(Family::V4, 15001)]);
        assert_eq!(families("", "'[::1]:15006'"), [(Family::V6, 15006)]);
        assert_eq!(families("", "'[::]:15006'"), [(Family::V4, 15006), (Family::V6, 15006)]);
        assert!(planned("--ipv6", "'127.0.0.1:1'").unwrap_err().contains("no IPv6 address"));
        assert!(planned("--no-ipv6", "'[::1]:1'").unwrap_err().contains("no IPv4 address"));
        assert!(planned("", "").unwrap_err().contains("no proxy.transparent"));
        assert!(planned("", "'127.0.0.1:0'").unwrap_err().contains("picked at start"));
        for wrong in ["--apply --remove", "--ipv6 --no-ipv6", "--ports x", "--exclude-uid root"] {
            assert!(args(wrong).is_err(), "{wrong}");
        }
    }
    #[test]
    fn only_a_listener_that_redirected_connections_arrive_at_will_do() {
        let ports = |line: &str, transparent: &str| -> Vec<_> {
            let tables = planned(line, transparent).unwrap().tables;
            tables.iter().map(|table| table.port).collect()
        };
        assert_eq!(ports("", "'10.0.0.5:1', '127.0.0.2:2', '127.0.0.1:3'"), [3]);
        assert_eq!(ports("", "'10.0.0.5:1', '0.0.0.0:2'"), [2]);
        assert_eq!(ports("", "'10.0.0.5:1', '[fd00::5]:2', '[::]:3'"), [3, 3]);
        assert_eq!(ports("--no-ipv6", "'127.0.0.1:1', '[fd00::5]:2'"), [1]);
        for (transparent, write) in [
            ("'10.0.0.5:15001'", "write \"127.0.0.1:15001\""),
            ("'127.0.0.2:15001', '[::1]:15006'", "write \"127.0.0.1:15001\""),
            ("'127.0.0.1:1', '[fd00::5]:2'", "write \"[::1]:2\", or leave IPv6 alone"),
        ] {
            let error = planned("", transparent).unwrap_err();
            assert!(error.contains(write), "{error}");
        }
    }
}
