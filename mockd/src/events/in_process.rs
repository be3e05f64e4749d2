//! A broker inside the process, with the subject semantics of NATS.

use super::bus::{Bus, BusError, Dropped, Subscription};
use super::message::Message;
use super::stats::dropped;
use super::subject::{is_wild, matches};
use futures_util::Stream;
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use stitch_net::mock::BoxFuture;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Messages that one subscription may have waiting.
const QUEUE: usize = 1024;

/// A bus for everybody in this process.
#[derive(Clone, Debug)]
pub struct InProcess(Arc<Broker>);

#[derive(Debug)]
struct Broker {
    table: Mutex<Table>,
    capacity: usize,
    dropped: AtomicU64,
}

/// Who subscribes to what.
#[derive(Debug, Default)]
struct Table {
    literal: HashMap<String, Vec<Subscriber>>,
    wild: Vec<(String, Subscriber)>,
    next: u64,
}

#[derive(Debug)]
struct Subscriber {
    id: u64,
    queue: Sender<Message>,
}

impl Default for InProcess {
    fn default() -> Self {
        Self::with_capacity(QUEUE)
    }
}

impl InProcess {
    /// A broker whose subscriptions hold this many waiting messages each.
    pub fn with_capacity(capacity: usize) -> Self {
        let table = Mutex::default();
        Self(Arc::new(Broker { table, capacity: capacity.max(1), dropped: AtomicU64::new(0) }))
    }
}

impl Broker {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queues that take a subject; cloned, so that nothing is sent under the lock.
    fn takers(&self, subject: &str) -> SmallVec<[Sender<Message>; 4]> {
        let table = self.table();
        let literal = table.literal.get(subject).into_iter().flatten();
        let wild = table.wild.iter().filter(|(pattern, _)| matches(pattern, subject));
        literal.chain(wild.map(|(_, taker)| taker)).map(|taker| taker.queue.clone()).collect()
    }
}

impl Bus for InProcess {
    fn name(&self) -> &'static str {
        "in-process"
    }

    fn publish(&self, message: Message) -> Result<(), Dropped> {
        let mut lost = 0;
        for taker in self.0.takers(&message.subject) {
            if let Err(mpsc::error::TrySendError::Full(_)) = taker.try_send(message.clone()) {
                lost += 1;
            }
        }
        if lost == 0 {
            return Ok(());
        }
        self.0.dropped.fetch_add(lost, Ordering::Relaxed);
        dropped(lost);
        Err(Dropped)
    }

    fn subscribe(&self, subject: &str) -> BoxFuture<Result<Subscription, BusError>> {
        let (queue, messages) = mpsc::channel(self.0.capacity);
        let mut table = self.0.table();
        let id = table.next;
        table.next += 1;
        let subscriber = Subscriber { id, queue };
        if is_wild(subject) {
            table.wild.push((subject.to_owned(), subscriber));
        } else {
            table.literal.entry(subject.to_owned()).or_default().push(subscriber);
        }
        drop(table);
        let inbox = Inbox { broker: self.0.clone(), subject: subject.to_owned(), id, messages };
        Box::pin(std::future::ready(Ok(Box::pin(inbox) as Subscription)))
    }

    fn flush(&self) -> BoxFuture<Result<(), BusError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

/// The reading end of a subscription.
struct Inbox {
    broker: Arc<Broker>,
    subject: String,
    id: u64,
    messages: Receiver<Message>,
}

impl Stream for Inbox {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.messages.poll_recv(cx)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut table = self.broker.table();
        table.wild.retain(|(_, subscriber)| subscriber.id != self.id);
        if let Some(subscribers) = table.literal.get_mut(&self.subject) {
            subscribers.retain(|subscriber| subscriber.id != self.id);
            if subscribers.is_empty() {
                table.literal.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::request;
    use futures_util::{FutureExt as _, StreamExt as _};
    use std::time::Duration;

    #[tokio::test]
    async fn everybody_who_matches_gets_the_message() {
        let bus = InProcess::default();
        let mut exact = bus.subscribe("a.b").await.unwrap();
        let mut wild = bus.subscribe("a.*").await.unwrap();
        let mut other = bus.subscribe("b.>").await.unwrap();
        bus.publish(Message::new("a.b", "1")).unwrap();
        assert_eq!(exact.next().await.unwrap().payload, "1");
        assert_eq!(wild.next().await.unwrap().subject, "a.b");
        assert!(other.next().now_or_never().is_none());
        assert_eq!(bus.name(), "in-process");
        bus.flush().await.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let bus = InProcess::with_capacity(2);
        let mut slow = bus.subscribe("a").await.unwrap();
        bus.publish(Message::new("a", "1")).unwrap();
        bus.publish(Message::new("a", "2")).unwrap();
        assert_eq!(bus.publish(Message::new("a", "3")), Err(Dropped));
        assert_eq!(bus.dropped(), 1);
        assert_eq!(slow.next().await.unwrap().payload, "1");
        bus.publish(Message::new("a", "4")).unwrap();
        assert_eq!(slow.next().await.unwrap().payload, "2");
        assert_eq!(slow.next().await.unwrap().payload, "4");
    }

    #[tokio::test]
    async fn dropping_a_subscription_leaves_nothing_behind() {
        let bus = InProcess::default();
        let subscriptions =
            [bus.subscribe("a").await.unwrap(), bus.subscribe("a.>").await.unwrap()];
        drop(subscriptions);
        let table = bus.0.table();
        assert!(table.literal.is_empty() && table.wild.is_empty());
    }

    #[tokio::test]
    async fn requests_are_answered_through_an_inbox() {
        let bus = InProcess::default();
        let mut asked = bus.subscribe("quotes.get").await.unwrap();
        let answering = bus.clone();
        let answer = tokio::spawn(async move {
            let question = asked.next().await.unwrap();
            answering.publish(Message::new(question.reply.unwrap(), "4.2")).unwrap();
        });
        let question = Message::new("quotes.get", "?");
        let reply = request(&bus, question.clone(), Duration::from_secs(5)).await.unwrap();
        assert_eq!(reply.payload, "4.2");
        answer.await.unwrap();
        assert_eq!(request(&bus, question, Duration::from_millis(1)).await, None);
    }
}
