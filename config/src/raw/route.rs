//! A route as typed.

use super::{RawRespond, RawTimeout, with_policies};
use crate::decode::{
    AnyText, At, Many, Named, NonEmpty, RedirectStatus, ShortOr, Verb, Word, record,
};
use crate::model::HostPattern;
use crate::pattern::PathPattern;
use std::time::Duration;

with_policies! {
    /// One line of the gateway table; the most specific match wins.
    RawRoute("a route") {
        /// A path, or a map of conditions that must all hold.
        "match" required => matches: ShortOr<At<PathPattern>, RawMatch>,
        /// A service, several with weights, or `stitch` for the proxy's own health and metrics.
        "to" => to: At<NonEmpty<Many<ShortOr<At<Word>, RawTarget>>>>,
        /// The path that the service sees; `{name}` and a final `**` are filled from the match.
        "rewrite" => rewrite: At<Word>,
        /// Sends the client elsewhere instead: a path or URL, or a map with a status.
        "redirect" => redirect: At<ShortOr<At<Word>, RawRedirect>>,
        /// Answers by itself instead: a status, headers and a body.
        "respond" => respond: At<RawRespond>,
        /// The cookie by which a client stays with the service that it got first; for several `to`.
        "sticky" => sticky: At<Word>,
        /// Higher wins, whatever is more specific. Default 0.
        "priority" => priority: i32,
        /// Overrides the service's.
        "timeout" => timeout: At<ShortOr<At<Duration>, RawTimeout>>,
    }
    later: super::later::POLICIES
}

record! {
    /// Conditions of a route; all must hold.
    RawMatch("match") {
        /// A path pattern. Default: every path.
        "path" => path: At<PathPattern>,
        /// One host or several. Default: every host.
        "host" => host: NonEmpty<Many<HostPattern>>,
        /// One method or several. Default: every method.
        "method" => method: NonEmpty<Many<Verb>>,
        /// Headers that must be there with exactly this value.
        "headers" => headers: Named<AnyText>,
        /// Query parameters that must be there with exactly this value.
        "query" => query: Named<AnyText>,
        /// Cookies that must be there with exactly this value.
        "cookies" => cookies: Named<AnyText>,
    }
}

record! {
    /// One service of several.
    RawTarget("an entry of to") {
        /// The service.
        "service" required => service: At<Word>,
        /// Its share of requests relative to its siblings. Default 1.
        "weight" => weight: u32,
    }
}

record! {
    /// Where the client is sent.
    RawRedirect("redirect") {
        /// A path or an absolute URL; `{name}` and a final `**` are filled from the match.
        "to" required => to: At<Word>,
        /// 301, 302, 303, 307 or 308. Default 307.
        "status" => status: RedirectStatus,
    }
}
