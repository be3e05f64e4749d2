//! Idle upstream connections: per worker, per endpoint, last in first out.
//!
//! Touched only in plain functions on the worker's own thread, so there is no lock. LIFO keeps few
//! connections warm and lets the others age out.

use super::endpoint::Endpoint;
use hashbrown::HashMap;
use hyper::client::conn::http1::SendRequest;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;
use stitch_net::Body;
use tokio::time::Instant;

/// Idle connections are dropped after this: Node and uvicorn close theirs at 5 s.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections kept per endpoint and worker.
const MOST: usize = 1024;
/// How long a connection may take to become ready again after an answer was read whole.
const SETTLE: Duration = Duration::from_secs(1);

struct Idle {
    sender: SendRequest<Body>,
    since: Instant,
}

#[derive(Default)]
struct Pool {
    idle: HashMap<u64, VecDeque<Idle>>,
    /// Whether a sweeper task runs on this worker.
    sweeping: bool,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::new(Pool::default());
}

/// The youngest live idle connection of an endpoint, if there is one.
pub(super) fn take(endpoint: &Endpoint) -> Option<SendRequest<Body>> {
    POOL.with_borrow_mut(|pool| {
        let idle = pool.idle.get_mut(&endpoint.id)?;
        while let Some(candidate) = idle.pop_back() {
            if candidate.sender.is_ready() {
                return Some(candidate.sender);
            }
        }
        None
    })
}

fn put(endpoint_id: u64, sender: SendRequest<Body>) {
    let start_sweeper = POOL.with_borrow_mut(|pool| {
        let idle = pool.idle.entry(endpoint_id).or_default();
        if idle.len() < MOST {
            idle.push_back(Idle { sender, since: Instant::now() });
        }
        !std::mem::replace(&mut pool.sweeping, true)
    });
    if start_sweeper {
        tokio::spawn(sweep());
    }
}

/// Drops what has been idle too long, until nothing is idle any more.
async fn sweep() {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let oldest_allowed = Instant::now().checked_sub(IDLE);
        let done = POOL.with_borrow_mut(|pool| {
            pool.idle.retain(|_, idle| {
                while idle.front().is_some_and(|idle| {
                    idle.sender.is_closed() || Some(idle.since) <= oldest_allowed
                }) {
                    idle.pop_front();
                }
                !idle.is_empty()
            });
            let done = pool.idle.is_empty();
            pool.sweeping = !done;
            done
        });
        if done {
            return;
        }
    }
}

/// A connection that is carrying an answer. Given back when the answer was read whole; closed
/// otherwise.
#[derive(Debug)]
pub struct Lease {
    endpoint_id: u64,
    sender: SendRequest<Body>,
}

impl Lease {
    pub(super) fn new(endpoint: &Endpoint, sender: SendRequest<Body>) -> Self {
        Self { endpoint_id: endpoint.id, sender }
    }

    /// Returns the connection to the pool. Only for answers that were read to their end.
    pub fn give_back(mut self) {
        if self.sender.is_ready() {
            put(self.endpoint_id, self.sender);
        } else if !self.sender.is_closed() {
            // hyper's connection task has yet to notice that the exchange is over.
            tokio::spawn(async move {
                let ready = tokio::time::timeout(SETTLE, self.sender.ready()).await;
                if let Ok(Ok(())) = ready {
                    put(self.endpoint_id, self.sender);
                }
            });
        }
    }
}
