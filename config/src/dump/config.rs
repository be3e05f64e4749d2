//! The configuration as meant, for `GET /api/config`, with every secret masked.
//!
//! Masked are the admin token, values whose key sounds like a secret, and user names and passwords
//! in URLs. Durations are in the notation of the file.

use super::{auth, balance, breaker, edge, edits, limits, retry};
use crate::data::Data;
use crate::model::{
    AccessLogFormat, AccessLogOnly, AccessLogTarget, AllowRule, Certificate, Config, DelayRange,
    Endpoint, Events, HealthProbe, HostPattern, Kind, Methods, NetClass, PemFile, Proxy,
    ProxyProtocol, Reaction, ResponseBody, Route, RouteAction, RouteMatch, Service, Subscription,
    Workers,
};
use crate::overlay::can_change;
use crate::pattern::PathTemplate;
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

pub(super) const MASK: &str = "***";

/// The resolved configuration as JSON.
pub fn dump(config: &Config) -> Json {
    let vars = Json::Object(
        config.vars.iter().map(|(name, value)| (name.clone(), masked_data(name, value))).collect(),
    );
    let services =
        config.services.iter().map(|service| (service.name.to_string(), dump_service(service)));
    json!({
        "file": config.file.display().to_string(),
        "seed": config.seed,
        "vars": vars,
        "proxy": dump_proxy(&config.proxy),
        "events": match &config.events {
            Events::Auto => "auto".to_owned(),
            Events::InProcess => "in-process".to_owned(),
            Events::Nats(url) => masked_url(url),
        },
        "services": Json::Object(services.collect()),
        "routes": config.routes.iter().map(|route| dump_route(route)).collect::<Vec<_>>(),
    })
}

/// The policies of one service in force, and what else can be changed of it at run time.
pub fn dump_policies(service: &Service) -> Json {
    let mut all = dump_service(service);
    if let Some(keys) = all.as_object_mut() {
        keys.retain(|key, _| can_change(key));
    }
    all
}

/// The policies that a route has for itself, with its timers; without those that it leaves to the
/// services.
pub fn dump_route_policies(route: &Route) -> Json {
    let mut all = dump_route(route);
    if let Some(keys) = all.as_object_mut() {
        keys.retain(|key, value| can_change(key) && !value.is_null());
        if let Some(timers) = keys.get_mut("timeout").and_then(Json::as_object_mut) {
            timers.retain(|_, value| !value.is_null());
        }
        keys.retain(|_, value| value.as_object().is_none_or(|entries| !entries.is_empty()));
    }
    all
}

/// What a route asks of a request.
pub fn dump_match(route: &Route) -> Json {
    let mut whole = dump_route(route)["match"].take();
    if let Some(keys) = whole.as_object_mut() {
        keys.retain(|_, value| value.as_array().is_none_or(|entries| !entries.is_empty()));
    }
    whole
}

/// A value of a policy as written, secrets masked: by the names of keys, and all that `auth` holds.
pub fn masked(key: &str, value: &Json) -> Json {
    match value {
        Json::Object(entries) => {
            let below = |name: &str| if key == "auth" { "auth" } else { name }.to_owned();
            let entries = entries.iter();
            Json::Object(entries.map(|(name, v)| (name.clone(), masked(&below(name), v))).collect())
        }
        Json::Array(items) => items.iter().map(|item| masked(key, item)).collect(),
        Json::String(text) if key == "auth" || is_secret(key) => json!(MASK),
        Json::String(text) => json!(masked_url(text)),
        Json::Null | Json::Bool(_) | Json::Number(_) if is_secret(key) => json!(MASK),
        _ => value.clone(),
    }
}

fn dump_proxy(proxy: &Proxy) -> Json {
    let texts = |rules: &[AllowRule]| rules.iter().map(rule).collect::<Vec<_>>();
    json!({
        "listen": proxy.listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "transparent": proxy.transparent,
        "tls": proxy.tls.as_ref().map(|tls| json!({
            "certificates": tls.certificates.iter().map(certificate).collect::<Vec<_>>(),
            "client_ca": tls.client_ca.as_ref().map(file),
        })),
        "proxy_protocol": proxy.proxy_protocol,
        "admin": {
            "listen": proxy.admin.listen.to_string(),
            "token": proxy.admin.token.as_ref().map(|_| MASK),
        },
        "workers": match proxy.workers {
            Workers::Auto => json!("auto"),
            Workers::Count(count) => json!(count),
        },
        "forward": {
            "allow": texts(&proxy.forward.allow),
            "connect_ports": proxy.forward.connect_ports,
            "intercept_tls": proxy.forward.intercept_tls,
        },
        "trust": texts(&proxy.trust),
        "access_log": {
            "format": match proxy.access_log.format {
                AccessLogFormat::Text => "text",
                AccessLogFormat::Json => "json",
            },
            "to": match &proxy.access_log.to {
                AccessLogTarget::Stderr => "stderr".to_owned(),
                AccessLogTarget::Stdout => "stdout".to_owned(),
                AccessLogTarget::File(path) => path.display().to_string(),
            },
            "only": match proxy.access_log.only {
                AccessLogOnly::All => "all".to_owned(),
                AccessLogOnly::Errors => "errors".to_owned(),
                AccessLogOnly::StatusFrom(status) => format!("status >= {status}"),
            },
        },
        "limits": {
            "header_bytes": proxy.limits.header_bytes,
            "body": proxy.limits.body.map_or(json!("none"), |bytes| json!(bytes)),
            "connections": proxy.limits.connections,
            "header_timeout": time(proxy.limits.header_timeout),
            "idle": time(proxy.limits.idle),
        },
        "drain": time(proxy.drain),
    })
}

fn certificate(certificate: &Certificate) -> Json {
    json!({ "cert": file(&certificate.cert), "key": file(&certificate.key) })
}

fn file(file: &PemFile) -> String {
    file.path.display().to_string()
}

fn rule(rule: &AllowRule) -> String {
    match rule {
        AllowRule::Class(NetClass::Loopback) => "loopback".to_owned(),
        AllowRule::Class(NetClass::Private) => "private".to_owned(),
        AllowRule::Class(NetClass::Public) => "public".to_owned(),
        AllowRule::Net(net) => net.to_string(),
        AllowRule::Host(host) => host.clone(),
    }
}

fn dump_service(service: &Service) -> Json {
    let urls = service
        .upstreams
        .iter()
        .map(|upstream| json!({ "url": upstream.to_string(), "weight": upstream.weight, "tier": upstream.tier }));
    let env = service.env.iter().map(|(key, value)| (key.clone(), masked_text(key, value).into()));
    let mut out = json!({
        "type": match service.kind { Kind::Http => "http", Kind::Tcp => "tcp", Kind::Infra => "infra" },
        "mode": service.mode.as_str(),
        "mock_on": service.mock_on,
        "urls": urls.collect::<Vec<_>>(),
        "tls": {
            "ca": service.tls.ca.as_ref().map(file),
            "certificate": service.tls.certificate.as_ref().map(certificate),
            "sni": service.tls.sni,
            "insecure": service.tls.insecure,
        },
        "proxy_protocol": service.proxy_protocol.map(ProxyProtocol::as_str),
        "port": service.port,
        "hosts": hosts(&service.hosts),
        "preserve_host": service.preserve_host,
        "timeout": {
            "connect": time(service.timeout.connect),
            "first_byte": service.timeout.first_byte.map(time),
            "per_try": service.timeout.per_try.map(time),
            "request": service.timeout.request.map(time),
            "idle": time(service.timeout.idle),
        },
        "auth": auth::auth(&service.policies.auth),
        "endpoints": service.endpoints.iter().map(|e| dump_endpoint(e)).collect::<Vec<_>>(),
        "nats_subscribe": service.subscriptions.iter().map(|s| dump_subscription(s)).collect::<Vec<_>>(),
        "command": service.command.as_ref().map(|command| {
            command.argv.iter().map(|word| masked_url(word)).collect::<Vec<_>>()
        }),
        "proxied": service.command.as_ref().is_some_and(|command| command.proxied),
        "env": Json::Object(env.collect::<Map<_, _>>()),
        "image": service.image,
        "build": service.build.as_ref().map(|build| masked_data("", build)),
        "ports": service.ports,
        "volumes": service.volumes,
        "environment": service.environment.as_ref().map(|data| masked_data("", data)),
        "depends_on": service.depends_on.iter().map(|name| &**name).collect::<Vec<_>>(),
        "health": health(service),
    });
    retry::add(&mut out, &service.policies);
    breaker::add(&mut out, &service.policies);
    edits::edits(&mut out, &service.policies);
    edge::add(&mut out, &service.policies);
    limits::add(&mut out, &service.policies);
    balance::add(&mut out, &service.policies);
    out
}

/// What start order asks, and what is asked all the time.
fn health(service: &Service) -> Json {
    let mut out = json!({ "path": service.health_path, "grpc": service.health_grpc });
    if let Some(check) = &service.health_check {
        match &check.probe {
            HealthProbe::Http(path) => out["path"] = json!(path),
            HealthProbe::Grpc(name) => out["grpc"] = json!(name),
            HealthProbe::Tcp => out["tcp"] = json!(true),
        }
        out["every"] = json!(time(check.every));
        out["timeout"] = json!(time(check.timeout));
        out["healthy"] = json!(check.healthy);
        out["unhealthy"] = json!(check.unhealthy);
    }
    out
}

fn hosts(hosts: &[HostPattern]) -> Vec<String> {
    let text = |host: &HostPattern| match host.port {
        Some(port) if host.host.contains(':') => format!("[{}]:{port}", host.host),
        Some(port) => format!("{}:{port}", host.host),
        None => host.host.clone(),
    };
    hosts.iter().map(text).collect()
}

fn dump_endpoint(endpoint: &Endpoint) -> Json {
    let response = &endpoint.response;
    let headers = response.headers.iter().map(|(name, value)| json!([name.as_str(), value.text]));
    let publishes = endpoint.publishes.iter().map(|publish| {
        json!({
            "subject": publish.subject.text,
            "data": publish.data.to_json(),
            "delay": publish.delay.map(time),
        })
    });
    let failures = endpoint
        .failures
        .iter()
        .map(|failure| json!({ "share": failure.share, "status": failure.status }));
    json!({
        "id": &*endpoint.id,
        "path": endpoint.path.as_str(),
        "methods": match &endpoint.methods {
            Methods::Any => vec!["ANY"],
            Methods::Only(methods) => methods.iter().map(http::Method::as_str).collect(),
        },
        "response": {
            "status": response.status,
            "headers": headers.collect::<Vec<_>>(),
            "body": match &response.body {
                ResponseBody::Text(text) => json!(text.text),
                ResponseBody::Json(data) => data.to_json(),
                ResponseBody::Empty | ResponseBody::File(..) => Json::Null,
            },
            "file": match &response.body {
                ResponseBody::File(path, _) => Some(path.display().to_string()),
                _ => None,
            },
        },
        "delay": endpoint.delay.map(|DelayRange { min, max }| match min == max {
            true => time(min),
            false => format!("{}..{}", time(min), time(max)),
        }),
        "failures": failures.collect::<Vec<_>>(),
        "nats_publish": publishes.collect::<Vec<_>>(),
    })
}

fn dump_subscription(subscription: &Subscription) -> Json {
    let subject = &subscription.subject;
    match &subscription.reaction {
        Reaction::Action(action) => {
            json!({ "subject": subject, "action": format!("{} {}", action.method, action.path.text) })
        }
        Reaction::Reply(data) => json!({ "subject": subject, "reply": data.to_json() }),
    }
}

fn dump_route(route: &Route) -> Json {
    let RouteMatch { path, hosts: claimed, methods, headers, query, cookies } = &route.matches;
    let headers = headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), masked_text(name.as_str(), value)]));
    let query = query.iter().map(|(name, value)| json!([name, masked_text(name, value)]));
    let cookies = cookies.iter().map(|(name, value)| json!([name, masked_text(name, value)]));
    let mut out = json!({
        "id": &*route.id,
        "match": {
            "path": path.as_str(),
            "host": hosts(claimed),
            "method": methods.iter().map(http::Method::as_str).collect::<Vec<_>>(),
            "headers": headers.collect::<Vec<_>>(),
            "query": query.collect::<Vec<_>>(),
            "cookies": cookies.collect::<Vec<_>>(),
        },
        "priority": route.priority,
        "auth": auth::auth(&route.policies.auth),
        "timeout": {
            "connect": route.timeout.connect.map(time),
            "first_byte": route.timeout.first_byte.map(time),
            "per_try": route.timeout.per_try.map(time),
            "request": route.timeout.request.map(time),
            "idle": route.timeout.idle.map(time),
        },
    });
    edge::add(&mut out, &route.policies);
    match &route.action {
        RouteAction::Services { targets, rewrite, sticky } => {
            let targets = targets
                .iter()
                .map(|target| json!({ "service": &*target.service, "weight": target.weight }));
            out["to"] = targets.collect();
            out["rewrite"] = json!(rewrite.as_ref().map(PathTemplate::as_str));
            out["sticky"] = json!(sticky);
        }
        RouteAction::Redirect { to, status } => {
            out["redirect"] = json!({ "to": to.as_str(), "status": status });
        }
        RouteAction::Respond(respond) => out["respond"] = edits::respond(respond),
        RouteAction::Stitch => out["to"] = json!("stitch"),
    }
    retry::add(&mut out, &route.policies);
    breaker::add(&mut out, &route.policies);
    edits::edits(&mut out, &route.policies);
    limits::add(&mut out, &route.policies);
    out
}

/// A duration in the largest unit that leaves no fraction.
pub(crate) fn time(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if !duration.subsec_nanos().is_multiple_of(1_000_000) => {
            format!("{}ms", duration.as_secs_f64() * 1000.0)
        }
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

/// Whether a key sounds as if its value were nobody's business.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["token", "secret", "password", "passwd", "key", "authorization", "credential"]
        .iter()
        .any(|word| key.contains(word))
}

pub(super) fn masked_text(key: &str, value: &str) -> String {
    if is_secret(key) { MASK.to_owned() } else { masked_url(value) }
}

/// Masks values by key, all the way down, and `NAME=value` entries of lists.
pub(super) fn masked_data(key: &str, data: &Data) -> Json {
    match data {
        Data::Null => Json::Null,
        Data::Map(entries) => Json::Object(
            entries.iter().map(|(key, value)| (key.clone(), masked_data(key, value))).collect(),
        ),
        Data::List(items) => items.iter().map(|item| masked_data(key, item)).collect(),
        _ if is_secret(key) => json!(MASK),
        Data::Text(text) => match text.text.split_once('=') {
            Some((name, value)) if !name.contains("://") => {
                json!(format!("{name}={}", masked_text(name, value)))
            }
            _ => json!(masked_url(&text.text)),
        },
        Data::Bool(_) | Data::Number(_) => data.to_json(),
    }
}

/// The text without what stands between `://` and `@`, wherever it holds URLs.
fn masked_url(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut left = text;
    while let Some((before, after)) = left.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after.find(['/', '?', '#', ' ', ',', '"']).unwrap_or(after.len());
        left = match after[..end].rfind('@') {
            Some(at) => {
                out.push_str(MASK);
                &after[at..]
            }
            None => after,
        };
    }
    out.push_str(left);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_their_user() {
        for (text, shown) in [
            ("nats://me:pw@host:4222", "nats://***@host:4222"),
            ("postgres://a:b@c@d/e?x=y@z", "postgres://***@d/e?x=y@z"),
            ("http://a/x@y", "http://a/x@y"),
            ("--db=x://u:p@h --q=y://t@i", "--db=x://***@h --q=y://***@i"),
            ("plain", "plain"),
        ] {
            assert_eq!(masked_url(text), shown);
        }
    }

    #[test]
    fn durations_keep_their_meaning() {
        for (millis, text) in [
            (0, "0s"),
            (250, "250ms"),
            (2000, "2s"),
            (90_000, "90s"),
            (120_000, "2m"),
            (7_200_000, "2h"),
        ] {
            assert_eq!(time(Duration::from_millis(millis)), text);
        }
        assert_eq!(time(Duration::from_micros(1500)), "1.5ms");
    }
}
