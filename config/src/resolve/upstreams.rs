//! `url` and `urls`: the real endpoints of a service.

use super::context::Context;
use crate::decode::{At, HttpUrl, NonEmpty, ShortOr};
use crate::model::Upstream;
use crate::raw::{RawService, RawUpstream};
use std::net::SocketAddr;

pub(super) fn resolve(
    cx: &mut Context<'_>,
    raw: &mut RawService,
    listen: &[SocketAddr],
) -> Vec<Upstream> {
    let (url, urls) = (raw.url.take(), raw.urls.take());
    if let (Some(_), Some(urls)) = (&url, &urls) {
        cx.push(
            urls.spot.error("\"urls\" stands beside \"url\"").hint("put all of them into urls"),
        );
    }
    let single = url.into_iter().map(|url| (url, 1));
    let NonEmpty(entries) = urls.map_or(NonEmpty(Vec::new()), |urls| urls.value);
    let several: Vec<_> = entries.into_iter().filter_map(|entry| weighted(cx, entry)).collect();
    let own: Vec<_> = (raw.port.iter().map(|port| port.value))
        .chain(listen.iter().map(SocketAddr::port))
        .filter(|port| *port != 0)
        .collect();
    single
        .chain(several)
        .map(|(At { spot, value: HttpUrl { host, port, base_path } }, weight)| {
            let local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
            if local && own.contains(&port) {
                cx.push(
                    spot.warning(format!("this url leads back to the proxy's own port {port}")).hint(
                        "url is where the real service listens; port and listen are where the proxy does",
                    ),
                );
            }
            Upstream { host, port, base_path, weight, place: spot.place }
        })
        .collect()
}

/// An entry of `urls`: an address, or a map with a weight.
fn weighted(
    cx: &mut Context<'_>,
    entry: ShortOr<At<HttpUrl>, RawUpstream>,
) -> Option<(At<HttpUrl>, u32)> {
    let RawUpstream { url, weight, .. } = match entry {
        ShortOr::Short(url) => return Some((url, 1)),
        ShortOr::Long(raw) => raw,
    };
    if let Some(weight) = weight.as_ref().filter(|weight| weight.value == 0) {
        cx.push(
            weight
                .spot
                .error("a weight of 0 would send nothing there")
                .hint("write at least 1, or remove the entry"),
        );
    }
    Some((url?, weight.map_or(1, |weight| weight.value.max(1))))
}
