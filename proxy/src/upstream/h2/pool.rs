//! The connections of each endpoint: per worker, shared by many exchanges at once.
//!
//! Touched only in plain functions on the worker's own thread, so there is no lock. A connection
//! takes as many exchanges as the endpoint allows; then one more is opened.

use super::connection::{EXCHANGES, Opened};
use super::health::Health;
use bytes::Bytes;
use h2::client::SendRequest;
use hashbrown::HashMap;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;

/// How often idle connections are looked at.
const TICK: Duration = Duration::from_secs(5);
/// Idle connections are closed after so many ticks: a minute. Unlike HTTP/1 the endpoint says when
/// it closes one, so there is no need to be quicker than it.
const IDLE: u64 = 12;
/// Connections that have been doubted for so many ticks are given up; what still goes on there may.
const GIVEN_UP: u64 = 2;
/// Connections per endpoint and worker.
const MOST: usize = 256;

/// A place on a connection, held while an exchange lasts.
#[derive(Debug)]
pub(in crate::upstream) struct Lease {
    pub send: SendRequest<Bytes>,
    place: Place,
}

/// Counts an exchange until it is dropped. Dropped before the exchange was over, it casts doubt on a
/// connection that was not heard of since.
#[derive(Debug)]
pub(super) struct Place {
    exchanges: Arc<AtomicUsize>,
    health: Arc<Health>,
    /// When something was last heard of the exchange, by [`Health::heard`].
    heard: usize,
    over: bool,
}

impl Place {
    fn take(exchanges: &Arc<AtomicUsize>, health: &Arc<Health>) -> Self {
        exchanges.fetch_add(1, Ordering::Relaxed);
        let heard = health.heard();
        Self { exchanges: exchanges.clone(), health: health.clone(), heard, over: false }
    }

    /// Something came of the exchange.
    pub fn moved(&mut self) {
        self.heard = self.health.heard();
    }

    /// All of it has come.
    pub fn finish(&mut self) {
        self.over = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.exchanges.fetch_sub(1, Ordering::Relaxed);
        if !self.over {
            self.health.doubt(self.heard);
        }
    }
}

impl Lease {
    pub(super) fn into_parts(self) -> (SendRequest<Bytes>, Place) {
        (self.send, self.place)
    }
}

struct Shared {
    send: SendRequest<Bytes>,
    health: Arc<Health>,
    exchanges: Arc<AtomicUsize>,
    /// The tick at which it was last seen in use.
    used: u64,
    /// For how many ticks it has been doubted.
    doubted: u64,
}

impl Shared {
    /// Whether new exchanges can begin on it: it has neither ended nor been told to.
    fn is_open(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !matches!(self.send.poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    fn has_room(&self) -> bool {
        let most = self.send.current_max_send_streams().min(EXCHANGES as usize);
        self.in_use() < most && !self.health.is_doubted()
    }

    fn in_use(&self) -> usize {
        self.exchanges.load(Ordering::Relaxed)
    }

    fn lease(&self) -> Lease {
        Lease { send: self.send.clone(), place: Place::take(&self.exchanges, &self.health) }
    }
}

#[derive(Default)]
struct Pool {
    /// By [`crate::upstream::Endpoint::id`].
    connections: HashMap<u64, Vec<Shared>>,
    /// Endpoints that somebody is connecting to.
    leading: HashMap<u64, Arc<Attempt>>,
    now: u64,
    /// Whether a sweeper task runs on this worker.
    sweeping: bool,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::new(Pool::default());
}

/// A place on a connection that has room, if there is one.
pub(in crate::upstream) fn take(endpoint: u64) -> Option<Lease> {
    POOL.with_borrow_mut(|pool| {
        let now = pool.now;
        let connections = pool.connections.get_mut(&endpoint)?;
        connections.retain_mut(Shared::is_open);
        let room = connections.iter_mut().find(|connection| connection.has_room())?;
        room.used = now;
        Some(room.lease())
    })
}

/// Shares a new connection; returns a place on it.
pub(in crate::upstream) fn put(endpoint: u64, opened: Opened) -> Lease {
    let Opened { send, health } = opened;
    let (lease, start_sweeper) = POOL.with_borrow_mut(|pool| {
        let shared = Shared { send, health, exchanges: Arc::default(), used: pool.now, doubted: 0 };
        let lease = shared.lease();
        let connections = pool.connections.entry(endpoint).or_default();
        if connections.len() < MOST {
            connections.push(shared);
        }
        (lease, !std::mem::replace(&mut pool.sweeping, true))
    });
    if start_sweeper {
        tokio::spawn(sweep());
    }
    lease
}

/// Who opens a connection: one request at a time, so that a burst does not open one each.
pub(in crate::upstream) enum Lead {
    /// The caller; others wait until this is dropped.
    Yours(Leading),
    /// Somebody else; wait for them, then look again.
    Theirs(Arc<Attempt>),
}

/// An attempt that others wait for.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Attempt {
    over: Notify,
    succeeded: AtomicBool,
}

impl Attempt {
    /// Waits for its end; whether it came to a connection. To be called where it was found, before
    /// anything else is awaited.
    pub async fn succeeded(&self) -> bool {
        self.over.notified().await;
        self.succeeded.load(Ordering::Relaxed)
    }
}

/// Held while connecting.
pub(in crate::upstream) struct Leading(u64);

impl Leading {
    /// There is a connection.
    pub fn succeed(self) {
        POOL.with_borrow(|pool| {
            if let Some(attempt) = pool.leading.get(&self.0) {
                attempt.succeeded.store(true, Ordering::Relaxed);
            }
        });
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        let attempt = POOL.with_borrow_mut(|pool| pool.leading.remove(&self.0));
        if let Some(attempt) = attempt {
            attempt.over.notify_waiters();
        }
    }
}

/// Asks to be the one who connects.
pub(in crate::upstream) fn lead(endpoint: u64) -> Lead {
    POOL.with_borrow_mut(|pool| match pool.leading.get(&endpoint) {
        Some(theirs) => Lead::Theirs(theirs.clone()),
        None => {
            pool.leading.insert(endpoint, Arc::default());
            Lead::Yours(Leading(endpoint))
        }
    })
}

/// Closes connections that have been idle too long, until there are none any more.
async fn sweep() {
    loop {
        tokio::time::sleep(TICK).await;
        let done = POOL.with_borrow_mut(|pool| {
            pool.now += 1;
            let now = pool.now;
            pool.connections.retain(|_, connections| {
                connections.retain_mut(|connection| {
                    if connection.in_use() > 0 {
                        connection.used = now;
                    }
                    connection.doubted =
                        if connection.health.is_doubted() { connection.doubted + 1 } else { 0 };
                    let wanted = now - connection.used < IDLE && connection.doubted < GIVEN_UP;
                    wanted && connection.is_open()
                });
                !connections.is_empty()
            });
            pool.sweeping = !pool.connections.is_empty();
            !pool.sweeping
        });
        if done {
            return;
        }
    }
}
