//! Idle connections: per worker, per endpoint, last in first out.
//!
//! Touched only in plain functions on the worker's own thread, so there is no lock. LIFO keeps few
//! connections warm and lets the others age out.

use super::connection::Connection;
use hashbrown::HashMap;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

/// How often idle connections are looked at; their age is counted in these, so that no request reads
/// a clock.
const TICK: Duration = Duration::from_millis(500);
/// Idle connections are dropped after so many ticks, which is 4 s at most: Node and uvicorn close
/// theirs at 5 s.
const IDLE: u64 = 8;
/// Idle connections kept per endpoint and worker.
const MOST: usize = 1024;

struct Idle {
    connection: Connection,
    since: u64,
}

#[derive(Default)]
struct Pool {
    /// By [`crate::upstream::Endpoint::id`].
    idle: HashMap<u64, VecDeque<Idle>>,
    /// Ticks so far; they go on while anything is idle.
    now: u64,
    /// Whether a sweeper task runs on this worker.
    sweeping: bool,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::new(Pool::default());
}

/// The youngest live idle connection of an endpoint, if there is one. With `surely` the system is
/// asked whether it is alive: for requests that could not be sent again.
pub(crate) fn take(endpoint: u64, surely: bool) -> Option<Connection> {
    POOL.with_borrow_mut(|pool| {
        let idle = pool.idle.get_mut(&endpoint)?;
        while let Some(Idle { mut connection, .. }) = idle.pop_back() {
            if connection.seems_alive() && (!surely || connection.is_alive()) {
                return Some(connection);
            }
        }
        None
    })
}

/// Keeps a connection whose exchange is over.
pub(super) fn put(endpoint: u64, connection: Connection) {
    let start_sweeper = POOL.with_borrow_mut(|pool| {
        let idle = pool.idle.entry(endpoint).or_default();
        if idle.len() < MOST {
            idle.push_back(Idle { connection, since: pool.now });
        }
        !std::mem::replace(&mut pool.sweeping, true)
    });
    if start_sweeper {
        tokio::spawn(sweep());
    }
}

/// Drops what has been idle too long or was closed, until nothing is idle any more.
async fn sweep() {
    loop {
        tokio::time::sleep(TICK).await;
        let done = POOL.with_borrow_mut(|pool| {
            pool.now += 1;
            let now = pool.now;
            pool.idle.retain(|_, idle| {
                idle.retain_mut(|idle| now - idle.since < IDLE && idle.connection.seems_alive());
                !idle.is_empty()
            });
            pool.sweeping = !pool.idle.is_empty();
            !pool.sweeping
        });
        if done {
            return;
        }
    }
}
