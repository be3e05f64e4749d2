//! File descriptors: as many as the system lets us have, and room for them from the start.
//!
//! Every connection takes one, most take two, and the usual soft limit of 1024 is for programs that
//! `select`. The kernel's table of a process with threads grows only after a grace period, which
//! stalls every `accept` and `connect` for a while, seconds on a busy machine; growing it before the
//! first thread costs nothing.

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than this is not asked for, and not reserved: 10 000 connections with an upstream each, and
/// what else is open.
const ENOUGH: u64 = 32_768;

/// Raises the soft limit and makes room. To be called before there are threads. What cannot be had
/// is done without.
pub(crate) fn reserve() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let limit = maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    let limit = match current {
        Some(current) if current < limit => {
            let raised = Rlimit { current: Some(limit), maximum };
            setrlimit(Resource::Nofile, raised).map_or(current, |()| limit)
        }
        _ => limit,
    };
    let highest = i32::try_from(limit.saturating_sub(1)).unwrap_or(i32::MAX);
    // The table keeps its size when the descriptor is closed again, at once.
    drop(fcntl_dupfd_cloexec(rustix::stdio::stderr(), highest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_ends_up_where_it_can() {
        reserve();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let possible = maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
        assert!(current.is_none_or(|current| current >= possible), "{current:?}");
    }
}
