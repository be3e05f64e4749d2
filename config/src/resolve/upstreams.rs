//! `url` and `urls`: the real endpoints of a service.

use super::context::Context;
use super::socket;
use crate::decode::{At, NonEmpty, Record as _, ShortOr, Url};
use crate::model::{Kind, ListenAddress, Proxy, Scheme, Upstream, UpstreamAddress};
use crate::raw::{RawService, RawUpstream};
use std::net::SocketAddr;

pub(super) fn resolve(
    cx: &mut Context<'_>,
    raw: &mut RawService,
    kind: Kind,
    proxy: &Proxy,
) -> Vec<Upstream> {
    let (url, urls) = (raw.url.take(), raw.urls.take());
    if let (Some(_), Some(urls)) = (&url, &urls) {
        cx.push(
            urls.spot.error("\"urls\" stands beside \"url\"").hint("put all of them into urls"),
        );
    }
    let single = url.into_iter().map(|url| Entry { url, weight: 1, tier: 1 });
    let NonEmpty(entries) = urls.map_or(NonEmpty(Vec::new()), |urls| urls.value);
    let several: Vec<_> = entries.into_iter().filter_map(|written| entry(cx, written)).collect();
    let urls: Vec<_> = single.chain(several).collect();
    if raw.kind.is_some() || !raw.has("type") {
        check_schemes(cx, &urls, kind);
    }
    let own = OwnAddresses::of(proxy, raw.port.as_ref().map(|port| port.value));
    urls.into_iter()
        .map(|Entry { url: At { spot, value: Url { scheme, address, base_path } }, weight, tier }| {
            let address = match address {
                UpstreamAddress::Unix(path) => {
                    UpstreamAddress::Unix(socket::resolve(cx, &spot, &path))
                }
                host @ UpstreamAddress::Host { .. } => host,
            };
            if let Some(own) = own.find(&address) {
                cx.push(
                    spot.warning(format!("this url leads back to the proxy's own {own}")).hint(
                        "url is where the real service listens; port and listen are where the proxy does",
                    ),
                );
            }
            let plain = if kind == Kind::Tcp { Scheme::Tcp } else { Scheme::Http };
            let scheme = scheme.unwrap_or(plain);
            Upstream { scheme, address, base_path, weight, tier, place: spot.place }
        })
        .collect()
}

/// Whether a url was written and none could be read, which has been reported.
pub(super) fn are_unknown(raw: &RawService, upstreams: &[Upstream]) -> bool {
    upstreams.is_empty() && (raw.has("url") || raw.has("urls"))
}

/// An entry of `urls`.
struct Entry {
    url: At<Url>,
    weight: u32,
    tier: u8,
}

/// An entry of `urls`: an address, or a map with a weight and a tier.
fn entry(cx: &mut Context<'_>, written: ShortOr<At<Url>, RawUpstream>) -> Option<Entry> {
    let RawUpstream { url, weight, tier, .. } = match written {
        ShortOr::Short(url) => return Some(Entry { url, weight: 1, tier: 1 }),
        ShortOr::Long(raw) => raw,
    };
    if let Some(tier) = tier.as_ref().filter(|tier| tier.value == 0) {
        cx.push(
            tier.spot.error("there is no tier 0").hint("the first tier is 1, and the last 255"),
        );
    }
    if let Some(weight) = weight.as_ref().filter(|weight| weight.value == 0) {
        cx.push(
            weight
                .spot
                .error("a weight of 0 would send nothing there")
                .hint("write at least 1, or remove the entry"),
        );
    }
    let weight = weight.map_or(1, |weight| weight.value.max(1));
    Some(Entry { url: url?, weight, tier: tier.map_or(1, |tier| tier.value.max(1)) })
}

/// The type of a service decides what is spoken with it; a socket takes either.
fn check_schemes(cx: &mut Context<'_>, urls: &[Entry], kind: Kind) {
    let schemes = || urls.iter().filter_map(|entry| entry.url.value.scheme);
    let mixed = schemes().any(Scheme::is_http) && !schemes().all(Scheme::is_http);
    for Entry { url: At { spot, value: url }, .. } in urls {
        let Some(scheme) = url.scheme.filter(|scheme| scheme.is_http() != (kind == Kind::Http))
        else {
            continue;
        };
        let name = scheme.as_str();
        let problem = match kind {
            _ if mixed => spot
                .error(format!("{name}:// stands beside urls of another kind"))
                .hint("the urls of one service are all HTTP, or all bytes with type: tcp; make two services of it"),
            Kind::Tcp => spot
                .error(format!("{name}:// cannot be the url of a service of type tcp"))
                .hint("write tcp://HOST:PORT or tls://HOST:PORT, or remove type: tcp"),
            _ => spot
                .error(format!("{name}:// is not HTTP"))
                .hint("write type: tcp beside it to have bytes passed on as they are, or http://"),
        };
        cx.push(problem);
    }
}

/// Where the proxy listens itself.
struct OwnAddresses<'a> {
    ports: Vec<u16>,
    listen: &'a [ListenAddress],
}

impl<'a> OwnAddresses<'a> {
    fn of(proxy: &'a Proxy, port: Option<u16>) -> Self {
        let listen = proxy.listen.iter().filter_map(ListenAddress::tcp);
        let shared = listen.chain(proxy.transparent.iter().copied());
        let ports = port.into_iter().chain(shared.map(|address: SocketAddr| address.port()));
        Self { ports: ports.filter(|port| *port != 0).collect(), listen: &proxy.listen }
    }

    /// What of it the address is.
    fn find(&self, address: &UpstreamAddress) -> Option<String> {
        match address {
            UpstreamAddress::Host { host, port } => {
                let local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
                (local && self.ports.contains(port)).then(|| format!("port {port}"))
            }
            UpstreamAddress::Unix(path) => {
                let own = ListenAddress::Unix(path.clone());
                self.listen.contains(&own).then(|| format!("socket {}", path.display()))
            }
        }
    }
}
