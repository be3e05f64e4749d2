//! Worker threads: one `current_thread` runtime each, so that everything a connection touches stays
//! on one core.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{JoinHandle, current};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// The worker threads of the process.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    /// Whose turn it is to run what is spawned.
    turn: AtomicUsize,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    load: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// A place in a worker's load; given back when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts `count` workers (at least one); `name` names their threads.
    ///
    /// # Errors
    /// When a thread or its reactor cannot be made.
    pub fn start(name: &str, count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let workers = (0..count.max(1))
            .map(|number| Worker::start(format!("{name}-{number}"), stop.clone()))
            .collect::<io::Result<_>>()?;
        Ok(Self { workers, turn: AtomicUsize::new(0), stop })
    }

    /// The least loaded worker's runtime and a place in its load. Among equals it is the one whose
    /// thread asks: a connection that stays costs no wake-up.
    pub(super) fn least_loaded(&self) -> (&Handle, Place) {
        let here = Handle::try_current().ok().map(|handle| handle.id());
        let load = |worker: &&Worker| {
            let elsewhere = Some(worker.runtime.id()) != here;
            (worker.load.load(Ordering::Relaxed), elsewhere)
        };
        let least = self.workers.iter().min_by_key(load).unwrap_or(&self.workers[0]);
        least.load.fetch_add(1, Ordering::Relaxed);
        (&least.runtime, Place(least.load.clone()))
    }

    /// Runs a future on one worker after the other.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.workers[turn % self.workers.len()].runtime.spawn(task);
    }
}

impl Worker {
    fn start(name: String, stop: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || runtime.block_on(stop.cancelled()))?;
        Ok(Self { runtime: handle, load: Arc::default(), thread: Some(thread) })
    }
}

impl Drop for Workers {
    /// Stops the workers; whatever still runs on them is dropped.
    fn drop(&mut self) {
        self.stop.cancel();
        for worker in &mut self.workers {
            // The last one to let go may be a worker itself, which cannot wait for its own end.
            let elsewhere = |thread: &JoinHandle<()>| thread.thread().id() != current().id();
            if let Some(thread) = worker.thread.take().filter(elsewhere) {
                // A worker that panicked has said so on its own.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_spread_evenly_and_places_are_given_back() {
        let workers = Workers::start("test", 2).unwrap();
        let (first, first_place) = workers.least_loaded();
        let first = first.id();
        let (second, _second_place) = workers.least_loaded();
        assert_ne!(first, second.id());
        drop(first_place);
        assert_eq!(workers.least_loaded().0.id(), first);
    }
}
