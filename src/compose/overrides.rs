//! What the command line of `stitch up` says over the file.
//!
//! In a container the user's file is mounted as it is; only what a network of containers changes
//! is told beside it: where to listen, which broker, whom to trust, where the real services are.
//! [`Overrides::to_args`] and the parsers here are each other's inverse, so that the generated
//! compose file and `stitch up` cannot disagree.

use std::fmt::Display;
use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use stitch_config::model::{
    AllowRule, Config, Events, Kind, ListenAddress, NetClass, Scheme, Service, Upstream,
    UpstreamAddress,
};
use stitch_config::place::Place;

/// Settings that win over the file's. Absent or empty ones leave the file alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Overrides {
    /// `--listen`, repeatable.
    pub(crate) listen: Vec<ListenAddress>,
    /// `--admin`. A token stays the file's.
    pub(crate) admin: Option<SocketAddr>,
    /// `--events`.
    pub(crate) events: Option<Events>,
    /// `--forward-allow`.
    pub(crate) forward_allow: Option<Vec<AllowRule>>,
    /// `--trust`.
    pub(crate) trust: Option<Vec<AllowRule>>,
    /// `--url NAME=URL`, repeatable; several for one service are its endpoints in file order.
    /// The real service is then somebody else's to run: its `command` is not started.
    pub(crate) urls: Vec<(String, Upstream)>,
}

impl Overrides {
    /// Changes the configuration; what cannot be applied is told, all of it.
    pub(crate) fn apply(&self, config: &mut Config) -> Result<(), Vec<String>> {
        self.apply_listen(config);
        if let Some(allow) = &self.forward_allow {
            config.proxy.forward.allow.clone_from(allow);
        }
        if let Some(trust) = &self.trust {
            config.proxy.trust.clone_from(trust);
        }
        if let Some(events) = &self.events {
            config.events.clone_from(events);
        }
        let problems: Vec<_> =
            self.apply_admin(config).into_iter().chain(self.apply_urls(config)).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// What HTTP_PROXY clients may reach defaults to everything on a loopback listener only; that
    /// default must not be carried to an open one.
    fn apply_listen(&self, config: &mut Config) {
        if self.listen.is_empty() {
            return;
        }
        let was_open = !config.proxy.listen.iter().all(ListenAddress::is_local);
        config.proxy.listen.clone_from(&self.listen);
        let allow = &mut config.proxy.forward.allow;
        let open = !self.listen.iter().all(ListenAddress::is_local);
        if !was_open && open && allows_every_class(allow) {
            allow.clear();
        }
    }

    fn apply_admin(&self, config: &mut Config) -> Option<String> {
        let admin = self.admin?;
        config.proxy.admin.listen = admin;
        (!admin.ip().is_loopback() && config.proxy.admin.token.is_none()).then(|| {
            format!("admin address {admin} is off loopback without a token: set proxy.admin.token")
        })
    }

    fn apply_urls(&self, config: &mut Config) -> Vec<String> {
        let mut problems = Vec::new();
        let mut names: Vec<&str> = self.urls.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            match config.services.iter_mut().find(|service| &*service.name == name) {
                None => problems.push(format!("--url names no declared service: \"{name}\"")),
                Some(service) if service.kind == Kind::Infra => {
                    problems.push(format!("--url names \"{name}\", which is infrastructure"));
                }
                Some(service) => {
                    let misfits = self.urls_of(name).filter(|url| !fits(service.kind, url));
                    problems.extend(misfits.map(|url| misfit(name, url)));
                    redirect(Arc::make_mut(service), self.urls_of(name));
                }
            }
        }
        problems
    }

    fn urls_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Upstream> {
        self.urls.iter().filter(move |(of, _)| of == name).map(|(_, upstream)| upstream)
    }

    /// The same settings as arguments of `stitch up`.
    pub(crate) fn to_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        let mut flag = |name: &str, value: &dyn Display| {
            args.extend([format!("--{name}"), value.to_string()]);
        };
        self.listen.iter().for_each(|address| flag("listen", address));
        if let Some(admin) = &self.admin {
            flag("admin", admin);
        }
        if let Some(events) = &self.events {
            flag("events", &events_text(events));
        }
        if let Some(allow) = &self.forward_allow {
            flag("forward-allow", &allow_text(allow));
        }
        if let Some(trust) = &self.trust {
            flag("trust", &allow_text(trust));
        }
        for (name, upstream) in &self.urls {
            flag("url", &format!("{name}={upstream}"));
        }
        args
    }
}

/// New endpoints keep the weights and places of those that they stand for.
fn redirect<'a>(service: &mut Service, urls: impl Iterator<Item = &'a Upstream>) {
    let was = service.upstreams.iter().map(|upstream| (upstream.weight, upstream.place));
    let was: Vec<_> = was.collect();
    let known = was.into_iter().chain(iter::repeat((1, Place::default())));
    let bytes = service.kind == Kind::Tcp;
    let placed = |(url, (weight, place)): (&Upstream, _)| {
        let scheme = if bytes && is_socket(url) { Scheme::Tcp } else { url.scheme };
        Upstream { scheme, weight, place, ..url.clone() }
    };
    service.upstreams = urls.zip(known).map(placed).collect();
    service.command = None;
}

fn is_socket(url: &Upstream) -> bool {
    matches!(url.address, UpstreamAddress::Unix(_))
}

/// Whether a service of this kind can have the url; anything can be spoken over a socket.
fn fits(kind: Kind, url: &Upstream) -> bool {
    is_socket(url) || url.scheme.is_http() == (kind == Kind::Http)
}

fn misfit(name: &str, url: &Upstream) -> String {
    let wanted = if url.scheme.is_http() { "bytes" } else { "HTTP" };
    format!("--url {name}={url} does not fit: \"{name}\" is a service of {wanted}")
}

fn allows_every_class(rules: &[AllowRule]) -> bool {
    [NetClass::Loopback, NetClass::Private, NetClass::Public]
        .iter()
        .all(|class| rules.contains(&AllowRule::Class(*class)))
}

/// `auto`, `in-process` or `nats://host:port`.
pub(crate) fn parse_events(text: &str) -> Result<Events, String> {
    match text {
        "auto" => Ok(Events::Auto),
        "in-process" => Ok(Events::InProcess),
        url if url.strip_prefix("nats://").is_some_and(|rest| !rest.is_empty()) => {
            Ok(Events::Nats(url.to_owned()))
        }
        other => Err(format!("unknown events \"{other}\": auto, in-process or nats://host:4222")),
    }
}

fn events_text(events: &Events) -> String {
    match events {
        Events::Auto => "auto".to_owned(),
        Events::InProcess => "in-process".to_owned(),
        Events::Nats(url) => url.clone(),
    }
}

/// Classes, addresses, CIDRs and host globs between commas; `none` for an empty list.
pub(crate) fn parse_allow(text: &str) -> Result<Vec<AllowRule>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    text.split(',').map(|rule| parse_rule(rule.trim())).collect()
}

fn parse_rule(text: &str) -> Result<AllowRule, String> {
    let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*');
    match text {
        "loopback" => Ok(AllowRule::Class(NetClass::Loopback)),
        "private" => Ok(AllowRule::Class(NetClass::Private)),
        "public" => Ok(AllowRule::Class(NetClass::Public)),
        cidr if cidr.contains('/') => cidr
            .parse()
            .map(AllowRule::Net)
            .map_err(|_| format!("\"{cidr}\" is not an address range such as 10.0.0.0/8")),
        text => match text.parse::<IpAddr>() {
            Ok(address) => Ok(AllowRule::Net(address.into())),
            Err(_) if !text.is_empty() && text.chars().all(host) => {
                Ok(AllowRule::Host(text.to_ascii_lowercase()))
            }
            Err(_) => Err(format!(
                "\"{text}\" is no rule: loopback, private, public, an address range or a host"
            )),
        },
    }
}

fn allow_text(rules: &[AllowRule]) -> String {
    if rules.is_empty() {
        return "none".to_owned();
    }
    rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// `NAME=URL`, with any url that a file may have.
pub(crate) fn parse_url(text: &str) -> Result<(String, Upstream), String> {
    let (name, url) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
            format!("\"{text}\" is not NAME=URL, such as users=http://localhost:8000")
        })?;
    Ok((name.to_owned(), url.parse()?))
}

#[cfg(test)]
#[path = "overrides_tests.rs"]
mod tests;
