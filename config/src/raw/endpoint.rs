//! A mocked endpoint and an event subscription as typed.

use super::RawResponse;
use crate::data::{Data, Text};
use crate::decode::{At, Capability, Many, Named, NonEmpty, Share, Status, Verb, Word, record};
use crate::model::DelayRange;
use crate::pattern::PathPattern;
use std::time::Duration;

record! {
    /// One mocked endpoint.
    RawEndpoint("an endpoint") {
        /// Path pattern: /charges/{id}, /static/**, or ~REGEX.
        "path" required => path: At<PathPattern>,
        /// One method, a list, or ANY. Default GET.
        "method" => method: At<NonEmpty<Many<Verb>>>,
        /// The answer: a status, text, a JSON body, or a map of status, headers and body or file.
        /// Default: 200 without a body.
        "response" => response: RawResponse,
        /// How long to wait before the first byte: 20ms or 20ms..80ms.
        "delay" => delay: DelayRange,
        /// The share of calls that answer 500: 5% or 0.05.
        "failure_rate" => failure_rate: Share,
        /// Events to publish after the answer.
        "nats_publish" => nats_publish: Many<RawPublish>,
    }
    later: &[
        ("when", Capability::MockDepth),
        ("failures", Capability::MockDepth),
        ("set", Capability::MockDepth),
        ("script", Capability::MockDepth),
        ("webhook", Capability::MockDepth),
        ("rpc", Capability::MockDepth),
        ("calls", Capability::Faults),
    ]
}

record! {
    /// One event to publish after the answer.
    RawPublish("an entry of nats_publish") {
        /// The subject; may hold templates.
        "subject" required => subject: At<Word>,
        /// The payload; its strings may hold templates. Default null.
        "data" => data: Data,
        /// Extra wait after the answer.
        "delay" => delay: Duration,
    }
}

record! {
    /// What the service does when an event arrives: call an endpoint, or reply.
    RawSubscription("an entry of nats_subscribe") {
        /// The subject; `*` stands for one token, `>` for the rest.
        "subject" required => subject: At<Word>,
        /// A call to the service itself: "POST /path". The path may hold templates.
        "action" => action: At<Word>,
        /// An answer to the event's reply subject; strings may hold templates.
        "reply" => reply: At<Data>,
    }
}

record! {
    /// A response with more than a body.
    RawDescriptor("a response") {
        /// Status code, 200 to 599. Default 200.
        "status" => status: At<Status>,
        /// Headers; values may hold templates.
        "headers" => headers: Named<Many<Text>>,
        /// The body: text, or anything else as JSON. Strings may hold templates.
        "body" => body: At<Data>,
        /// A file whose content is the body, relative to the file that names it.
        "file" => file: At<Word>,
    }
    later: &[
        ("stream", Capability::MockDepth),
        ("dribble", Capability::MockDepth),
        ("proxy", Capability::MockDepth),
        ("times", Capability::MockDepth),
    ]
}
