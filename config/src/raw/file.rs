//! The top of a file.

use super::{RawHealthDefaults, RawProxy, RawRoute, RawService, RawTimeout, with_policies};
use crate::data::Data;
use crate::decode::{
    At, Capability, FromScalar, Many, Named, ShortOr, Word, Wrong, record, scalars,
};
use crate::model::Events;
use serde_json::{Value as Json, json};
use std::time::Duration;

record! {
    /// A ServiceStitch configuration: services, real and mocked, and the proxy in front of them.
    RawFile("the file") {
        /// Seed of everything random. Absent: drawn once and printed at start.
        "seed" => seed: At<u64>,
        /// Other files whose services, routes and vars are added. `*` and `?` match names.
        "include" => include: Many<At<Word>>,
        /// Values for templates: `{{ vars.currency }}`.
        "vars" => vars: Named<Data>,
        /// The proxy's own listeners and limits.
        "proxy" => proxy: At<RawProxy>,
        /// Where events travel: `auto`, `in-process` or `nats://host:4222`. Default auto.
        "events" => events: At<EventsChoice>,
        /// Policies that every service inherits.
        "defaults" => defaults: At<RawDefaults>,
        /// The services by name.
        "services" => services: Named<At<RawService>>,
        /// The gateway table on `listen`.
        "routes" => routes: Vec<At<RawRoute>>,
    }
    later: &[
        ("tracing", Capability::Observability),
        ("toxiproxy", Capability::Faults),
        ("scenarios", Capability::Faults),
    ]
}

with_policies! {
    /// Policies that every service inherits unless it sets them itself.
    RawDefaults("defaults") {
        /// See `timeout` of a service.
        "timeout" => timeout: ShortOr<At<Duration>, RawTimeout>,
        /// How endpoints are checked; see `health` of a service.
        "health" => health: RawHealthDefaults,
    }
    later: super::later::POLICIES
}

/// `events:`.
#[derive(Clone, Debug)]
pub(crate) struct EventsChoice(pub(crate) Events);

impl FromScalar for EventsChoice {
    const WHAT: &'static str = "auto, in-process or a nats:// address";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        match text {
            "auto" => Ok(Self(Events::Auto)),
            "in-process" => Ok(Self(Events::InProcess)),
            _ => match text.strip_prefix("nats://") {
                Some(host) if is_authority(host) => Ok(Self(Events::Nats(text.to_owned()))),
                // The value may hold a password, so only its beginning is repeated.
                Some(_) => Err(Wrong::new("the nats:// address is not a host and port")
                    .hint("write nats://localhost:4222")),
                None => Err(Wrong::new(format!("expected {}, found another word", Self::WHAT))
                    .hint("write auto, in-process or nats://localhost:4222")),
            },
        }
    }

    fn json_schema() -> Json {
        json!({ "anyOf": [{ "enum": ["auto", "in-process"] }, { "type": "string", "pattern": "^nats://" }] })
    }
}
scalars!(EventsChoice);

/// Something before and after an "@", if there is one, and no path.
fn is_authority(text: &str) -> bool {
    text.split('@').all(|part| !part.is_empty())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}
