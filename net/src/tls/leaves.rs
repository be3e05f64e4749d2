//! The minted certificates that are kept: a bounded memory by host, oldest out first.

use rustls::ServerConfig;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Hosts that are remembered.
pub(super) const MAX_LEAVES: usize = 1024;

/// One with less than this left, in seconds, is made anew.
const RENEW: i64 = 60 * 60;

/// A configuration that serves one host for a while. Times are seconds since 1970.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) config: Arc<ServerConfig>,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

#[derive(Debug, Default)]
pub(super) struct Leaves {
    by_host: HashMap<Arc<str>, Leaf>,
    /// The same hosts, the oldest leaf first.
    order: VecDeque<Arc<str>>,
}

impl Leaves {
    /// The leaf of a host, if it will do for a while. A clock that was set back does not find the
    /// leaves of the future.
    pub(super) fn fresh(&self, host: &str, now: i64) -> Option<Arc<ServerConfig>> {
        let leaf = self.by_host.get(host)?;
        let fresh = leaf.not_before <= now && now.saturating_add(RENEW) < leaf.not_after;
        fresh.then(|| Arc::clone(&leaf.config))
    }

    /// Keeps a leaf in place of the host's old one. If another was faster, that one stays, so that
    /// all connections to a host share sessions.
    pub(super) fn keep(&mut self, host: &str, leaf: Leaf, now: i64) -> Arc<ServerConfig> {
        if let Some(config) = self.fresh(host, now) {
            return config;
        }
        let config = Arc::clone(&leaf.config);
        let host: Arc<str> = Arc::from(host);
        if self.by_host.insert(Arc::clone(&host), leaf).is_some() {
            self.order.retain(|kept| *kept != host);
        }
        self.order.push_back(host);
        while self.order.len() > MAX_LEAVES {
            if let Some(oldest) = self.order.pop_front() {
                self.by_host.remove(&oldest);
            }
        }
        config
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.order.len(), self.by_host.len());
        self.order.len()
    }
}
