//! Originals and copies in memory: what the one leaves to the other, and what ends them.

use super::*;
use futures_util::FutureExt as _;
use futures_util::stream::poll_fn;
use http_body_util::StreamBody;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

type Sender = UnboundedSender<Result<Frame<Bytes>, BoxError>>;

fn stream() -> (Sender, Body) {
    let (sender, mut receiver) = unbounded_channel();
    (sender, Body::boxed(StreamBody::new(poll_fn(move |cx| receiver.poll_recv(cx)))))
}

fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(bytes.into()))
}

fn taken(body: &mut Body) -> Option<Bytes> {
    body.frame().now_or_never().map(|frame| frame.unwrap().unwrap().into_data().unwrap())
}

#[tokio::test]
async fn the_copy_follows_the_original_and_ends_like_it() {
    let (sender, body) = stream();
    let (mut original, mut copy, fate) = tee(body, 100);
    assert!(copy.frame().now_or_never().is_none(), "nothing was read yet");
    sender.send(data("one ")).unwrap();
    assert!(copy.frame().now_or_never().is_none(), "nothing was read yet");
    assert_eq!(taken(&mut original).unwrap(), "one ");
    assert_eq!(taken(&mut copy).unwrap(), "one ");
    sender.send(data("two ")).unwrap();
    sender.send(data("three")).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", 3.into());
    sender.send(Ok(Frame::trailers(trailers.clone()))).unwrap();
    drop(sender);
    let rest = original.collect().await.unwrap();
    assert_eq!(rest.trailers(), Some(&trailers));
    let rest = copy.collect().await.unwrap();
    assert_eq!(rest.trailers(), Some(&trailers));
    assert_eq!(rest.to_bytes(), "two three");
    assert_eq!(fate.lost().now_or_never(), None);
}

#[tokio::test]
async fn the_original_goes_on_without_anybody_reading_the_copy() {
    let (sender, body) = stream();
    let (original, copy, fate) = tee(body, 1 << 20);
    for _ in 0..100 {
        sender.send(data(vec![b'x'; 1000])).unwrap();
    }
    drop(sender);
    assert_eq!(original.collect().now_or_never().unwrap().unwrap().to_bytes().len(), 100_000);
    assert_eq!(copy.collect().await.unwrap().to_bytes().len(), 100_000);
    assert_eq!(fate.lost().now_or_never(), None);
}

#[tokio::test]
async fn past_the_bound_the_copy_is_lost_and_the_original_is_not() {
    let (sender, body) = stream();
    let (mut original, copy, fate) = tee(body, 10);
    sender.send(data("0123456789")).unwrap();
    assert!(taken(&mut original).is_some());
    assert_eq!(fate.lost().now_or_never(), None, "exactly the bound");
    sender.send(data("x")).unwrap();
    drop(sender);
    assert_eq!(original.collect().await.unwrap().to_bytes(), "x");
    assert_eq!(fate.lost().now_or_never(), Some(Lost::TooLarge));
    assert!(copy.collect().await.is_err(), "never taken for whole");
}

#[tokio::test]
async fn an_original_that_breaks_off_loses_its_copy() {
    for dropped in [false, true] {
        let (sender, body) = stream();
        let (mut original, copy, fate) = tee(body, 100);
        sender.send(data("one")).unwrap();
        assert!(taken(&mut original).is_some());
        if dropped {
            drop(original);
            assert_eq!(fate.lost().now_or_never(), None, "there may be more");
            sender.send(Err("cut".into())).unwrap();
        } else {
            sender.send(Err("cut".into())).unwrap();
            assert!(original.collect().await.is_err());
        }
        assert_eq!(fate.lost().await, Lost::BrokenOff);
        assert!(copy.collect().await.is_err(), "never taken for whole");
    }
}

#[tokio::test]
async fn what_the_original_leaves_unread_is_read_for_the_copy() {
    let (sender, body) = stream();
    let (mut original, copy, fate) = tee(body, 100);
    sender.send(data("one ")).unwrap();
    assert!(taken(&mut original).is_some());
    sender.send(data("two ")).unwrap();
    drop(original);
    assert_eq!(fate.lost().now_or_never(), None);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", 3.into());
    sender.send(data("three")).unwrap();
    sender.send(Ok(Frame::trailers(trailers.clone()))).unwrap();
    assert_eq!(fate.lost().now_or_never(), None);
    drop(sender);
    assert_eq!(fate.lost().now_or_never(), None);
    let whole = copy.collect().now_or_never().expect("it is here").unwrap();
    assert_eq!(whole.trailers(), Some(&trailers));
    assert_eq!(whole.to_bytes(), "one two three");
}

#[tokio::test]
async fn a_rest_is_taken_up_to_the_bound_whoever_reads_the_copy() {
    let (sender, body) = stream();
    let (original, copy, fate) = tee(body, 10);
    drop(original);
    sender.send(data("0123456789")).unwrap();
    assert_eq!(fate.lost().now_or_never(), None, "exactly the bound");
    sender.send(data("x")).unwrap();
    assert_eq!(fate.lost().now_or_never(), Some(Lost::TooLarge));
    assert!(sender.is_closed(), "its client is free");
    assert!(copy.collect().await.is_err(), "never taken for whole");
}

#[tokio::test]
async fn a_rest_that_nobody_wants_any_more_is_let_go() {
    // Before it was left, while it is read, and when it could be.
    for (left, read) in [(false, false), (true, true), (true, false)] {
        let (sender, body) = stream();
        let (original, copy, fate) = tee(body, 100);
        let mut original = Some(original).filter(|_| !left);
        if read {
            assert_eq!(fate.lost().now_or_never(), None);
        }
        drop(fate);
        original.take();
        assert!(sender.is_closed(), "{left} {read}");
        assert!(copy.collect().await.is_err(), "never taken for whole");
    }
    let (sender, body) = stream();
    let (original, copy, fate) = tee(body, 100);
    drop(original);
    assert_eq!(fate.lost().now_or_never(), None);
    drop(copy);
    sender.send(data("x")).unwrap();
    assert_eq!(fate.lost().now_or_never(), None, "its answer may still be awaited");
    assert!(sender.is_closed());
}

/// A body that knows its length and has not said its end yet.
struct Exactly(Option<Bytes>);

impl HttpBody for Exactly {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[tokio::test]
async fn a_reader_that_knows_the_length_need_not_ask_for_the_end() {
    let body = Body::boxed(Exactly(Some(Bytes::from_static(b"all"))));
    let (mut original, copy, fate) = tee(body, 100);
    assert_eq!(copy.size_hint().exact(), Some(3));
    assert_eq!(taken(&mut original).unwrap(), "all");
    drop(original);
    assert_eq!(copy.collect().await.unwrap().to_bytes(), "all");
    assert_eq!(fate.lost().now_or_never(), None);
}

#[tokio::test]
async fn the_copy_tells_how_much_is_left_of_it() {
    let (mut original, mut copy, _fate) = tee(Body::from("hello"), 100);
    assert_eq!((copy.size_hint().exact(), copy.is_end_stream()), (Some(5), false));
    assert!(taken(&mut original).is_some());
    assert_eq!(taken(&mut copy).unwrap(), "hello");
    assert_eq!((copy.size_hint().exact(), copy.is_end_stream()), (Some(0), true));
}

#[tokio::test]
async fn nothing_is_kept_for_a_copy_that_nobody_wants() {
    let (sender, body) = stream();
    let (mut original, copy, fate) = tee(body, 1 << 20);
    drop(copy);
    sender.send(data(vec![b'x'; 1000])).unwrap();
    assert!(taken(&mut original).is_some());
    assert_eq!(fate.0.lock().bytes.capacity(), 0);
    let (_sender, body) = stream();
    let (original, copy, fate) = tee(body, 1 << 20);
    drop(copy);
    drop(original);
    assert_eq!(fate.lost().now_or_never(), None, "its answer may still be awaited");
}
