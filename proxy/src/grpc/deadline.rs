//! How long a gRPC caller waits (`grpc-timeout`): it bounds the whole call, streams included, and is
//! told on with what is left of it.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use stitch_net::grpc::{DEADLINE_EXCEEDED, GRPC_TIMEOUT, status};
use stitch_net::{Body, BoxError};
use tokio::time::{Instant, Sleep, sleep_until};

/// Most digits of a timeout.
const DIGITS: usize = 8;

/// When a call has to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    /// The deadline that a request asks for; one that is malformed asks for none.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let limit = parse(headers.get(GRPC_TIMEOUT)?.as_bytes())?;
        Some(Self { at: Instant::now().checked_add(limit)?, limit })
    }

    /// When it is.
    pub fn at(self) -> Instant {
        self.at
    }

    /// What the caller asked for.
    pub fn limit(self) -> Duration {
        self.limit
    }

    /// How much is left.
    pub fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// What is left, as the next one is told.
    pub fn header(self) -> HeaderValue {
        let left = self.left();
        let (amount, unit) = match left.as_millis() {
            millis @ 0..100_000_000 => (millis, 'm'),
            _ => (u128::from(left.as_secs()).min(99_999_999), 'S'),
        };
        HeaderValue::try_from(format!("{amount}{unit}"))
            .unwrap_or_else(|_| HeaderValue::from_static("0m"))
    }
}

/// An amount of at most eight digits and its unit.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// An answer's body until the deadline: then it ends with `DEADLINE_EXCEEDED`, whatever is still to
/// come.
pub(crate) struct Until {
    body: Body,
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Until {
    pub fn new(body: Body, deadline: Deadline) -> Self {
        let sleep = Box::pin(sleep_until(deadline.at));
        Self { body, limit: deadline.limit, sleep }
    }
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() || self.sleep.as_mut().poll(cx).is_pending() {
            return polled;
        }
        // Cancels the exchange.
        self.body = Body::Empty;
        let why = format!("the call was not over within {:?} (grpc-timeout)", self.limit);
        Poll::Ready(Some(Ok(Frame::trailers(status(DEADLINE_EXCEEDED, &why)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt as _, StreamBody};
    use proptest::prelude::*;

    #[test]
    fn timeouts_are_read_strictly() {
        for (text, limit) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("7n", Some(Duration::from_nanos(7))),
            ("100000000m", None),
            ("m", None),
            ("1", None),
            ("-1S", None),
            ("1 S", None),
            ("1s", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()), limit, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_told_on() {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_static("2S"));
        let deadline = Deadline::of(&headers).unwrap();
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(deadline.header(), "1500m");
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(
            (deadline.header(), deadline.left()),
            (HeaderValue::from_static("0m"), Duration::ZERO)
        );
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_static("99999999H"));
        assert_eq!(Deadline::of(&headers).unwrap().header(), "99999999S");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_at_its_deadline() {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_static("1S"));
        let deadline = Deadline::of(&headers).unwrap();
        let frames = futures_util::stream::unfold(0, |sent| async move {
            if sent > 0 {
                std::future::pending::<()>().await;
            }
            Some((Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"one"))), sent + 1))
        });
        let body = Body::boxed(StreamBody::new(frames));
        let collected = Until::new(body, deadline).collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "4");
        assert_eq!(collected.to_bytes(), "one");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..<_>::default() })]

        #[test]
        fn timeouts_are_recovered(amount in 0_u64..100_000_000, unit in "[HMSmun]") {
            let nanos = match unit.as_str() {
                "H" => 3_600_000_000_000,
                "M" => 60_000_000_000,
                "S" => 1_000_000_000,
                "m" => 1_000_000,
                "u" => 1000,
                _ => 1_u128,
            };
            let limit = parse(format!("{amount}{unit}").as_bytes()).unwrap();
            prop_assert_eq!(limit.as_nanos(), u128::from(amount) * nanos);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..12), near in "[0-9HMSmunx+-]{0,11}") {
            let _ = parse(&bytes);
            let accepted = parse(near.as_bytes()).is_some();
            let (digits, _) = near.split_at(near.len().saturating_sub(1));
            prop_assert!(!accepted || digits.bytes().all(|byte| byte.is_ascii_digit()), "{near}");
        }
    }
}
