//! A key set at an address: fetched when it is needed, by one task at a time, and kept.

use super::admit::{Cause, Identity};
use super::jwt::{Token, Tokens};
use super::keys::KeySet;
use super::outgoing::Caller;
use super::rotation::{Advice, Rotation};
use arc_swap::ArcSwapOption;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a fetch may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How large a set may be.
const MOST: usize = 1 << 20;

/// Where keys come from.
#[derive(Debug)]
pub(super) struct Source {
    caller: Caller,
    path: Uri,
    cache: Duration,
    keys: ArcSwapOption<KeySet>,
    rotation: Mutex<Rotation>,
    /// Changes whenever a fetch has ended.
    ended: watch::Sender<()>,
}

/// What the keys that are here say about a token.
pub(super) enum Looked {
    /// This is final.
    Said(Result<Identity, Cause>),
    /// Another fetch may change it.
    Wait(watch::Receiver<()>),
}

impl Source {
    pub fn new(caller: Caller, path: &str, cache: Duration) -> Self {
        Self {
            caller,
            // The loader has checked it; what cannot be asked for is never answered with keys.
            path: path.parse().unwrap_or_default(),
            cache,
            keys: ArcSwapOption::empty(),
            rotation: Mutex::new(Rotation::new(cache)),
            ended: watch::Sender::new(()),
        }
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether it is the same source.
    pub fn is(&self, other: &Self) -> bool {
        self.caller.is(&other.caller) && self.path == other.path && self.cache == other.cache
    }

    fn rotation(&self) -> MutexGuard<'_, Rotation> {
        self.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the keys that are here say. May start a fetch.
    pub fn look(self: &Arc<Self>, tokens: &Tokens, token: &Token<'_>, clock: Clock) -> Looked {
        let keys = self.keys.load_full();
        let said = keys.map(|keys| tokens.check(token, &keys, clock.seconds));
        let known = match &said {
            None => false,
            Some(Ok(_)) => true,
            Some(Err(cause)) => !token.might_be_newer(*cause),
        };
        let mut rotation = self.rotation();
        let advice = rotation.advise(clock.now, known);
        let waiting = self.ended.subscribe();
        drop(rotation);
        match advice {
            Advice::Use => Looked::Said(said.unwrap_or(Err(Cause::Unavailable))),
            Advice::Nothing => Looked::Said(Err(Cause::Unavailable)),
            Advice::UseAndFetch => {
                self.start();
                Looked::Said(said.unwrap_or(Err(Cause::Unavailable)))
            }
            Advice::Fetch => {
                self.start();
                Looked::Wait(waiting)
            }
            Advice::Wait => Looked::Wait(waiting),
        }
    }

    /// What the keys say after a fetch, however it went.
    pub fn look_again(
        &self,
        tokens: &Tokens,
        token: &Token<'_>,
        clock: Clock,
    ) -> Result<Identity, Cause> {
        let usable = self.rotation().usable(clock.now);
        match self.keys.load_full().filter(|_| usable) {
            Some(keys) => tokens.check(token, &keys, clock.seconds),
            None => Err(Cause::Unavailable),
        }
    }

    /// Fetches in a task of its own: whoever waits may go away.
    fn start(self: &Arc<Self>) {
        let landing = Landing { source: self.clone(), keys: None };
        tokio::spawn(async move {
            let mut landing = landing;
            match landing.source.fetch().await {
                Ok(keys) => landing.keys = Some(keys),
                Err(why) => tracing::warn!(
                    from = %landing.source.caller,
                    why,
                    "The keys of tokens could not be fetched"
                ),
            }
        });
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let accept = HeaderValue::from_static("application/jwk-set+json, application/json");
        let headers = HeaderMap::from_iter([(ACCEPT, accept)]);
        let asked = self.caller.get(&self.path, headers, LIMIT, MOST).await;
        let response = asked.map_err(|error| error.to_string())?;
        match response.status() {
            StatusCode::OK => {
                KeySet::parse(response.body()).map_err(|why| format!("the answer {why}"))
            }
            status => Err(format!("the answer is {status}")),
        }
    }
}

/// Ends a fetch, even one that was cut off.
struct Landing {
    source: Arc<Source>,
    keys: Option<KeySet>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let keys = self.keys.take();
        let good = keys.is_some();
        if let Some(keys) = keys {
            self.source.keys.store(Some(Arc::new(keys)));
        }
        self.source.rotation().ended(Instant::now(), good);
        self.source.ended.send_replace(());
    }
}

/// What time it is: for the age of keys, and for what tokens say about their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub now: Instant,
    /// Seconds since 1970.
    pub seconds: f64,
}

impl Clock {
    pub fn read() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self { now: Instant::now(), seconds: since.map_or(0.0, |since| since.as_secs_f64()) }
    }
}
