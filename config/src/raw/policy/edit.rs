//! `headers:`, `body:`, `fallback:` and `respond:` as typed.

use crate::data::{Data, Text};
use crate::decode::{At, Many, Named, Size, Status, Word, record};
use crate::model::{JsonPath, Value};

record! {
    /// Changes of headers on their way.
    RawHeaderEdits("headers") {
        /// On what the service gets.
        "request" => request: RawHeaderEdit,
        /// On what the client gets.
        "response" => response: RawHeaderEdit,
    }
}

record! {
    /// Changes of the headers of one direction, in the order remove, set, add.
    RawHeaderEdit("an edit of headers") {
        /// Headers that are taken away.
        "remove" => remove: Many<At<Word>>,
        /// Headers that get this value instead of what they have. Values may hold
        /// {{ request.path.NAME }}, request.query.NAME, request.headers.NAME, request.id, trace.id
        /// and client.ip.
        "set" => set: Named<At<Value>>,
        /// Headers that get this value besides what they have; a list adds several lines. Values
        /// as in `set`.
        "add" => add: Named<Many<At<Value>>>,
    }
}

record! {
    /// Changes of JSON bodies on their way.
    RawBodyEdits("body") {
        /// Of what the service gets.
        "request" => request: RawBodyEdit,
        /// Of what the client gets.
        "response" => response: RawBodyEdit,
    }
}

record! {
    /// Changes of the JSON bodies of one direction: remove, then set.
    RawBodyEdit("an edit of bodies") {
        /// Paths whose values are taken away, such as $.items[*].secret.
        "remove" => remove: Many<At<JsonPath>>,
        /// Paths and the values that they get; what is missing on the way is made.
        "set" => set: Named<Data>,
        /// Larger bodies pass unchanged. Default 1MiB.
        "max" => max: At<Size>,
    }
}

record! {
    /// An answer of the proxy's own.
    RawRespond("an answer") {
        /// Status code, 200 to 599. Default 200.
        "status" => status: At<Status>,
        /// Headers; a list sends the header several times.
        "headers" => headers: Named<Many<Text>>,
        /// The body: text, or anything else as JSON. Default: none.
        "body" => body: At<Data>,
    }
}
