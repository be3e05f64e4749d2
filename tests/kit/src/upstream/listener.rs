//! A TCP server on a free port, one thread per connection, each connection handed to a closure.
//!
//! A closure that panics is a failed test: the first panic is kept and raised again when the
//! handle is dropped, unless the drop itself is what broke the connection.

use super::server::Request;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Requests that an HTTP upstream remembers.
const REMEMBERED: usize = 100_000;

/// A running server; dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    stopping: AtomicBool,
    connections: AtomicUsize,
    /// A second handle on every open connection, to break it off at the end.
    open: Mutex<HashMap<usize, TcpStream>>,
    failure: Mutex<Option<String>>,
    requests: Mutex<Vec<Request>>,
}

impl Upstream {
    /// Hands every connection, with its number from 1 on, to `serve` on a thread of its own. The
    /// connection closes when `serve` returns.
    #[track_caller]
    #[must_use]
    pub fn scripted(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        Self::scripted_on((Ipv4Addr::LOCALHOST, 0).into(), serve)
    }

    /// As [`Upstream::scripted`], on a given address: for a service that comes back.
    #[track_caller]
    #[must_use]
    pub fn scripted_on(
        address: SocketAddr,
        serve: impl Fn(TcpStream, usize) + Send + Sync + 'static,
    ) -> Self {
        Self::listen(address, move |stream, number, _| serve(stream, number))
    }

    /// As [`Upstream::scripted_on`], with a place to note requests.
    #[track_caller]
    pub(super) fn listen(
        address: SocketAddr,
        serve: impl Fn(TcpStream, usize, &dyn Fn(Request)) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address)
            .unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let acceptor = std::thread::spawn(move || accept(&listener, &shared, &Arc::new(serve)));
        Self { address, state, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections it has accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// How many connections are open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        lock(&self.state.open).len()
    }

    /// The whole requests that an HTTP upstream has received so far, in order of arrival (the
    /// first 100 000).
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.requests).clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::SeqCst);
        // `accept` has no limit of its own: one last connection makes it look at `stopping`.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            let _ = acceptor.join();
        }
        for stream in lock(&self.state.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let failure = lock(&self.state.failure).take();
        if let Some(failure) = failure.filter(|_| !std::thread::panicking()) {
            panic!("the upstream on {} failed: {failure}", self.address);
        }
    }
}

fn accept<S>(listener: &TcpListener, state: &Arc<State>, serve: &Arc<S>)
where
    S: Fn(TcpStream, usize, &dyn Fn(Request)) + Send + Sync + 'static,
{
    loop {
        let accepted = listener.accept();
        if state.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok((stream, _)) = accepted else { continue };
        let number = state.connections.fetch_add(1, Ordering::Relaxed) + 1;
        // Small answers must not wait for acknowledgements: tests measure latencies.
        let _ = stream.set_nodelay(true);
        if let Ok(second) = stream.try_clone() {
            lock(&state.open).insert(number, second);
        }
        let (state, serve) = (Arc::clone(state), Arc::clone(serve));
        std::thread::spawn(move || state.run(number, |note| serve(stream, number, note)));
    }
}

impl State {
    fn run(&self, number: usize, serve: impl FnOnce(&dyn Fn(Request))) {
        let note = |request| {
            let mut requests = lock(&self.requests);
            if requests.len() < REMEMBERED {
                requests.push(request);
            }
        };
        let result = catch_unwind(AssertUnwindSafe(|| serve(&note)));
        // The handle here would keep the connection open after `serve` has let go of its own.
        lock(&self.open).remove(&number);
        if let Err(panic) = result
            && !self.stopping.load(Ordering::SeqCst)
        {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let text = format!("connection {number}: {}", text.unwrap_or("a panic without text"));
            lock(&self.failure).get_or_insert(text);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is one step, so a panic leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::wait_until;
    use std::io::{Read, Write};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn connections_are_numbered_and_closed_when_served() {
        let upstream = Upstream::scripted(|mut stream, number| {
            let _ = write!(stream, "{number}");
        });
        for expected in ["1", "2"] {
            let mut text = String::new();
            TcpStream::connect(upstream.addr()).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
        }
        assert_eq!(upstream.connections(), 2);
        assert!(wait_until(LONG, || upstream.open_connections() == 0));
        assert_eq!(upstream.url(), format!("http://{}", upstream.addr()));
    }

    #[test]
    fn a_drop_breaks_connections_and_frees_the_port() {
        let upstream = Upstream::scripted(|mut stream, _| {
            let _ = stream.read(&mut [0]);
        });
        let address = upstream.addr();
        let mut stream = TcpStream::connect(address).unwrap();
        assert!(wait_until(LONG, || upstream.open_connections() == 1));
        drop(upstream);
        assert!(!stream.read(&mut [0]).is_ok_and(|count| count > 0));
        assert!(TcpStream::connect(address).is_err());
        let back = Upstream::scripted_on(address, |_, _| {});
        assert_eq!(back.addr(), address);
    }

    #[test]
    fn a_failed_script_surfaces_with_its_text() {
        let upstream = Upstream::scripted(|_, _| panic!("wrong bytes"));
        let mut stream = TcpStream::connect(upstream.addr()).unwrap();
        let _ = stream.read(&mut [0]);
        assert!(wait_until(LONG, || lock(&upstream.state.failure).is_some()));
        let panic = catch_unwind(AssertUnwindSafe(|| drop(upstream))).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("connection 1: wrong bytes"), "{text}");
    }
}
