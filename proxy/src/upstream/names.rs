//! Names of declared services, resolved again and again: each address of a name is an endpoint.

use super::balance::EndpointSet;
use super::resolve::{Addresses, resolve};
use crate::proxy::Proxy;
use futures_util::StreamExt as _;
use futures_util::stream;
use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// How often every name is asked for.
const EVERY: Duration = Duration::from_secs(5);
/// Names whose addresses do not answer are asked for at once, but not more often than this.
const AT_MOST: Duration = Duration::from_secs(1);
/// Addresses of a name that become endpoints.
const MOST: usize = 64;
/// Names asked for at the same time.
const TOGETHER: usize = 16;
/// No answer is waited for any longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rung by names that are in doubt.
static DOUBTS: Notify = Notify::const_new();

/// A name that may have several addresses.
#[derive(Debug)]
pub(crate) struct Name {
    host: Box<str>,
    /// Whether it is to be asked for at once.
    doubted: AtomicBool,
}

impl Name {
    pub(super) fn new(host: &str) -> Arc<Self> {
        let name = Self { host: host.into(), doubted: AtomicBool::new(false) };
        name.doubt();
        Arc::new(name)
    }

    pub(super) fn is(&self, host: &str) -> bool {
        &*self.host == host
    }

    fn is_in_doubt(&self) -> bool {
        self.doubted.load(Ordering::Acquire)
    }

    /// One of its addresses cannot be reached.
    pub(super) fn doubt(&self) {
        if !self.doubted.swap(true, Ordering::AcqRel) {
            DOUBTS.notify_waiters();
        }
    }
}

/// Whether a host of the file may have several addresses. `localhost` is this machine, however many
/// addresses it has.
pub(super) fn is_name(host: &str) -> bool {
    host != "localhost" && !host.ends_with(".localhost") && host.parse::<IpAddr>().is_err()
}

/// Keeps the endpoints of every service equal to what their names resolve to. Never ends.
pub async fn follow_names(proxy: Arc<Proxy>) {
    let sets = || {
        let snapshot = proxy.snapshot();
        let services = snapshot.services.iter().chain(snapshot.tcp.iter());
        services.map(|service| service.endpoints.clone()).collect()
    };
    let lookup = |host: String| async move { resolve(&host).await };
    follow(sets, lookup).await;
}

async fn follow<L, F>(sets: impl Fn() -> Vec<Arc<EndpointSet>>, lookup: L)
where
    L: Fn(String) -> F,
    F: Future<Output = io::Result<Addresses>>,
{
    let mut all_due = Instant::now();
    loop {
        let now = Instant::now();
        let all = now >= all_due;
        if all {
            all_due = now + EVERY;
        }
        refresh(&sets(), all, &lookup).await;
        // A name that is in doubt all the time must not keep the resolver busy.
        sleep_until(all_due.min(now + AT_MOST)).await;
        while Instant::now() < all_due {
            let mut rung = pin!(DOUBTS.notified());
            // From here on nothing is missed.
            rung.as_mut().enable();
            if sets().iter().flat_map(|set| set.names()).any(|name| name.is_in_doubt()) {
                break;
            }
            tokio::select! {
                () = sleep_until(all_due) => {}
                () = rung => {}
            }
        }
    }
}

/// Asks for all names, or those that are in doubt.
async fn refresh<L, F>(sets: &[Arc<EndpointSet>], all: bool, lookup: &L)
where
    L: Fn(String) -> F,
    F: Future<Output = io::Result<Addresses>>,
{
    let mut hosts = BTreeSet::new();
    for name in sets.iter().flat_map(|set| set.names()) {
        if name.doubted.swap(false, Ordering::AcqRel) || all {
            hosts.insert(name.host.clone());
        }
    }
    let ask = |host: Box<str>| async move {
        let found = timeout(PATIENCE, lookup(host.to_string())).await;
        (host, found)
    };
    let mut answers = stream::iter(hosts).map(ask).buffer_unordered(TOGETHER);
    while let Some((host, found)) = answers.next().await {
        // A name that does not resolve keeps the addresses that it had.
        let Ok(Ok(found)) = found else { continue };
        let addresses = usable(&found);
        for set in sets {
            set.resolved(&host, &addresses, Instant::now());
        }
    }
}

/// The addresses that become endpoints, in order. A name with IPv4 and IPv6 is one machine with both.
fn usable(found: &[IpAddr]) -> Vec<IpAddr> {
    let has_v4 = found.iter().any(IpAddr::is_ipv4);
    let usable: BTreeSet<_> = found.iter().filter(|ip| !has_v4 || ip.is_ipv4()).copied().collect();
    usable.into_iter().take(MOST).collect()
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
