//! The head of an answer (RFC 9112 §4, §5, §6.3).
//!
//! What frames the message ends here: `transfer-encoding`, and a `connection` that only says how
//! long the connection lives, are read and not passed on.

use super::decoder::{Chunk, Decoder};
use crate::upstream::ExchangeError;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use httparse::{Header, ParserConfig, Status};
use hyper::ext::ReasonPhrase;
use smallvec::SmallVec;
use std::mem::MaybeUninit;
use std::ops::Range;
use stitch_net::Body;

/// Largest head, in bytes and in fields.
const MOST: (usize, usize) = (64 * 1024, 256);

/// The head of an answer, and what it says about what follows.
#[derive(Debug)]
pub(crate) struct Head {
    pub response: Box<Response<Body>>,
    pub decoder: Decoder,
    /// Whether the connection can carry another exchange afterwards.
    pub persists: bool,
}

/// Where a field's name and its value lie in the head.
type Field = [Span; 2];

/// A part of a head, which is no larger than 64 KiB.
#[derive(Clone, Copy, Default)]
struct Span {
    from: u16,
    to: u16,
}

impl Span {
    fn of(part: &[u8], head: &[u8]) -> Self {
        let from = part.as_ptr().addr() - head.as_ptr().addr();
        Self { from: from as u16, to: (from + part.len()) as u16 }
    }

    fn range(self) -> Range<usize> {
        usize::from(self.from)..usize::from(self.to)
    }
}

/// Takes a head off the input, once it is there whole.
pub(super) fn parse(input: &mut BytesMut, to_head: bool) -> Result<Option<Head>, ExchangeError> {
    let mut slots = [const { MaybeUninit::uninit() }; MOST.1];
    let mut parsed = httparse::Response::new(&mut []);
    let status =
        ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, input, &mut slots);
    let length = match status {
        Ok(Status::Complete(length)) if length <= MOST.0 => length,
        Ok(Status::Partial) if input.len() < MOST.0 => return Ok(None),
        Ok(_) => return Err(ExchangeError::protocol("its headers are larger than 64 KiB")),
        Err(error) => return Err(ExchangeError::protocol(error.to_string())),
    };
    // Boxed: it goes through many hands.
    let mut response = Box::new(Response::new(Body::Empty));
    let code = parsed.code.unwrap_or_default();
    *response.status_mut() =
        StatusCode::from_u16(code).map_err(|error| ExchangeError::protocol(error.to_string()))?;
    let reason = parsed.reason.unwrap_or_default();
    if !reason.is_empty()
        && Some(reason) != response.status().canonical_reason()
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        response.extensions_mut().insert(reason);
    }
    let is_1_1 = parsed.version == Some(1);
    let span = |part: &[u8]| Span::of(part, input);
    // Filled where it stays; what is collected is copied.
    let mut fields: SmallVec<[Field; 32]> = SmallVec::new();
    fields.extend(parsed.headers.iter().map(|one| [span(one.name.as_bytes()), span(one.value)]));
    let bytes = input.split_to(length).freeze();
    let framing = read_fields(&mut response, &bytes, &fields)?;
    let persists = framing.persists.unwrap_or(is_1_1) && (is_1_1 || !framing.chunked);
    let decoder = framing.decoder(response.status(), to_head);
    Ok(Some(Head { persists: persists && decoder != Decoder::UntilClose, response, decoder }))
}

/// What the headers say about the message itself.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    chunked: bool,
    /// What `connection` says, if it says anything.
    persists: Option<bool>,
}

impl Framing {
    fn decoder(&self, status: StatusCode, to_head: bool) -> Decoder {
        let bodiless = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match self.length {
            _ if to_head || bodiless => Decoder::Over,
            _ if self.chunked => Decoder::Chunked(Chunk::Line),
            Some(length) => Decoder::Length(length),
            None => Decoder::UntilClose,
        }
    }
}

fn read_fields(
    response: &mut Response<Body>,
    bytes: &Bytes,
    fields: &[Field],
) -> Result<Framing, ExchangeError> {
    let mut framing = Framing::default();
    let headers = response.headers_mut();
    // Room for what is added on the way, so that the map need not grow: who answered, the request's
    // id, and what the file may set.
    headers.reserve(fields.len() + 4);
    for [name, value] in fields {
        let name = HeaderName::from_bytes(&bytes[name.range()]).map_err(not_a_field)?;
        let value =
            HeaderValue::from_maybe_shared(bytes.slice(value.range())).map_err(not_a_field)?;
        if name == TRANSFER_ENCODING {
            framing.chunked |= is_chunked(&value)?;
        } else if name == CONTENT_LENGTH {
            let length = parse_length(&value)?;
            match framing.length.replace(length) {
                None => {
                    headers.append(name, value);
                }
                Some(before) if before == length => {}
                Some(_) => return Err(ExchangeError::protocol("it has two lengths")),
            }
        } else if name == CONNECTION
            && let Some(persists) = only_persistence(&value)
        {
            framing.persists = Some(persists && framing.persists != Some(false));
        } else {
            if name == CONNECTION && lists_close(&value) {
                framing.persists = Some(false);
            }
            headers.append(name, value);
        }
    }
    if framing.chunked {
        // It was overridden, so it is not the length of what follows (RFC 9112 §6.3).
        headers.remove(CONTENT_LENGTH);
    }
    Ok(framing)
}

/// Whether the body comes in chunks. In any other coding it could not be passed on without its
/// `transfer-encoding`, which ends here.
fn is_chunked(value: &HeaderValue) -> Result<bool, ExchangeError> {
    let value = value.as_bytes();
    if value.eq_ignore_ascii_case(b"chunked") {
        Ok(true)
    } else if value.eq_ignore_ascii_case(b"identity") {
        Ok(false)
    } else {
        Err(ExchangeError::protocol("its body is in a transfer coding that nobody asked for"))
    }
}

fn parse_length(value: &HeaderValue) -> Result<u64, ExchangeError> {
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = digits.and_then(|digits| digits.parse().ok());
    length.ok_or_else(|| ExchangeError::protocol("its content-length is not a number"))
}

/// What `Connection` says, if it says no more than how long the connection lives, as it mostly does.
fn only_persistence(value: &HeaderValue) -> Option<bool> {
    let value = value.as_bytes();
    if value.eq_ignore_ascii_case(b"keep-alive") {
        Some(true)
    } else if value.eq_ignore_ascii_case(b"close") {
        Some(false)
    } else {
        None
    }
}

fn lists_close(value: &HeaderValue) -> bool {
    let value = value.to_str().unwrap_or_default();
    value.split(',').any(|token| token.trim().eq_ignore_ascii_case("close"))
}

/// One parsed field, copied.
pub(super) fn field(parsed: &Header<'_>) -> Result<(HeaderName, HeaderValue), ExchangeError> {
    let name = HeaderName::from_bytes(parsed.name.as_bytes()).map_err(not_a_field)?;
    let value = HeaderValue::from_bytes(parsed.value).map_err(not_a_field)?;
    Ok((name, value))
}

fn not_a_field(error: impl std::fmt::Display) -> ExchangeError {
    ExchangeError::protocol(format!("one of its headers: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Head {
        parse(&mut BytesMut::from(text.as_bytes()), false).unwrap().expect("a whole head")
    }

    fn refused(text: &str) -> bool {
        parse(&mut BytesMut::from(text.as_bytes()), false).is_err()
    }

    #[test]
    fn a_head_is_taken_off_once_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nserver: x\r\nset-cookie: a\r\nset-cookie: b\r\ncontent-length: 3\r\n\r\nabc";
        let mut input = BytesMut::new();
        for (at, byte) in text.iter().enumerate() {
            input.extend_from_slice(&[*byte]);
            if at + 4 < text.len() {
                assert!(parse(&mut input, false).unwrap().is_none());
            }
            if at + 4 == text.len() {
                break;
            }
        }
        input.extend_from_slice(b"abc");
        let head = parse(&mut input, false).unwrap().unwrap();
        assert_eq!(&input[..], b"abc");
        assert_eq!(head.decoder, Decoder::Length(3));
        assert!(head.persists);
        let headers = head.response.headers();
        assert_eq!((headers.len(), headers.get_all("set-cookie").iter().count()), (4, 2));
    }

    #[test]
    fn what_follows_is_known_from_the_head() {
        for (head, decoder) in [
            ("200 OK\r\ncontent-length: 0\r\n", Decoder::Length(0)),
            ("200 OK\r\ntransfer-encoding: Chunked\r\n", Decoder::Chunked(Chunk::Line)),
            (
                "200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n",
                Decoder::Chunked(Chunk::Line),
            ),
            ("200 OK\r\n", Decoder::UntilClose),
            ("204 No Content\r\n", Decoder::Over),
            ("304 Not Modified\r\ncontent-length: 9\r\n", Decoder::Over),
            ("200 OK\r\ncontent-length: 2\r\nContent-Length: 2\r\n", Decoder::Length(2)),
        ] {
            let head = parsed(&format!("HTTP/1.1 {head}\r\n"));
            assert_eq!(head.decoder, decoder, "{head:?}");
            assert!(head.response.headers().get("transfer-encoding").is_none());
            assert_eq!(head.persists, decoder != Decoder::UntilClose);
        }
        let mut input = BytesMut::from("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
        assert_eq!(parse(&mut input, true).unwrap().unwrap().decoder, Decoder::Over);
    }

    #[test]
    fn persistence_follows_version_and_connection() {
        for (head, persists) in [
            ("1.1 200 OK\r\n", true),
            ("1.1 200 OK\r\nConnection: Close\r\n", false),
            ("1.1 200 OK\r\nconnection: x-a, close\r\n", false),
            ("1.1 200 OK\r\nconnection: keep-alive\r\nconnection: close\r\n", false),
            ("1.1 200 OK\r\nconnection: close\r\nconnection: keep-alive\r\n", false),
            ("1.0 200 OK\r\n", false),
            ("1.0 200 OK\r\nconnection: keep-alive\r\n", true),
        ] {
            let head = parsed(&format!("HTTP/{head}content-length: 1\r\n\r\n"));
            assert_eq!(head.persists, persists, "{head:?}");
        }
        // What names other headers is somebody else's to read.
        let head = parsed("HTTP/1.1 200 OK\r\nconnection: x-a, close\r\n\r\n");
        assert_eq!(head.response.headers()["connection"], "x-a, close");
    }

    #[test]
    fn an_unusual_reason_is_kept() {
        let reason = |text: &str| {
            let head = parsed(&format!("HTTP/1.1 {text}\r\n\r\n"));
            head.response
                .extensions()
                .get::<ReasonPhrase>()
                .map(|reason| reason.as_bytes().to_vec())
        };
        assert_eq!(reason("200 OK"), None);
        assert_eq!(reason("200"), None);
        assert_eq!(reason("200 Fine"), Some(b"Fine".to_vec()));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for head in [
            "200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n",
            "200 OK\r\ncontent-length: +1\r\n",
            "200 OK\r\ncontent-length: 1, 1\r\n",
            "200 OK\r\ncontent-length:\r\n",
            "200 OK\r\ncontent-length: 99999999999999999999\r\n",
            "200 OK\r\ntransfer-encoding: gzip, chunked\r\n",
            "200 OK\r\ntransfer-encoding: gzip\r\n",
            "200 OK\r\nno colon\r\n",
            "200 OK\r\nx-a : 1\r\n",
            "20 OK\r\n",
        ] {
            assert!(refused(&format!("HTTP/1.1 {head}\r\n")), "{head:?}");
        }
    }

    #[test]
    fn a_head_has_a_largest_size() {
        let long = "a".repeat(MOST.0);
        assert!(refused(&format!("HTTP/1.1 200 OK\r\nx-a: {long}")));
        assert!(refused(&format!("HTTP/1.1 200 OK\r\nx-a: {long}\r\n\r\n")));
        let many = |count| -> String { (0..count).map(|n| format!("x-{n}: {n}\r\n")).collect() };
        let head = parsed(&format!("HTTP/1.1 200 OK\r\n{}\r\n", many(MOST.1)));
        assert_eq!(head.response.headers().len(), MOST.1);
        assert!(refused(&format!("HTTP/1.1 200 OK\r\n{}\r\n", many(MOST.1 + 1))));
    }

    /// Heads, changed here and there, and what follows them.
    fn heads() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nx-a: b\r\n\r\nabc",
            "HTTP/1.0 404 \r\nTransfer-Encoding: chunked\r\nconnection: close, x\r\n\r\n",
            "HTTP/1.1 101 Go\r\nupgrade: x\r\n\r\n",
            "",
        ]);
        let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
        let more = prop::collection::vec(any::<u8>(), 0..20);
        (known, changes, more).prop_map(|(known, changes, more)| {
            let mut bytes = known.as_bytes().to_vec();
            for (at, byte) in changes {
                // Nothing of nothing can be changed.
                let at = at.index(bytes.len().max(1));
                bytes.get_mut(at).into_iter().for_each(|there| *there = byte);
            }
            [bytes, more].concat()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..<_>::default() })]

        /// Whatever came, nothing panics, and what is taken off does not depend on how it arrived.
        #[test]
        fn a_head_is_the_same_however_it_arrives(bytes in heads()) {
            let mut whole = BytesMut::from(&bytes[..]);
            let at_once = parse(&mut whole, false);
            let mut input = BytesMut::new();
            for (at, byte) in bytes.iter().enumerate() {
                input.extend_from_slice(&[*byte]);
                match (parse(&mut input, false), &at_once) {
                    (Ok(None), _) => {}
                    (Ok(Some(head)), Ok(Some(same))) => {
                        prop_assert_eq!(head.decoder, same.decoder);
                        prop_assert_eq!(head.response.headers(), same.response.headers());
                        prop_assert_eq!(&whole[..], &bytes[at + 1..]);
                        return Ok(());
                    }
                    (Err(_), Err(_)) => return Ok(()),
                    (now, before) => prop_assert!(false, "{now:?} after {before:?}"),
                }
            }
            prop_assert!(matches!(at_once, Ok(None)), "{at_once:?}");
        }
    }
}
