//! Every policy key, once: `with_policies!` puts them into a record beside its own keys.

use super::{
    ConcurrencyChoice, Enabled, MirrorChoice, OrOff, RateLimitChoice, RawAuth, RawBodyEdits,
    RawBreaker, RawCors, RawEject, RawHeaderEdits, RawRespond, RetryPolicy,
};
use crate::decode::{At, ShortOr};
use crate::model::Balance;
use crate::yaml::Spot;
use std::time::Duration;

/// Declares a record that has every policy's key besides its own; see `record!`.
macro_rules! with_policies {
    (
        $(#[doc = $about:literal])*
        $name:ident ($title:literal) { $($own:tt)* }
        later: $($later:expr),+
    ) => {
        $crate::decode::record! {
            $(#[doc = $about])*
            $name($title) {
                $($own)*
                /// Further attempts after one that failed: how many, or a map.
                "retry" => retry: $crate::decode::At<$crate::raw::OrOff<$crate::raw::RetryPolicy>>,
                /// Refuses calls at once while they keep failing: true, or a map. Default: none.
                "breaker" => breaker: $crate::decode::At<$crate::raw::OrOff<$crate::decode::ShortOr<$crate::raw::Enabled, $crate::raw::RawBreaker>>>,
                /// Leaves out single endpoints that keep failing: true, or a map. Default: none.
                "eject" => eject: $crate::decode::At<$crate::raw::OrOff<$crate::decode::ShortOr<$crate::raw::Enabled, $crate::raw::RawEject>>>,
                /// Changes headers on their way, both ways.
                "headers" => headers: $crate::decode::At<$crate::raw::OrOff<$crate::raw::RawHeaderEdits>>,
                /// Changes JSON bodies on their way, both ways.
                "body" => body: $crate::decode::At<$crate::raw::OrOff<$crate::raw::RawBodyEdits>>,
                /// The answer when nothing else can give one.
                "fallback" => fallback: $crate::decode::At<$crate::raw::OrOff<$crate::raw::RawRespond>>,
                /// Refuses requests beyond a rate: 100/s, a map, or a list of limits that all hold. Default: none.
                "rate_limit" => rate_limit: $crate::decode::At<$crate::raw::OrOff<$crate::raw::RateLimitChoice>>,
                /// Refuses requests beyond so many in flight: a map, or adaptive. Default: none.
                "concurrency" => concurrency: $crate::decode::At<$crate::raw::OrOff<$crate::raw::ConcurrencyChoice>>,
                /// Which endpoint: least_request, round_robin, ewma, random, hash:KEY or sticky:COOKIE.
                /// Default least_request.
                "balance" => balance: $crate::decode::At<$crate::raw::OrOff<$crate::model::Balance>>,
                /// How long a new or recovered endpoint takes to get its whole share. Default: none.
                "slow_start" => slow_start: $crate::decode::At<$crate::raw::OrOff<std::time::Duration>>,
                /// Compresses answers as the client accepts it. Default false.
                "compression" => compression: $crate::decode::At<$crate::raw::OrOff<$crate::raw::Enabled>>,
                /// Lets scripts of other origins in, and answers their preflights. Default: the service does.
                "cors" => cors: $crate::decode::At<$crate::raw::OrOff<$crate::raw::RawCors>>,
                /// Sends a copy of a share of the requests to another service too.
                "mirror" => mirror: $crate::decode::At<$crate::raw::OrOff<$crate::raw::MirrorChoice>>,
                /// Who may come in: a map of jwt, api_key, basic and forward, or none. Default none.
                "auth" => auth: $crate::decode::At<$crate::raw::OrOff<$crate::raw::RawAuth>>,
            }
            later: $($later),+
        }

        impl $name {
            /// The policies, apart from what else stands here.
            pub(crate) fn take_policies(&mut self) -> $crate::raw::RawPolicies {
                $crate::raw::RawPolicies {
                    retry: self.retry.take(),
                    breaker: self.breaker.take(),
                    eject: self.eject.take(),
                    headers: self.headers.take(),
                    body: self.body.take(),
                    fallback: self.fallback.take(),
                    rate_limit: self.rate_limit.take(),
                    concurrency: self.concurrency.take(),
                    balance: self.balance.take(),
                    slow_start: self.slow_start.take(),
                    compression: self.compression.take(),
                    cors: self.cors.take(),
                    mirror: self.mirror.take(),
                    auth: self.auth.take(),
                }
            }
        }
    };
}
pub(crate) use with_policies;

/// The policies of one place in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawPolicies {
    pub(crate) retry: Option<At<OrOff<RetryPolicy>>>,
    pub(crate) breaker: Option<At<OrOff<ShortOr<Enabled, RawBreaker>>>>,
    pub(crate) eject: Option<At<OrOff<ShortOr<Enabled, RawEject>>>>,
    pub(crate) headers: Option<At<OrOff<RawHeaderEdits>>>,
    pub(crate) body: Option<At<OrOff<RawBodyEdits>>>,
    pub(crate) fallback: Option<At<OrOff<RawRespond>>>,
    pub(crate) rate_limit: Option<At<OrOff<RateLimitChoice>>>,
    pub(crate) concurrency: Option<At<OrOff<ConcurrencyChoice>>>,
    pub(crate) balance: Option<At<OrOff<Balance>>>,
    pub(crate) slow_start: Option<At<OrOff<Duration>>>,
    pub(crate) compression: Option<At<OrOff<Enabled>>>,
    pub(crate) cors: Option<At<OrOff<RawCors>>>,
    pub(crate) mirror: Option<At<OrOff<MirrorChoice>>>,
    pub(crate) auth: Option<At<OrOff<RawAuth>>>,
}

impl RawPolicies {
    /// Policies that are asked for, of those that a route may have, by key and place; `mirror` says
    /// more about itself.
    pub(crate) fn asked_for(&self) -> Vec<(&'static str, Spot)> {
        fn spot<T>(written: Option<&At<OrOff<T>>>) -> Option<Spot> {
            let on = written.filter(|written| !matches!(written.value, OrOff::Off));
            on.map(|written| written.spot.clone())
        }
        let written = [
            ("retry", spot(self.retry.as_ref())),
            ("breaker", spot(self.breaker.as_ref())),
            ("headers", spot(self.headers.as_ref())),
            ("body", spot(self.body.as_ref())),
            ("fallback", spot(self.fallback.as_ref())),
            ("rate_limit", spot(self.rate_limit.as_ref())),
            ("concurrency", spot(self.concurrency.as_ref())),
            ("compression", spot(self.compression.as_ref())),
            ("cors", spot(self.cors.as_ref())),
            ("auth", spot(self.auth.as_ref())),
        ];
        written.into_iter().filter_map(|(key, spot)| Some((key, spot?))).collect()
    }
}
