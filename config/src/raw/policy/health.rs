//! `health:` as typed: what start order waits for, and what endpoints are asked all the time.

use super::{Enabled, OrOff};
use crate::decode::{At, Word, record};
use std::time::Duration;

record! {
    /// What start order waits for, and with `every` what each endpoint is asked all the time.
    RawHealth("health") {
        /// A path that answers with a status below 500 once the service is ready, and below 400
        /// while an endpoint is well. Default /health where a command is declared or endpoints are
        /// checked, but none for h2c:// urls.
        "path" => path: At<Word>,
        /// The gRPC service whose health is asked for, "" for the whole server. Needs h2c:// or
        /// https://.
        "grpc" => grpc: At<String>,
        /// A connection is enough. Default with type: tcp and for h2c:// urls.
        "tcp" => tcp: At<Enabled>,
        /// Checks every endpoint all the time: from one check to the next, give or take 10 %. `none`
        /// checks nothing, whatever `defaults` say.
        "every" => every: At<OrOff<Duration>>,
        /// How long one check may take. Default 2s, or `every` where that is shorter.
        "timeout" => timeout: At<Duration>,
        /// Good checks in a row after which an endpoint is well again. Default 2.
        "healthy" => healthy: At<u32>,
        /// Bad checks in a row after which an endpoint gets no requests. Default 3.
        "unhealthy" => unhealthy: At<u32>,
    }
}

record! {
    /// How endpoints are checked unless their service says otherwise.
    RawHealthDefaults("health") {
        /// Checks every real endpoint all the time: from one check to the next.
        "every" => every: At<OrOff<Duration>>,
        /// How long one check may take. Default 2s, or `every` where that is shorter.
        "timeout" => timeout: At<Duration>,
        /// Good checks in a row after which an endpoint is well again. Default 2.
        "healthy" => healthy: At<u32>,
        /// Bad checks in a row after which an endpoint gets no requests. Default 3.
        "unhealthy" => unhealthy: At<u32>,
    }
}
