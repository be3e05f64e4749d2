//! One service: what it is, who answers, what may stand together.

use super::context::Context;
use super::{checks, endpoint, events, fit, health, policies, timeouts, tls, upstreams};
use crate::decode::{AnyText, At, Many, Named, Record as _, Status, Word};
use crate::model::{HostPattern, Kind, LocalCommand, Mode, Proxy, Service};
use crate::raw::RawService;
use crate::yaml::Spot;
use std::net::SocketAddr;
use std::sync::Arc;

pub(super) fn resolve(
    cx: &mut Context<'_>,
    name: &At<String>,
    raw: At<RawService>,
    proxy: &Proxy,
) -> Service {
    fit::name(cx, name);
    let At { spot, value: mut raw } = raw;
    let spot = Spot { place: name.spot.place, path: spot.path };
    let kind = fit::kind(&raw);
    match kind {
        Kind::Infra => fit::infra(cx, &spot, &mut raw),
        Kind::Tcp => fit::tcp(cx, &spot, &mut raw),
        Kind::Http => {
            fit::purpose(cx, &spot, &raw);
            fit::http(cx, &mut raw);
        }
    }
    if kind != Kind::Infra {
        fit::container_keys(cx, &raw);
    }
    claim_port(cx, name, raw.port.as_ref(), proxy);
    let (mode, mock_on) = match kind {
        Kind::Http => answering(cx, &mut raw),
        Kind::Tcp | Kind::Infra => (Mode::Real, vec![501]),
    };
    let command = command(cx, &raw);
    let upstreams = upstreams::resolve(cx, &mut raw, kind, proxy);
    let (health_path, health_grpc) = health::resolve(cx, &raw, kind, &upstreams);
    let asked = (health_path.as_ref(), health_grpc.as_ref());
    let health_check = checks::resolve(cx, &raw, kind, &upstreams, asked);
    Service {
        name: name.value.as_str().into(),
        place: spot.place,
        kind,
        tls: tls::client(cx, &mut raw, &upstreams),
        upstreams,
        proxy_protocol: raw.proxy_protocol.as_ref().map(|version| version.value),
        port: raw.port.as_ref().map(|port| port.value),
        hosts: hosts(cx, &spot, name, kind, raw.hosts.take()),
        preserve_host: raw.preserve_host.as_ref().is_some_and(|preserve| preserve.value),
        mode,
        mock_on,
        timeout: timeouts::of_service(cx, &name.value, raw.timeout.take(), kind),
        policies: policies::of_service(cx, &name.value, kind, raw.take_policies()),
        endpoints: endpoint::resolve_all(cx, &name.value, raw.endpoints.take()),
        subscriptions: events::subscriptions(cx, raw.nats_subscribe.take()),
        health_path,
        health_grpc,
        health_check,
        command,
        env: pairs(raw.env),
        image: raw.image.map(|image| image.value.0),
        build: raw.build.map(|build| build.value),
        ports: raw.ports.map(|ports| texts(ports.value)).unwrap_or_default(),
        volumes: raw.volumes.map(|volumes| texts(volumes.value)).unwrap_or_default(),
        environment: raw.environment.map(|environment| environment.value.0),
        depends_on: depends_on(cx, &name.value, raw.depends_on),
    }
}

fn claim_port(cx: &mut Context<'_>, name: &At<String>, port: Option<&At<u16>>, proxy: &Proxy) {
    if let Some(port) = port {
        let address = SocketAddr::new(proxy.service_ip(), port.value);
        cx.claims.port(address, format!("service {}", name.value), &port.spot);
    }
}

/// Who answers, and for which answers of the real service the mock steps in.
fn answering(cx: &mut Context<'_>, raw: &mut RawService) -> (Mode, Vec<u16>) {
    let has_mock = raw.has("endpoints") || raw.has("nats_subscribe");
    let has_real = raw.has("url") || raw.has("urls");
    let mode = mode(cx, raw, has_real, has_mock);
    (mode, mock_on(cx, raw.mock_on.take(), has_real && has_mock))
}

fn texts(many: Many<AnyText>) -> Vec<String> {
    many.0.into_iter().map(|text| text.0).collect()
}

fn pairs(env: Option<At<Named<AnyText>>>) -> Vec<(String, String)> {
    let pairs = env.map(|env| env.value.0).unwrap_or_default();
    pairs.into_iter().map(|(name, text)| (name.value, text.0)).collect()
}

fn mode(cx: &mut Context<'_>, raw: &RawService, has_real: bool, has_mock: bool) -> Mode {
    let default = Mode::default_for(has_real, has_mock);
    let Some(At { spot, value: mode }) = &raw.mode else { return default };
    let name = mode.as_str();
    if mode.uses_real() && !has_real {
        cx.push(
            spot.error(format!("the mode {name} needs a real service, and there is no \"url\""))
                .hint("add url:, or write mode: mock"),
        );
    } else if mode.uses_mock() && !has_mock {
        cx.push(
            spot.error(format!("the mode {name} needs a mock, and there are no \"endpoints\""))
                .hint("add endpoints:, or write mode: real"),
        );
    } else {
        return *mode;
    }
    default
}

fn mock_on(cx: &mut Context<'_>, raw: Option<At<Many<Status>>>, both: bool) -> Vec<u16> {
    let Some(At { spot, value: Many(statuses) }) = raw else { return vec![501] };
    if !both {
        cx.push(
            spot.warning("\"mock_on\" does nothing without both a url and endpoints")
                .hint("it says for which answers of the real service the mock steps in"),
        );
    }
    statuses.into_iter().map(|status| status.0).collect()
}

fn hosts(
    cx: &mut Context<'_>,
    spot: &Spot,
    name: &At<String>,
    kind: Kind,
    raw: Option<At<Many<At<HostPattern>>>>,
) -> Vec<HostPattern> {
    let written = raw.map(|many| many.value.0);
    let hosts = match written {
        Some(hosts) => hosts,
        None if kind == Kind::Infra => Vec::new(),
        None => [name.value.clone(), format!("{}.localhost", name.value)]
            .map(|host| At { spot: spot.clone(), value: HostPattern { host, port: None } })
            .to_vec(),
    };
    for host in &hosts {
        cx.claims.host(host.value.clone(), &name.value, &host.spot);
    }
    hosts.into_iter().map(|host| host.value).collect()
}

fn command(cx: &mut Context<'_>, raw: &RawService) -> Option<LocalCommand> {
    let At { spot, value } = raw.command.as_ref()?;
    let argv = match shell_words::split(&value.0) {
        Ok(argv) if !argv.is_empty() => argv,
        Ok(_) => {
            cx.push(spot.error("the command is empty"));
            return None;
        }
        Err(_) => {
            cx.push(spot.error("a quote in the command is not closed"));
            return None;
        }
    };
    Some(LocalCommand {
        argv,
        directory: cx.sources.directory(spot.place),
        proxied: raw.proxied.as_ref().is_some_and(|proxied| proxied.value),
        place: spot.place,
    })
}

fn depends_on(
    cx: &mut Context<'_>,
    service: &str,
    raw: Option<At<Many<At<Word>>>>,
) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    for name in raw.map(|many| many.value.0).unwrap_or_default() {
        if cx.find_service(&name).is_some() {
            cx.calls.add(service, &name.value.0, &name.spot);
            names.push(name.value.0.into());
        }
    }
    names
}
