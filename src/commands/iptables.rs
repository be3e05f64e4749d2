//! `stitch iptables`: the rules that redirect a machine's or a container's connections to
//! `proxy.transparent`, printed, put in force or taken away.

use crate::cli::IptablesArgs;
use crate::exit::{ExitCode, Failure};
use crate::redirect::{Family, Plan, Ports, Table, apply, remove, script};
use crate::{file, output};
use std::net::SocketAddr;
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

/// Where each protocol is redirected to. REDIRECT leads to this machine, so that an address of it is
/// enough; a wildcard IPv6 address takes IPv4 too.
fn tables(args: &IptablesArgs, listeners: &[SocketAddr]) -> Result<Vec<Table>, Failure> {
    let port = |fits: fn(&SocketAddr) -> bool| {
        listeners.iter().find(|address| fits(address)).map(SocketAddr::port)
    };
    let v4 = port(SocketAddr::is_ipv4)
        .or_else(|| port(|address| address.is_ipv6() && address.ip().is_unspecified()));
    let v6 = port(SocketAddr::is_ipv6).filter(|_| !args.no_ipv6);
    if args.ipv6 && v6.is_none() {
        return Err(Failure::usage(
            "proxy.transparent has no IPv6 address: add one such as \"[::1]:15001\"",
        ));
    }
    let of = |family, port: Option<u16>| port.map(|port| Table { family, port });
    let tables: Vec<_> = [of(Family::V4, v4), of(Family::V6, v6)].into_iter().flatten().collect();
    match tables.iter().any(|table| table.port == 0) {
        _ if tables.is_empty() => Err(Failure::usage(
            "the file has no proxy.transparent: add one such as 127.0.0.1:15001",
        )),
        true => Err(Failure::usage(
            "proxy.transparent is a port picked at start: give it one such as 127.0.0.1:15001",
        )),
        false => Ok(tables),
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
        assert!(planned("", "").unwrap_err().contains("no proxy.transparent"));
        assert!(planned("", "'127.0.0.1:0'").unwrap_err().contains("picked at start"));
        for wrong in ["--apply --remove", "--ipv6 --no-ipv6", "--ports x", "--exclude-uid root"] {
            assert!(args(wrong).is_err(), "{wrong}");
        }
    }
}
