//! HTTP/1.1 messages out of bytes: heads, framing, trailers. Pure; knows no socket.
//!
//! Both sides of the harness read with it: the client its responses, the upstreams their
//! requests. It is strict where a mistake of the program under test would hide otherwise.

use serde_json::Value;

/// Header fields in the order and spelling they came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// Every value of a field, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.0.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a comma-separated field holds this token.
    #[must_use]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        let tokens = self.all(name).join(",");
        tokens.split(',').any(|one| one.trim().eq_ignore_ascii_case(token))
    }
}

/// A response as it came over the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// What stands after the code.
    pub reason: String,
    /// The header fields.
    pub headers: Headers,
    /// The body with any chunking taken off.
    pub body: Vec<u8>,
    /// The fields after a chunked body.
    pub trailers: Headers,
    /// The 1xx answers that came before this one.
    pub interim: Vec<(u16, Headers)>,
}

impl Response {
    /// The first value of a header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body as text, made readable.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Showing the whole response, when it is not JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body is not JSON ({error}): {self:?}"))
    }
}

/// What a message's first line and fields say.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) start: [String; 3],
    pub(crate) headers: Headers,
    /// Bytes up to and including the empty line.
    pub(crate) length: usize,
}

/// How the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// A whole body, and the bytes it took on the wire.
#[derive(Debug, Default)]
pub(crate) struct WholeBody {
    pub(crate) bytes: Vec<u8>,
    pub(crate) trailers: Headers,
    pub(crate) length: usize,
}

/// The head at the start of `bytes`, once its empty line is there.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let (first, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
    let mut words = first.splitn(3, ' ').map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    let start = [word(), word(), word()];
    if start[1].is_empty() {
        return Err(format!("not a first line: {first:?}"));
    }
    Ok(Some(Head { start, headers: fields(rest)?, length: end + 4 }))
}

fn fields(text: &str) -> Result<Headers, String> {
    let lines = text.split("\r\n").filter(|line| !line.is_empty());
    let field = |line: &str| match line.split_once(':') {
        Some((name, value)) if !name.is_empty() && !name.contains([' ', '\t']) => {
            Ok((name.to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("not a header field: {line:?}")),
    };
    lines.map(field).collect::<Result<_, _>>().map(Headers)
}

/// The framing that a message's own fields declare; `None` when they declare none.
pub(crate) fn declared_framing(headers: &Headers) -> Result<Option<Framing>, String> {
    let lengths = headers.all("content-length");
    match (headers.lists("transfer-encoding", "chunked"), lengths.as_slice()) {
        (true, []) => Ok(Some(Framing::Chunked)),
        (true, _) => Err("both transfer-encoding and content-length".to_owned()),
        (false, []) => Ok(None),
        (false, [one]) => {
            let length = one.parse().map_err(|_| format!("not a content-length: {one:?}"))?;
            Ok(Some(Framing::Length(length)))
        }
        (false, many) => Err(format!("several content-length fields: {many:?}")),
    }
}

/// The body at the start of `bytes`, once it is complete.
pub(crate) fn body(
    bytes: &[u8],
    framing: Framing,
    closed: bool,
) -> Result<Option<WholeBody>, String> {
    match framing {
        Framing::Length(length) => Ok((bytes.len() >= length).then(|| plain(bytes, length))),
        Framing::UntilClose => Ok(closed.then(|| plain(bytes, bytes.len()))),
        Framing::Chunked => chunked(bytes),
    }
}

fn plain(bytes: &[u8], length: usize) -> WholeBody {
    WholeBody { bytes: bytes[..length].to_vec(), length, ..WholeBody::default() }
}

fn chunked(bytes: &[u8]) -> Result<Option<WholeBody>, String> {
    let mut whole = Vec::new();
    let mut at = 0;
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&bytes[at..at + end]);
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| format!("not a chunk: {line:?}"))?;
        at += end + 2;
        if size == 0 {
            return trailers(&bytes[at..]).map(|found| {
                found.map(|(trailers, length)| WholeBody {
                    bytes: whole,
                    trailers,
                    length: at + length,
                })
            });
        }
        let Some(chunk) = bytes.get(at..at.saturating_add(size).saturating_add(2)) else {
            return Ok(None);
        };
        let Some(chunk) = chunk.strip_suffix(b"\r\n") else {
            return Err(format!("a chunk of {size} bytes does not end in CRLF"));
        };
        whole.extend_from_slice(chunk);
        at += size + 2;
    }
}

/// The fields after the last chunk, up to and including the empty line, and their bytes.
fn trailers(bytes: &[u8]) -> Result<Option<(Headers, usize)>, String> {
    if bytes.starts_with(b"\r\n") {
        return Ok(Some((Headers::default(), 2)));
    }
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    Ok(Some((fields(&String::from_utf8_lossy(&bytes[..end]))?, end + 4)))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_keeps_order_and_spelling() {
        let bytes = b"GET /a HTTP/1.1\r\nHost: x\r\nX-A:1\r\nx-a: 2, Three\r\n\r\nrest";
        let head = head(bytes).unwrap().unwrap();
        assert_eq!(head.start, ["GET", "/a", "HTTP/1.1"]);
        assert_eq!(head.headers.0[1], ("X-A".to_owned(), "1".to_owned()));
        assert_eq!(head.headers.all("X-a"), ["1", "2, Three"]);
        assert!(head.headers.lists("x-a", "three") && !head.headers.lists("x-a", "four"));
        assert_eq!(&bytes[head.length..], b"rest");
    }

    #[test]
    fn an_unfinished_head_waits_and_a_bad_one_fails() {
        assert!(head(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap().is_none());
        assert!(head(b"garbage\r\n\r\n").unwrap_err().contains("garbage"));
        assert!(head(b"GET / HTTP/1.1\r\nno colon\r\n\r\n").is_err());
        assert!(head(b"GET / HTTP/1.1\r\nname : v\r\n\r\n").is_err());
    }

    #[test]
    fn framing_comes_from_the_fields() {
        let of = |text: &str| declared_framing(&fields(text).unwrap());
        assert_eq!(of("").unwrap(), None);
        assert_eq!(of("Content-Length: 3").unwrap(), Some(Framing::Length(3)));
        assert_eq!(of("Transfer-Encoding: Chunked").unwrap(), Some(Framing::Chunked));
        assert!(of("content-length: 3\r\ntransfer-encoding: chunked").is_err());
        assert!(of("content-length: 3\r\ncontent-length: 3").is_err());
        assert!(of("content-length: +x").is_err());
    }

    #[test]
    fn bodies_are_whole_or_not_yet() {
        assert!(body(b"ab", Framing::Length(3), false).unwrap().is_none());
        assert_eq!(body(b"abcd", Framing::Length(3), false).unwrap().unwrap().bytes, b"abc");
        assert!(body(b"ab", Framing::UntilClose, false).unwrap().is_none());
        assert_eq!(body(b"ab", Framing::UntilClose, true).unwrap().unwrap().length, 2);
    }

    #[test]
    fn chunks_are_joined_and_trailers_kept() {
        let bytes = b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\nnext";
        let whole = body(bytes, Framing::Chunked, false).unwrap().unwrap();
        assert_eq!(whole.bytes, b"abcde");
        assert_eq!(whole.trailers.get("x-sum"), Some("5"));
        assert_eq!(&bytes[whole.length..], b"next");
        for cut in 0..bytes.len() - 4 {
            assert!(chunked(&bytes[..cut]).unwrap().is_none(), "complete at {cut}");
        }
        assert_eq!(chunked(b"0\r\n\r\n").unwrap().unwrap().length, 5);
    }

    #[test]
    fn broken_chunks_are_refused() {
        assert!(chunked(b"zz\r\n").is_err());
        assert!(chunked(b"2\r\nabcd").is_err());
        assert!(chunked(b"0\r\nbad trailer\r\n\r\n").is_err());
    }

    #[test]
    fn a_response_reads_as_text_and_json() {
        let response = Response { body: b"{\"a\":1}".to_vec(), ..Response::default() };
        assert_eq!(response.text(), "{\"a\":1}");
        assert_eq!(response.json()["a"], 1);
        assert_eq!(response.header("a"), None);
    }

    #[test]
    #[should_panic(expected = "not JSON")]
    fn a_body_that_is_not_json_is_shown() {
        let _ = Response::default().json();
    }
}
