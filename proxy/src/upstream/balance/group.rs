//! One entry of `urls`: an endpoint, or one for each address that its name has.

use super::key::hash;
use crate::upstream::names::{Name, is_name};
use crate::upstream::{Endpoint, Tls};
use std::net::IpAddr;
use std::sync::Arc;
use stitch_config::model::Upstream;

/// The endpoints of one declared url.
#[derive(Clone, Debug)]
pub(super) struct Group {
    upstream: Upstream,
    tls: Option<Tls>,
    /// If it is a name that may have several addresses.
    pub(super) name: Option<Arc<Name>>,
    /// Never empty. Before the first answer, and where there is no name, one without an address.
    endpoints: Vec<(Option<IpAddr>, Arc<Endpoint>)>,
}

impl Group {
    pub(super) fn new(upstream: Upstream, tls: Option<Tls>) -> Self {
        let name = upstream.host_port().map(|(host, _)| host).filter(|host| is_name(host));
        let name = name.map(Name::new);
        let endpoint = Endpoint::declared(&upstream, tls.clone());
        let endpoint = Arc::new(endpoint.named(name.clone()));
        Self { upstream, tls, name, endpoints: vec![(None, endpoint)] }
    }

    /// Whether a reload can keep it for what the file now says.
    pub(super) fn is(&self, upstream: &Upstream, tls: Option<&Tls>) -> bool {
        self.endpoints.first().is_some_and(|(_, endpoint)| endpoint.is(upstream, tls))
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter().map(|(_, endpoint)| endpoint)
    }

    /// Takes over what its name resolves to now; says whether that changed anything. New ones among
    /// others that are known already are given to `added`.
    pub(super) fn resolved(
        &mut self,
        addresses: &[IpAddr],
        mut added: impl FnMut(&Endpoint),
    ) -> bool {
        let known = || self.endpoints.iter().filter_map(|(address, _)| *address);
        if addresses.is_empty() || known().eq(addresses.iter().copied()) {
            return false;
        }
        let is_first = known().next().is_none();
        let before = std::mem::take(&mut self.endpoints);
        let mut free: Vec<_> = match (&*before, addresses) {
            // As far as anybody can tell it is one machine that moved.
            ([(_, only)], [_]) => vec![only.clone()],
            _ => before.iter().filter(|(at, _)| at.is_none()).map(|(_, one)| one.clone()).collect(),
        };
        for address in addresses {
            let same = before.iter().find(|(at, _)| *at == Some(*address));
            let endpoint = match same.map(|(_, endpoint)| endpoint.clone()).or_else(|| free.pop()) {
                Some(endpoint) => endpoint,
                None => {
                    let endpoint = Endpoint::declared(&self.upstream, self.tls.clone());
                    let endpoint = endpoint.named(self.name.clone());
                    if !is_first {
                        added(&endpoint);
                    }
                    Arc::new(endpoint)
                }
            };
            endpoint.set_token(hash(format!("{} {address}", self.upstream).as_bytes()));
            self.endpoints.push((Some(*address), endpoint));
        }
        // A single address is asked for anew with every connection.
        let several = self.endpoints.len() > 1;
        for (address, endpoint) in &self.endpoints {
            endpoint.pin(address.filter(|_| several));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        Group::new(Upstream::http("users", 80), None)
    }

    fn ips(last: &[u8]) -> Vec<IpAddr> {
        last.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect()
    }

    fn ids(group: &Group) -> Vec<u64> {
        group.endpoints().map(|endpoint| endpoint.id).collect()
    }

    fn pins(group: &Group) -> Vec<Option<IpAddr>> {
        group.endpoints().map(|endpoint| endpoint.pinned()).collect()
    }

    #[test]
    fn one_endpoint_per_address_and_those_that_stay_keep_theirs() {
        let mut group = group();
        let mut added = 0;
        let first = ids(&group);
        assert!(group.resolved(&ips(&[1, 2, 3]), |_| added += 1));
        let three = ids(&group);
        assert_eq!(
            (three.len(), three[0], added),
            (3, first[0], 0),
            "the first answer adds nobody"
        );
        assert_eq!(pins(&group), ips(&[1, 2, 3]).into_iter().map(Some).collect::<Vec<_>>());

        assert!(!group.resolved(&ips(&[1, 2, 3]), |_| added += 1));
        assert!(group.resolved(&ips(&[2, 3, 4]), |_| added += 1));
        let later = ids(&group);
        assert_eq!((&later[..2], added), (&three[1..], 1));
        assert!(!three.contains(&later[2]));
    }

    #[test]
    fn a_single_address_is_resolved_by_each_connection() {
        let mut group = group();
        let first = ids(&group);
        for address in [1, 2] {
            assert!(group.resolved(&ips(&[address]), |_| unreachable!("it moved")));
            assert_eq!((ids(&group), pins(&group)), (first.clone(), vec![None]));
        }
        let alone = group.endpoints().next().unwrap().token();
        assert!(group.resolved(&ips(&[2, 3]), |_| {}));
        assert_eq!(ids(&group)[0], first[0]);
        assert!(pins(&group).iter().all(Option::is_some));
        assert_eq!(group.endpoints().next().unwrap().token(), alone, "named by its address");
        assert!(group.resolved(&ips(&[3]), |_| {}));
        assert_eq!(pins(&group), [None]);
    }

    #[test]
    fn an_empty_answer_changes_nothing() {
        let mut group = group();
        group.resolved(&ips(&[1, 2]), |_| {});
        assert!(!group.resolved(&[], |_| {}));
        assert_eq!(ids(&group).len(), 2);
    }

    #[test]
    fn tokens_are_those_of_addresses() {
        let tokens = |addresses: &[u8]| {
            let mut group = group();
            group.resolved(&ips(addresses), |_| {});
            group.endpoints().map(|endpoint| endpoint.token()).collect::<Vec<_>>()
        };
        assert_eq!(tokens(&[1, 2, 3])[1..], tokens(&[2, 3]));
        assert_ne!(tokens(&[1])[0], tokens(&[2])[0]);
    }
}
