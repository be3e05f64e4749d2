//! What a client begins with, told by its first bytes.

use super::ahead::ReadAhead;
use super::handle::{Handle, Order, Phase};
use std::future::poll_fn;
use std::task::Poll;

/// How every HTTP/2 connection begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// First byte of a TLS handshake record, and the first of its version (RFC 8446 §5.1).
const HANDSHAKE: [u8; 2] = [0x16, 0x03];
/// Longest method that is taken for HTTP, in bytes.
const METHOD: usize = 32;
/// Longest request line that is waited for, in bytes, what is in front of it included.
const LINE: usize = 64 * 1024;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A TLS handshake.
    Tls,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// An HTTP/1 request.
    Http1,
    /// None of these.
    Opaque,
}

impl Opening {
    /// What these bytes are where HTTP is expected: what is neither TLS nor HTTP/2 counts as HTTP/1,
    /// which knows how to refuse. `None` while that cannot be told.
    pub fn of_http(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < PREFACE.len() && PREFACE.starts_with(bytes) {
            return None;
        }
        if bytes.starts_with(PREFACE) {
            return Some(Self::Http2);
        }
        match bytes {
            [first] if *first == HANDSHAKE[0] => None,
            _ if bytes.starts_with(&HANDSHAKE) => Some(Self::Tls),
            _ => Some(Self::Http1),
        }
    }

    /// What these bytes are where anything may come; `None` while that cannot be told.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match Self::of_http(bytes) {
            Some(Self::Http1) => {}
            told => return told,
        }
        // Empty lines in front of a request are let pass (RFC 9112 §2.2).
        let empty = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let line = &bytes[empty..];
        let method = line.iter().take(METHOD).position(|byte| !is_token(*byte));
        match method {
            Some(at) if at > 0 && line[at] == b' ' => {}
            None if line.len() < METHOD && bytes.len() < LINE => return None,
            _ => return Some(Self::Opaque),
        }
        // A word and a space are not enough: so begin memcached's commands, and many others.
        match line.iter().position(|byte| *byte == b'\n') {
            Some(end) if is_request_line(&line[..end]) => Some(Self::Http1),
            None if bytes.len() < LINE => None,
            _ => Some(Self::Opaque),
        }
    }
}

/// Whether a line ends as a request line does (RFC 9112 §3).
fn is_request_line(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0")
}

/// Bytes of a method (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Why nothing more is read ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// The other side ended the connection.
    Closed,
    /// The handle did: idle for too long, drained, reset.
    Told,
    /// Something was begun and not gone on with.
    HeaderTimeout,
}

/// Reads ahead until `look` has seen enough. Header and idle timers and the drain hold here too.
///
/// # Errors
/// See [`Unopened`].
pub async fn read_until<T>(
    io: &mut impl ReadAhead,
    handle: &Handle,
    mut look: impl FnMut(&[u8]) -> Option<T>,
) -> Result<T, Unopened> {
    if handle.phase() == Phase::Between {
        // Whatever kept it busy is over, and something else begins.
        handle.enter(if io.ahead().is_empty() { Phase::Idle } else { Phase::Header });
    }
    poll_fn(|cx| {
        handle.register(cx);
        loop {
            if let Some(found) = look(io.ahead()) {
                return Poll::Ready(Ok(found));
            }
            if handle.is_told(Order::HeaderTimeout) {
                return Poll::Ready(Err(Unopened::HeaderTimeout));
            }
            let over = [Order::End, Order::IdleTimeout, Order::Stalled];
            let over = over.into_iter().any(|order| handle.is_told(order));
            if over || handle.is_told(Order::Drain) && io.ahead().is_empty() {
                return Poll::Ready(Err(Unopened::Told));
            }
            match io.poll_read_ahead(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Unopened::Closed)),
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is told from the whole, and how many bytes were needed for it.
    fn told(bytes: &[u8]) -> (Option<Opening>, usize) {
        let needed = (0..=bytes.len()).find(|length| Opening::of(&bytes[..*length]).is_some());
        (Opening::of(bytes), needed.unwrap_or(usize::MAX))
    }

    #[test]
    fn protocols_are_told_apart_as_early_as_can_be() {
        assert_eq!(told(PREFACE), (Some(Opening::Http2), PREFACE.len()));
        assert_eq!(told(b"\x16\x03\x01\x02"), (Some(Opening::Tls), 2));
        assert_eq!(told(b"GET / HTTP/1.1\r\n"), (Some(Opening::Http1), 16));
        assert_eq!(told(b"PRINT / HTTP/1.0\n"), (Some(Opening::Http1), 17));
        assert_eq!(told(b"\r\nPOST /x HTTP/1.1\r\n"), (Some(Opening::Http1), 20));
        assert_eq!(told(b" GET / HTTP/1.1\r\n"), (Some(Opening::Opaque), 1));
        assert_eq!(told(b"get key\r\n"), (Some(Opening::Opaque), 9));
        assert_eq!(told(b"NICK somebody HTTP/1.2\r\n"), (Some(Opening::Opaque), 24));
        let endless = [b"GET /".as_slice(), &[b'x'; LINE]].concat();
        assert_eq!(Opening::of(&endless[..LINE - 1]), None);
        assert_eq!(Opening::of(&endless), Some(Opening::Opaque));
        assert_eq!(told(b"\x00\x00\x00\x08\x04\xd2\x16\x2f"), (Some(Opening::Opaque), 1));
        assert_eq!(told(b"*1\r\n$4\r\nPING\r\n"), (Some(Opening::Opaque), 3));
        assert_eq!(told(b"\x16\x02"), (Some(Opening::Opaque), 2));
        assert_eq!(told(&[b'A'; METHOD]), (Some(Opening::Opaque), METHOD));
        assert_eq!(told(b"PRI * HTTP/2.0\r\n\r\nXX").0, Some(Opening::Opaque));
        assert_eq!(Opening::of_http(b"\0"), Some(Opening::Http1));
        assert_eq!(told(b"").0, None);
    }

    /// Bytes that begin like something.
    fn openings() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(vec![
            PREFACE.to_vec(),
            b"\x16\x03\x01\x02".to_vec(),
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"\r\nPOST /x HTTP/1.0\r\n".to_vec(),
            b"\r\n\r\n\r\n".to_vec(),
            b"*1\r\n$4\r\nPING\r\n".to_vec(),
            Vec::new(),
        ]);
        let changed = (known, any::<prop::sample::Index>(), any::<Option<u8>>());
        let changed = changed.prop_map(|(mut bytes, at, byte)| {
            if let (Some(byte), false) = (byte, bytes.is_empty()) {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        });
        (changed, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(bytes, more)| [bytes, more].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..<_>::default() })]

        /// However a connection's bytes are cut, what is told once is told of all that follows.
        #[test]
        fn what_is_told_does_not_depend_on_how_bytes_arrive(bytes in openings()) {
            for look in [Opening::of, Opening::of_http] {
                let told: Vec<_> = (0..=bytes.len()).map(|end| look(&bytes[..end])).collect();
                let first = told.iter().flatten().next();
                let after = told.iter().skip_while(|told| told.is_none());
                prop_assert!(after.flatten().all(|told| Some(told) == first), "{:?}", told);
                prop_assert!(told.iter().skip_while(|told| told.is_none()).all(Option::is_some));
            }
        }

        #[test]
        fn nothing_is_waited_for_without_end(piece in prop::collection::vec(any::<u8>(), 1..8)) {
            let long: Vec<u8> = piece.iter().copied().cycle().take(LINE + METHOD).collect();
            prop_assert!(Opening::of(&long).is_some() && Opening::of_http(&long).is_some());
        }
    }
}
