//! Names to addresses, at run time and anew: containers come back with other addresses.

use hashbrown::HashMap;
use smallvec::{SmallVec, smallvec};
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer is kept. Short, because a developer restarts things; long enough that a burst
/// of new connections asks once.
const KEEP: Duration = Duration::from_secs(1);
/// Names remembered per worker.
const MOST: usize = 1024;

/// A few addresses.
pub(crate) type Addresses = SmallVec<[IpAddr; 4]>;

thread_local! {
    static CACHE: RefCell<HashMap<String, (Instant, Addresses)>> = RefCell::new(HashMap::new());
}

/// The addresses of a host. `localhost` and names under it are loopback without asking (RFC 6761
/// §6.3).
///
/// # Errors
/// What the system's resolver says; never cached.
pub(crate) async fn resolve(host: &str) -> io::Result<Addresses> {
    if let Ok(address) = host.parse() {
        return Ok(smallvec![address]);
    }
    if host == "localhost" || host.ends_with(".localhost") {
        return Ok(smallvec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let now = Instant::now();
    let cached = CACHE.with_borrow(|cache| match cache.get(host) {
        Some((until, addresses)) if *until > now => Some(addresses.clone()),
        _ => None,
    });
    if let Some(addresses) = cached {
        return Ok(addresses);
    }
    let found = tokio::net::lookup_host((host, 0)).await?;
    let addresses: Addresses = found.map(|address| address.ip()).take(64).collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    CACHE.with_borrow_mut(|cache| {
        if cache.len() >= MOST {
            cache.clear();
        }
        cache.insert(host.to_owned(), (now + KEEP, addresses.clone()));
    });
    Ok(addresses)
}

/// Forgets a name whose addresses did not answer.
pub(super) fn forget(host: &str) {
    CACHE.with_borrow_mut(|cache| cache.remove(host));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn literals_and_localhost_need_no_resolver() {
        assert_eq!(
            resolve("10.1.2.3").await.unwrap().as_slice(),
            ["10.1.2.3".parse::<IpAddr>().unwrap()]
        );
        assert_eq!(resolve("::1").await.unwrap().as_slice(), [IpAddr::from(Ipv6Addr::LOCALHOST)]);
        assert_eq!(resolve("users.localhost").await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_an_error() {
        assert!(resolve("no-such-host.invalid").await.is_err());
    }
}
