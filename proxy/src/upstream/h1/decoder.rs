//! The body of an answer, taken out of its framing (RFC 9112 §6.3, §7).

use super::response::field;
use crate::upstream::ExchangeError;
use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use httparse::{EMPTY_HEADER, Status, parse_chunk_size, parse_headers};

/// Longest line in front of a chunk, extensions included, in bytes.
const CHUNK_LINE: usize = 4096;
/// Largest trailer section, in bytes and in fields.
const TRAILERS: (usize, usize) = (16 * 1024, 64);

/// How the rest of a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoder {
    /// So many bytes are left.
    Length(u64),
    Chunked(Chunk),
    /// Until the connection is closed.
    UntilClose,
    /// Nothing is left.
    Over,
}

/// What comes next in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    Line,
    Data(u64),
    /// The CRLF behind the data.
    DataEnd,
    Trailers,
}

/// What the input held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Data(Bytes),
    Trailers(HeaderMap),
    /// The body is over.
    End,
    /// More input is needed.
    More,
}

impl Decoder {
    pub fn is_over(self) -> bool {
        matches!(self, Self::Over | Self::Length(0))
    }

    /// Bytes known to come, 0 when unknown.
    pub(super) fn at_least(self) -> u64 {
        match self {
            Self::Length(left) | Self::Chunked(Chunk::Data(left)) => left,
            _ => 0,
        }
    }

    /// Takes the next part of the body out of the input.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, ExchangeError> {
        match self {
            Self::Over | Self::Length(0) => Ok(Decoded::End),
            Self::Length(left) => Ok(take(input, left)),
            Self::UntilClose if input.is_empty() => Ok(Decoded::More),
            Self::UntilClose => Ok(Decoded::Data(input.split().freeze())),
            Self::Chunked(_) => self.decode_chunked(input),
        }
    }

    fn decode_chunked(&mut self, input: &mut BytesMut) -> Result<Decoded, ExchangeError> {
        while let Self::Chunked(chunk) = self {
            match chunk {
                Chunk::Line => match chunk_line(input)? {
                    None => return Ok(Decoded::More),
                    Some(0) => *chunk = Chunk::Trailers,
                    Some(size) => *chunk = Chunk::Data(size),
                },
                Chunk::Data(left) => {
                    let data = take(input, left);
                    if *left == 0 {
                        *chunk = Chunk::DataEnd;
                    }
                    // The end of a body that is already here is not worth another turn.
                    if data != Decoded::More {
                        self.skip_end(input);
                    }
                    return Ok(data);
                }
                Chunk::DataEnd => match input.get(..2) {
                    None => return Ok(Decoded::More),
                    Some(b"\r\n") => {
                        input.advance(2);
                        *chunk = Chunk::Line;
                    }
                    Some(_) => return Err(ExchangeError::protocol("a chunk does not end in CRLF")),
                },
                Chunk::Trailers => match trailers(input)? {
                    None => return Ok(Decoded::More),
                    Some(trailers) => {
                        *self = Self::Over;
                        let none = trailers.is_empty();
                        return Ok(if none { Decoded::End } else { Decoded::Trailers(trailers) });
                    }
                },
            }
        }
        Ok(Decoded::End)
    }

    /// Ends the body if the input is its end and nothing else.
    fn skip_end(&mut self, input: &mut BytesMut) {
        if *self == Self::Chunked(Chunk::DataEnd) && &input[..] == b"\r\n0\r\n\r\n" {
            input.clear();
            *self = Self::Over;
        }
    }

    /// The connection was closed.
    pub fn end(&mut self) -> Result<(), ExchangeError> {
        match self {
            Self::UntilClose | Self::Over | Self::Length(0) => {
                *self = Self::Over;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) => Err(ExchangeError::Broken(None)),
        }
    }
}

/// Takes what is there of `left` bytes.
fn take(input: &mut BytesMut, left: &mut u64) -> Decoded {
    if input.is_empty() {
        return Decoded::More;
    }
    let length = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    *left -= length as u64;
    Decoded::Data(input.split_to(length).freeze())
}

/// Takes the line in front of a chunk off the input; the chunk's size.
fn chunk_line(input: &mut BytesMut) -> Result<Option<u64>, ExchangeError> {
    // httparse takes an empty line for a size of 0.
    if input.first().is_some_and(|first| !first.is_ascii_hexdigit()) {
        return Err(ExchangeError::protocol("a chunk without a size"));
    }
    match parse_chunk_size(input) {
        Ok(Status::Complete((length, size))) => {
            input.advance(length);
            Ok(Some(size))
        }
        Ok(Status::Partial) if input.len() < CHUNK_LINE => Ok(None),
        Ok(Status::Partial) => Err(ExchangeError::protocol("a chunk's size line has no end")),
        Err(_) => Err(ExchangeError::protocol("a chunk's size is not a number")),
    }
}

/// Takes a trailer section off the input.
fn trailers(input: &mut BytesMut) -> Result<Option<HeaderMap>, ExchangeError> {
    let (most_bytes, most_fields) = TRAILERS;
    let mut slots = vec![EMPTY_HEADER; if input.starts_with(b"\r\n") { 0 } else { most_fields }];
    match parse_headers(input, &mut slots) {
        Ok(Status::Complete((length, fields))) => {
            let mut map = HeaderMap::new();
            for parsed in fields {
                let (name, value) = field(parsed)?;
                map.append(name, value);
            }
            input.advance(length);
            Ok(Some(map))
        }
        Ok(Status::Partial) if input.len() < most_bytes => Ok(None),
        Ok(Status::Partial) => Err(ExchangeError::protocol("its trailers have no end")),
        Err(error) => Err(ExchangeError::protocol(format!("its trailers: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHUNKED: Decoder = Decoder::Chunked(Chunk::Line);

    /// Feeds `pieces`, then the end; returns the body, its trailers and whether it is whole.
    fn decode(mut decoder: Decoder, pieces: &[&[u8]]) -> (Vec<u8>, HeaderMap, bool) {
        let (mut input, mut body, mut trailers) = (BytesMut::new(), Vec::new(), HeaderMap::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut input) {
                    Ok(Decoded::Data(data)) => body.extend_from_slice(&data),
                    Ok(Decoded::Trailers(map)) => trailers = map,
                    Ok(Decoded::More) => break,
                    Ok(Decoded::End) => return (body, trailers, true),
                    Err(_) => return (body, trailers, false),
                }
            }
        }
        let whole = decoder.end().is_ok();
        (body, trailers, whole)
    }

    fn text(body: Vec<u8>) -> String {
        String::from_utf8(body).unwrap()
    }

    /// The same in one piece and byte by byte.
    fn both_ways(decoder: Decoder, input: &[u8]) -> (String, HeaderMap, bool) {
        let whole = decode(decoder, &[input]);
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(decode(decoder, &bytes), whole, "{}", String::from_utf8_lossy(input));
        (text(whole.0), whole.1, whole.2)
    }

    #[test]
    fn a_length_ends_a_body_and_nothing_else_does() {
        let (body, _, whole) = both_ways(Decoder::Length(3), b"abcdef");
        assert_eq!((body.as_str(), whole), ("abc", true));
        let (body, _, whole) = both_ways(Decoder::Length(9), b"abc");
        assert_eq!((body.as_str(), whole), ("abc", false));
        let (body, _, whole) = both_ways(Decoder::UntilClose, b"abc");
        assert_eq!((body.as_str(), whole), ("abc", true));
    }

    #[test]
    fn chunks_are_joined_and_trailers_kept() {
        for input in [
            &b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"[..],
            b"3;a=b\r\nabc\r\n02 \r\nde\r\n000\r\n\r\n",
            b"5\r\nabcde\r\n0\r\n\r\n",
        ] {
            let (body, trailers, whole) = both_ways(CHUNKED, input);
            assert_eq!((body.as_str(), trailers.len(), whole), ("abcde", 0, true));
        }
        let (body, trailers, whole) =
            both_ways(CHUNKED, b"A\r\n0123456789\r\n0\r\nx-sum: 3\r\n\r\n");
        assert_eq!((body.as_str(), whole), ("0123456789", true));
        assert_eq!(trailers["x-sum"], "3");
    }

    #[test]
    fn the_end_of_a_small_body_is_seen_with_its_data() {
        let mut input = BytesMut::from(&b"3\r\nabc\r\n0\r\n\r\n"[..]);
        let mut decoder = CHUNKED;
        assert_eq!(decoder.decode(&mut input).unwrap(), Decoded::Data("abc".into()));
        assert!(decoder.is_over() && input.is_empty());
    }

    #[test]
    fn broken_chunks_are_never_whole() {
        for input in [
            &b"3\r\nabc\r\n"[..],
            b"3\r\nabc\r\n0\r\n",
            b"3\r\nabc\r\n\r\n",
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"x\r\nabc\r\n",
            b"-1\r\n",
            b"10000000000000000\r\n",
            b"3\nabc\r\n0\r\n\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"",
        ] {
            assert!(!both_ways(CHUNKED, input).2, "{}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn lines_without_end_are_given_up() {
        let mut input = BytesMut::from(&b"3;"[..]);
        input.extend_from_slice(&[b'a'; CHUNK_LINE]);
        assert!(CHUNKED.clone().decode(&mut input).is_err());
        let mut input = BytesMut::from(&b"0\r\nx-a: "[..]);
        input.extend_from_slice(&[b'a'; TRAILERS.0]);
        assert!(CHUNKED.clone().decode(&mut input).is_err());
        let many: String = (0..=TRAILERS.1).map(|n| format!("x-{n}: {n}\r\n")).collect();
        let mut input = BytesMut::from(format!("0\r\n{many}\r\n").as_bytes());
        assert!(CHUNKED.clone().decode(&mut input).is_err());
    }

    /// A body in chunks, changed here and there, and what follows it.
    fn chunked() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..9), 0..5);
        let end =
            prop::sample::select(vec!["0\r\n\r\n", "0\r\nx-sum: 3\r\n\r\n", "00;a=b\r\n\r\n", ""]);
        let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        (pieces, end, changes).prop_map(|(pieces, end, changes)| {
            let mut bytes = Vec::new();
            for piece in pieces {
                bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                bytes.extend_from_slice(&piece);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(end.as_bytes());
            for (at, byte) in changes {
                // Nothing of nothing can be changed.
                let at = at.index(bytes.len().max(1));
                bytes.get_mut(at).into_iter().for_each(|there| *there = byte);
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..<_>::default() })]

        #[test]
        fn a_body_is_the_same_however_it_arrives(bytes in chunked(), cut: prop::sample::Index) {
            let whole = decode(CHUNKED, &[&bytes]);
            let (one, other) = bytes.split_at(cut.index(bytes.len() + 1));
            prop_assert_eq!(&decode(CHUNKED, &[one, other]), &whole);
            let single: Vec<_> = bytes.chunks(1).collect();
            prop_assert_eq!(&decode(CHUNKED, &single), &whole);
        }

        #[test]
        fn what_was_chunked_is_recovered_and_whole_at_its_end_only(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..99), 1..5),
            cut: prop::sample::Index,
        ) {
            let chunk = |piece: &Vec<u8>| {
                [format!("{:X}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
            };
            let bytes = [pieces.iter().flat_map(chunk).collect(), b"0\r\n\r\n".to_vec()].concat();
            let (body, _, whole) = decode(CHUNKED, &[&bytes]);
            prop_assert!(whole && body == pieces.concat());
            let (_, _, whole) = decode(CHUNKED, &[&bytes[..cut.index(bytes.len())]]);
            prop_assert!(!whole, "cut short, it looks whole");
        }
    }
}
