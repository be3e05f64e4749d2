//! Compose's short `ports:` entries, and what they say about infrastructure.
//!
//! Only single TCP ports with a host port matter here: they tell which `localhost:PORT` of the
//! developer's machine is which container of the network.

use stitch_config::Config;
use stitch_config::model::Kind;

/// One published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Published {
    host: u16,
    container: u16,
}

/// The infra container and its port behind a port of the developer's machine.
pub(super) fn infra_at(config: &Config, host_port: u16) -> Option<(&str, u16)> {
    config.services.iter().filter(|service| service.kind == Kind::Infra).find_map(|service| {
        let mut published = service.ports.iter().filter_map(|entry| parse(entry));
        let port = published.find(|port| port.host == host_port)?;
        Some((&*service.name, port.container))
    })
}

/// `[IP:]HOST:CONTAINER[/tcp]`; ranges, UDP and unpublished ports are `None`.
fn parse(entry: &str) -> Option<Published> {
    let ports = match entry.rsplit_once('/') {
        Some((ports, protocol)) => (protocol == "tcp").then_some(ports)?,
        None => entry,
    };
    let mut parts = ports.rsplitn(3, ':');
    let container = parts.next()?.parse().ok()?;
    let host = parts.next()?.parse().ok()?;
    Some(Published { host, container })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ports_are_read_in_every_short_form() {
        let both = |host, container| Some(Published { host, container });
        assert_eq!(parse("4222:4222"), both(4222, 4222));
        assert_eq!(parse("127.0.0.1:15432:5432"), both(15432, 5432));
        assert_eq!(parse("[::1]:15432:5432/tcp"), both(15432, 5432));
        assert_eq!(parse("53:53/udp"), None);
        assert_eq!(parse("4222"), None);
        assert_eq!(parse("8000-8010:8000-8010"), None);
        assert_eq!(parse(""), None);
    }
}
