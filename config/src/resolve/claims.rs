//! What can belong to only one: addresses and sockets to listen on, and hosts.

use super::context::Context;
use crate::model::HostPattern;
use crate::yaml::Spot;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Everything that was claimed, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Claims {
    ports: Vec<(SocketAddr, String, Spot)>,
    sockets: Vec<(PathBuf, Spot)>,
    hosts: Vec<(HostPattern, String, Spot)>,
}

impl Claims {
    pub(super) fn port(&mut self, address: SocketAddr, owner: impl Into<String>, spot: &Spot) {
        self.ports.push((address, owner.into(), spot.clone()));
    }

    /// A socket to listen on; only `proxy.listen` names them.
    pub(super) fn socket(&mut self, path: &Path, spot: &Spot) {
        self.sockets.push((path.to_owned(), spot.clone()));
    }

    pub(super) fn host(&mut self, host: HostPattern, service: &str, spot: &Spot) {
        self.hosts.push((host, service.to_owned(), spot.clone()));
    }

    /// Reports everything that two claim.
    pub(super) fn check(self, cx: &mut Context<'_>) {
        check_ports(cx, &self.ports);
        check_sockets(cx, &self.sockets);
        check_hosts(cx, &self.hosts);
    }
}

fn check_ports(cx: &mut Context<'_>, ports: &[(SocketAddr, String, Spot)]) {
    let mut taken: HashMap<u16, Vec<&(SocketAddr, String, Spot)>> = HashMap::new();
    for claim in ports.iter().filter(|(address, _, _)| address.port() != 0) {
        let (address, owner, spot) = claim;
        let same = taken.entry(address.port()).or_default();
        if let Some((_, other, first)) = same.iter().find(|(other, _, _)| clash(*address, *other)) {
            // A default has no place of its own; the value that runs into it has.
            let spot = if spot.place.line == 0 { first } else { spot };
            let port = address.port();
            cx.push(
                spot.error(format!("port {port} is claimed twice: by {other} and by {owner}"))
                    .hint("give each listener a port of its own; port 0 picks a free one"),
            );
        }
        same.push(claim);
    }
}

fn check_sockets(cx: &mut Context<'_>, sockets: &[(PathBuf, Spot)]) {
    let mut taken = HashSet::new();
    for (path, spot) in sockets {
        if !taken.insert(path) {
            cx.push(
                spot.error(format!("the socket {} is claimed twice", path.display()))
                    .hint("give each listener a socket of its own"),
            );
        }
    }
}

fn check_hosts(cx: &mut Context<'_>, hosts: &[(HostPattern, String, Spot)]) {
    let mut taken: HashMap<(&str, Option<u16>), (&str, &Spot)> = HashMap::new();
    for (host, service, spot) in hosts {
        let key = (host.host.as_str(), host.port);
        let (other, first) = *taken.entry(key).or_insert((service, spot));
        if other != service {
            let first = cx.sources.locate(first.place).to_string();
            let host = &host.host;
            cx.push(
                spot.error(format!(
                    "the host {host} is claimed by {service} and by {other} ({first})"
                ))
                .hint("a host belongs to one service; give one of them other \"hosts\""),
            );
        }
    }
}

/// Two listeners of one port cannot share an address, and `0.0.0.0` is all of them.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    everywhere || one.ip() == other.ip()
}
