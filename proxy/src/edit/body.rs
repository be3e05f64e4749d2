//! Edits of JSON bodies, with a bound on what is held.
//!
//! A body that is to be edited is read to its end first. Whatever turns out not to be editable
//! passes on byte for byte: what has been read of it, then the rest as it arrives.

use super::EditStats;
use super::json::Node;
use super::stats::{Direction, Outcome};
use crate::replay::again;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, HeaderValue,
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use stitch_config::model::{BodyEdit, BodyEdits, JsonPath};
use stitch_net::{Body, BoxError};

/// What says how a body was before it changed.
const DIGESTS: [HeaderName; 5] = [
    ETAG,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// The edits of both directions.
#[derive(Debug, Default)]
pub(crate) struct BodyEditors {
    /// Of what the service gets.
    pub request: Option<BodyEditor>,
    /// Of what the client gets.
    pub response: Option<BodyEditor>,
}

impl BodyEditors {
    /// Prepares the edits.
    pub fn new(edits: &BodyEdits, stats: &Arc<EditStats>) -> Self {
        let editor = |edit: &Option<BodyEdit>, direction| {
            edit.as_ref().map(|edit| BodyEditor::new(edit, direction, stats.clone()))
        };
        Self {
            request: editor(&edits.request, Direction::Request),
            response: editor(&edits.response, Direction::Response),
        }
    }

    /// Asks the service for an answer that can be edited: one that is not compressed.
    pub fn ask(&self, request: &mut HeaderMap) {
        if self.response.is_some() && request.contains_key(ACCEPT_ENCODING) {
            request.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
    }
}

/// The edits of one direction.
#[derive(Debug)]
pub(crate) struct BodyEditor {
    remove: Vec<JsonPath>,
    /// Values as JSON.
    set: Vec<(JsonPath, String)>,
    max: u64,
    direction: Direction,
    stats: Arc<EditStats>,
}

impl BodyEditor {
    fn new(edit: &BodyEdit, direction: Direction, stats: Arc<EditStats>) -> Self {
        let set = edit.set.iter().map(|(path, value)| (path.clone(), value.to_json().to_string()));
        let set = set.collect();
        Self { remove: edit.remove.clone(), set, max: edit.max, direction, stats }
    }

    /// Whether a message may be one to edit, going by its headers. Then [`Self::apply`] waits for
    /// its body; otherwise there is nothing to wait for.
    pub fn wants(&self, headers: &HeaderMap, body: &Body) -> bool {
        if body.is_end_stream() || !is_json(headers) {
            return false;
        }
        let refused = if is_encoded(headers) {
            Some(Outcome::Encoded)
        } else if body.size_hint().lower() > self.max {
            Some(Outcome::TooLarge)
        } else {
            None
        };
        if let Some(outcome) = refused {
            self.stats.count(self.direction, outcome);
        }
        refused.is_none()
    }

    /// Edits a body, and what its headers say of it.
    pub async fn apply(&self, mut body: Body, headers: &mut HeaderMap) -> Body {
        if !self.wants(headers, &body) {
            return body;
        }
        let (outcome, body) = match self.read(&mut body).await {
            Read::Whole(bytes, trailers) => match self.edit(&bytes) {
                Ok(edited) => {
                    correct(headers, edited.len());
                    (Outcome::Edited, with_trailers(edited.into(), trailers))
                }
                Err(outcome) => (outcome, with_trailers(bytes, trailers)),
            },
            Read::TooLarge(seen) => (Outcome::TooLarge, again(seen, body)),
            Read::Broken(broken) => (Outcome::Broken, Body::boxed(broken)),
        };
        self.stats.count(self.direction, outcome);
        body
    }

    async fn read(&self, body: &mut Body) -> Read {
        let length = body.size_hint().exact();
        let (mut seen, mut size, mut trailers) = (Vec::new(), 0, None);
        while let Some(frame) = body.frame().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    let seen = seen.into_iter();
                    return Read::Broken(Broken { seen, error: Some(error), left: length });
                }
            };
            match frame.into_data() {
                Ok(data) => {
                    size += data.len() as u64;
                    seen.push(data);
                    if size > self.max {
                        return Read::TooLarge(seen);
                    }
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        let bytes = match seen.as_mut_slice() {
            [all] => std::mem::take(all),
            parts => parts.concat().into(),
        };
        Read::Whole(bytes, trailers)
    }

    /// The body after the edits, or why there is none.
    fn edit(&self, bytes: &[u8]) -> Result<String, Outcome> {
        let text = std::str::from_utf8(bytes).map_err(|_| Outcome::NotJson)?;
        let mut root = Node::read(text).ok_or(Outcome::NotJson)?;
        let mut changed = false;
        for path in &self.remove {
            changed |= root.remove(&path.steps);
        }
        for (path, value) in &self.set {
            changed |= root.set(&path.steps, value);
        }
        if !changed {
            return Err(Outcome::Unchanged);
        }
        let mut out = String::with_capacity(text.len() + 64);
        root.write(&mut out);
        Ok(out)
    }
}

/// What came of reading a body.
enum Read {
    /// It ended.
    Whole(Bytes, Option<HeaderMap>),
    /// It is too large, and this is its beginning.
    TooLarge(Vec<Bytes>),
    /// It broke off.
    Broken(Broken),
}

/// `application/json`, or something that says it is written in JSON. gRPC's messages have an
/// envelope of their own, whatever is inside.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let ends = |suffix: &str| {
        let at = kind.len().checked_sub(suffix.len());
        at.and_then(|at| kind.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    let begins = |prefix: &str| {
        kind.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    kind.eq_ignore_ascii_case("application/json") || ends("+json") && !begins("application/grpc")
}

/// Whether a body is anything but JSON from its beginning to its end.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_RANGE)
        || headers.get_all(CONTENT_ENCODING).iter().any(|encoding| encoding != "identity")
}

/// Makes headers fit a body that has changed.
fn correct(headers: &mut HeaderMap, length: usize) {
    if headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    for name in &DIGESTS {
        headers.remove(name);
    }
}

fn with_trailers(bytes: Bytes, trailers: Option<HeaderMap>) -> Body {
    let Some(trailers) = trailers else { return bytes.into() };
    let frames = [Frame::data(bytes), Frame::trailers(trailers)];
    let frames = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
    Body::boxed(StreamBody::new(frames))
}

/// A body that breaks off where it did.
struct Broken {
    seen: std::vec::IntoIter<Bytes>,
    error: Option<BoxError>,
    /// What is still promised.
    left: Option<u64>,
}

impl HttpBody for Broken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.seen.next() {
            Some(data) => {
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            None => Poll::Ready(self.error.take().map(Err)),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
