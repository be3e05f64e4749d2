//! What carries messages.

use super::message::Message;
use futures_util::{Stream, StreamExt as _};
use std::pin::Pin;
use std::time::Duration;
use stitch_net::mock::BoxFuture;
use thiserror::Error;

/// A bounded stream of messages; dropping it unsubscribes.
pub type Subscription = Pin<Box<dyn Stream<Item = Message> + Send>>;

/// A message was not taken, or not by everybody; the bus has counted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("dropped: a queue is full")]
pub struct Dropped;

/// Why a bus cannot be used.
#[derive(Debug, Error)]
pub enum BusError {
    /// The server cannot be reached, or does not answer.
    #[error("cannot reach {address}: {cause}")]
    Unreachable {
        /// The server, without credentials.
        address: String,
        /// What the client said.
        cause: String,
    },
    /// Subscribing failed.
    #[error("cannot subscribe to {subject}: {cause}")]
    Subscribe {
        /// The pattern.
        subject: String,
        /// What the client said.
        cause: String,
    },
    /// Buffered messages did not get out in time.
    #[error("messages are still waiting to be sent")]
    Flush,
}

/// Carries messages from publishers to subscribers.
pub trait Bus: Send + Sync {
    /// `in-process` or the server's address, without credentials.
    fn name(&self) -> &str;

    /// Hands a message over; never waits.
    ///
    /// # Errors
    /// When a queue is full; the message is lost and counted.
    fn publish(&self, message: Message) -> Result<(), Dropped>;

    /// Subscribes to a subject, which may have wildcards.
    fn subscribe(&self, subject: &str) -> BoxFuture<Result<Subscription, BusError>>;

    /// Waits until everything handed over so far is out.
    fn flush(&self) -> BoxFuture<Result<(), BusError>>;

    /// Messages lost to full queues so far.
    fn dropped(&self) -> u64;
}

/// Publishes a message and waits for one answer to it.
pub async fn request(bus: &dyn Bus, message: Message, timeout: Duration) -> Option<Message> {
    let inbox = format!("_INBOX.{}", uuid::Uuid::new_v4().simple());
    let mut answers = bus.subscribe(&inbox).await.ok()?;
    bus.publish(Message { reply: Some(inbox), ..message }).ok()?;
    tokio::time::timeout(timeout, answers.next()).await.ok()?
}
