//! A NATS server as bus.
//!
//! While the server is away, messages wait here and not in the client, so that the bound is exact
//! and what does not fit is counted. The client resubscribes by itself when the server returns.

use super::bus::{Bus, BusError, Dropped, Subscription};
use super::message::Message;
use super::stats::dropped;
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, HeaderMap};
use futures_util::StreamExt as _;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stitch_net::mock::BoxFuture;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Messages that wait for the server, and messages that wait in one subscription.
const QUEUE: usize = 1024;
/// Commands that the client itself holds. Kept small: they are not counted when they get lost.
const CLIENT_QUEUE: usize = 128;
/// How often the state of the connection is looked at while messages wait; events about it may be
/// missed by a busy client.
const LOOK: Duration = Duration::from_millis(100);
/// How long flushing may take.
const FLUSH: Duration = Duration::from_secs(5);
/// The longest pause between attempts to come back.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// A connection to a NATS server.
#[derive(Debug)]
pub struct Nats {
    name: String,
    inner: Arc<Inner>,
    forwarder: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    waiting: Mutex<VecDeque<Message>>,
    signals: Arc<Signals>,
}

/// What the client's events change.
#[derive(Debug, Default)]
struct Signals {
    /// Something to send, or a server to send it to.
    wake: Notify,
    dropped: AtomicU64,
}

impl Signals {
    fn lost(&self, messages: u64) {
        self.dropped.fetch_add(messages, Ordering::Relaxed);
        dropped(messages);
    }
}

impl Nats {
    /// Connects, or fails when the server does not answer in time.
    ///
    /// # Errors
    /// When the address cannot be parsed or nothing answers there.
    pub async fn connect(url: &str, timeout: Duration) -> Result<Self, BusError> {
        let unreachable = |cause: String| BusError::Unreachable { address: masked(url), cause };
        let connecting = Self::open(url, |options| options.connection_timeout(timeout));
        match tokio::time::timeout(timeout, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(unreachable(format!("no answer within {timeout:?}"))),
        }
    }

    /// Connects as soon as the server answers, and meanwhile takes messages and subscriptions.
    ///
    /// # Errors
    /// When the address cannot be parsed.
    pub async fn connect_when_up(url: &str) -> Result<Self, BusError> {
        Self::open(url, ConnectOptions::retry_on_initial_connect).await
    }

    async fn open(
        url: &str,
        adapt: impl FnOnce(ConnectOptions) -> ConnectOptions,
    ) -> Result<Self, BusError> {
        let signals = Arc::new(Signals::default());
        let heard = signals.clone();
        let address = masked(url);
        let said = address.clone();
        let options = ConnectOptions::new()
            .name("stitch")
            .client_capacity(CLIENT_QUEUE)
            .subscription_capacity(QUEUE)
            .reconnect_delay_callback(|attempt| {
                let steps = u32::try_from(attempt.min(100)).unwrap_or(100);
                (Duration::from_millis(100) * steps).min(MAX_PAUSE)
            })
            .event_callback(move |event| {
                on_event(&heard, &said, &event);
                std::future::ready(())
            });
        let client = adapt(options).connect(url).await.map_err(|error| BusError::Unreachable {
            address: address.clone(),
            cause: error.to_string(),
        })?;
        let inner = Arc::new(Inner { client, waiting: Mutex::default(), signals });
        let forwarder = tokio::spawn(forward(inner.clone()));
        Ok(Self { name: address, inner, forwarder })
    }

    /// Whether the server is there right now.
    pub fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}

impl Inner {
    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Message>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Message> {
        self.waiting().pop_front()
    }

    /// Gives a message to the client, which has a connection.
    async fn send(&self, message: Message) {
        let Message { subject, headers, payload, reply } = message;
        let headers = native_headers(&headers);
        let sent = match reply {
            Some(reply) => {
                self.client.publish_with_reply_and_headers(subject, reply, headers, payload).await
            }
            None => self.client.publish_with_headers(subject, headers, payload).await,
        };
        if let Err(error) = sent {
            self.signals.lost(1);
            tracing::warn!(%error, "An event could not be published");
        }
    }
}

fn on_event(signals: &Signals, address: &str, event: &Event) {
    match event {
        Event::Connected => tracing::info!(address, "Connected to the event bus"),
        Event::Disconnected => tracing::warn!(address, "Lost the event bus, trying to come back"),
        // The client drops one message per such event.
        Event::SlowConsumer(_) => signals.lost(1),
        other => tracing::debug!(address, event = %other, "Event bus"),
    }
    signals.wake.notify_one();
}

/// Sends what waits whenever there is a server.
async fn forward(inner: Arc<Inner>) {
    loop {
        if inner.waiting().is_empty() {
            inner.signals.wake.notified().await;
        } else {
            // Either a signal or the time to look again.
            let _ = tokio::time::timeout(LOOK, inner.signals.wake.notified()).await;
        }
        while inner.is_connected() {
            let Some(message) = inner.next() else { break };
            inner.send(message).await;
        }
    }
}

impl Bus for Nats {
    fn name(&self) -> &str {
        &self.name
    }

    fn publish(&self, message: Message) -> Result<(), Dropped> {
        let mut waiting = self.inner.waiting();
        if waiting.len() >= QUEUE {
            drop(waiting);
            self.inner.signals.lost(1);
            return Err(Dropped);
        }
        waiting.push_back(message);
        drop(waiting);
        self.inner.signals.wake.notify_one();
        Ok(())
    }

    fn subscribe(&self, subject: &str) -> BoxFuture<Result<Subscription, BusError>> {
        let (client, subject) = (self.inner.client.clone(), subject.to_owned());
        Box::pin(async move {
            let messages = client
                .subscribe(subject.clone())
                .await
                .map_err(|error| BusError::Subscribe { subject, cause: error.to_string() })?;
            Ok(Box::pin(messages.map(own_message)) as Subscription)
        })
    }

    fn flush(&self) -> BoxFuture<Result<(), BusError>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let flushed = async {
                while !inner.waiting().is_empty() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                round_trip(&inner.client).await.ok_or(BusError::Flush)
            };
            if !inner.is_connected() {
                return Err(BusError::Flush);
            }
            tokio::time::timeout(FLUSH, flushed).await.unwrap_or(Err(BusError::Flush))
        })
    }

    fn dropped(&self) -> u64 {
        self.inner.signals.dropped.load(Ordering::Relaxed)
    }
}

/// Sends a message to ourselves and waits for it. A server takes the commands of a connection in
/// order, so all that was sent before has been taken too; the client's own `flush` only says that
/// the bytes have left.
async fn round_trip(client: &Client) -> Option<()> {
    let inbox = client.new_inbox();
    let mut back = client.subscribe(inbox.clone()).await.ok()?;
    client.publish(inbox, bytes::Bytes::new()).await.ok()?;
    client.flush().await.ok()?;
    back.next().await.map(|_| ())
}

fn native_headers(headers: &[(String, String)]) -> HeaderMap {
    let mut native = HeaderMap::new();
    for (name, value) in headers {
        // What NATS cannot carry is left out; a header is no reason to lose an event.
        if let (Ok(name), Ok(value)) =
            (name.parse::<async_nats::HeaderName>(), value.parse::<async_nats::HeaderValue>())
        {
            native.append(name, value);
        }
    }
    native
}

fn own_message(message: async_nats::Message) -> Message {
    let headers = message.headers.iter().flat_map(HeaderMap::iter).flat_map(|(name, values)| {
        values.iter().map(move |value| (name.to_string(), value.to_string()))
    });
    Message {
        headers: headers.collect(),
        subject: message.subject.to_string(),
        payload: message.payload,
        reply: message.reply.map(|reply| reply.to_string()),
    }
}

/// An address without credentials.
fn masked(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{host}")
}
