//! `balance` and `slow_start`: which endpoint of a service.

use super::context::Context;
use super::policies::Owner;
use crate::decode::At;
use crate::model::{Balance, HashKey, Kind, Setting};
use crate::raw::OrOff;
use crate::yaml::Spot;
use std::time::Duration;

pub(super) fn balance(
    cx: &mut Context<'_>,
    raw: Option<At<OrOff<Balance>>>,
    owner: &Owner,
) -> Setting<Balance> {
    let Some(At { spot, value }) = raw else { return Setting::Inherited };
    if is_out_of_place(cx, &spot, "balance", owner) {
        return Setting::Inherited;
    }
    let OrOff::On(balance) = value else { return Setting::Off };
    let is_tcp = matches!(owner, Owner::Service(_, Kind::Tcp));
    let asks_requests = match &balance {
        Balance::Ewma => Some("how long answers take"),
        Balance::Hash(HashKey::ClientIp) => None,
        Balance::Hash(_) => Some("what requests hold"),
        Balance::Sticky(_) => Some("cookies"),
        Balance::LeastRequest | Balance::RoundRobin | Balance::Random => None,
    };
    if let Some(what) = asks_requests.filter(|_| is_tcp) {
        cx.push(
            spot.error(format!("with type: tcp nothing is known of {what}"))
                .hint("write least_request, round_robin, random or hash:client_ip"),
        );
        return Setting::Inherited;
    }
    Setting::On(balance)
}

pub(super) fn slow_start(
    cx: &mut Context<'_>,
    raw: Option<At<OrOff<Duration>>>,
    owner: &Owner,
) -> Setting<Duration> {
    let Some(At { spot, value }) = raw else { return Setting::Inherited };
    if is_out_of_place(cx, &spot, "slow_start", owner) {
        return Setting::Inherited;
    }
    match value {
        OrOff::Off => Setting::Off,
        OrOff::On(time) if time.is_zero() => {
            cx.push(
                spot.error("a slow_start of 0 is none").hint("write none, or a time such as 30s"),
            );
            Setting::Inherited
        }
        OrOff::On(time) => Setting::On(time),
    }
}

fn is_out_of_place(cx: &mut Context<'_>, spot: &Spot, key: &str, owner: &Owner) -> bool {
    let problem = match owner {
        Owner::Defaults | Owner::Service(_, Kind::Http | Kind::Tcp) => return false,
        Owner::Service(_, Kind::Infra) => spot
            .error(format!("{key:?} means nothing with type: infra"))
            .hint("the proxy leaves infrastructure alone; remove the key or the type"),
        Owner::Route(_) => spot
            .error(format!("{key:?} is not for routes: endpoints belong to their service"))
            .hint(format!("write {key} at the service, or in defaults")),
    };
    cx.push(problem);
    true
}
