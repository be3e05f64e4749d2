//! `stitch explain`: which rule, service, mode and endpoint a request would meet, and what is spoken
//! on the way. Nothing is sent.

use super::handshake::{self, Handshake};
use super::spoken::Spoken;
use crate::cli::{ExplainArgs, Format};
use crate::exit::{ExitCode, Failure};
use crate::{file, output};
use http::header::HOST;
use http::{Request, Uri};
use serde::Serialize;
use std::fmt::Write as _;
use std::sync::Arc;
use stitch_config::Config;
use stitch_config::model::{ListenAddress, Mode, Service};
use stitch_config::words;
use stitch_mockd::Engine;
use stitch_net::Body;
use stitch_proxy::{Candidate, Credentials, Explanation, OwnAddresses, Role, Snapshot, explain};

/// All parts of the story.
#[derive(Serialize)]
struct Story {
    #[serde(flatten)]
    proxy: Explanation,
    /// What becomes of the client's TLS, where it begins one.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Handshake>,
    /// The overlay file, where one changes what the file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_by: Option<String>,
    /// Every real endpoint of the services, and what is spoken there.
    upstreams: Vec<Spoken>,
    /// What the mock of each service says; one entry for fallthrough.
    mocks: Vec<stitch_mockd::Explanation>,
}

pub(super) fn run(args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let mut loaded = file::load(&args.file);
    let overlay = loaded.overlay_name();
    let engine = Engine::compile(&loaded.config, 0, None, &mut loaded.report);
    if loaded.report.has_errors() {
        loaded.tell();
        return Err(Failure::told(ExitCode::Problems));
    }
    let config = Arc::new(loaded.config);
    let snapshot = compile(&config, &engine);
    let mut story = match handshake::bytes(&snapshot, &args.url) {
        Some((service, rule)) => of_bytes(service, rule, args),
        None => of_request(&snapshot, &engine, args)?,
    };
    story.changed_by = overlay;
    match args.format.format {
        Format::Json => {
            output::print_line(&serde_json::to_string(&story).map_err(Failure::runtime)?)?;
        }
        Format::Text => output::print(&render(&story))?,
    }
    Ok(ExitCode::Ok)
}

/// What a service of bytes takes, it takes without a look.
fn of_bytes(service: &Service, rule: &str, args: &ExplainArgs) -> Story {
    let candidate = Candidate {
        service: service.name.to_string(),
        share: None,
        mode: service.mode.as_str(),
        endpoints: service.upstreams.iter().map(ToString::to_string).collect(),
        policies: stitch_config::dump_policies(service),
        in_words: words::in_force(service),
    };
    let proxy = Explanation {
        rule: rule.to_owned(),
        services: vec![candidate],
        note: Some("its bytes are passed on as they are, whatever they say".to_owned()),
        ..Explanation::default()
    };
    let client = Handshake::of_bytes(&args.url);
    let upstreams = Spoken::of(service).collect();
    Story { proxy, client, changed_by: None, upstreams, mocks: Vec::new() }
}

/// The file as the proxy would see it.
pub(super) fn compile(config: &Arc<Config>, engine: &Engine) -> Snapshot {
    let listeners = config.proxy.listen.iter().filter_map(ListenAddress::tcp).collect();
    let (admin, transparent) = (config.proxy.admin.listen, config.proxy.transparent.clone());
    let own = OwnAddresses { listeners, admin, transparent };
    Snapshot::compile(config.clone(), engine, own, Credentials::default(), None)
}

fn of_request(snapshot: &Snapshot, engine: &Engine, args: &ExplainArgs) -> Result<Story, Failure> {
    let config = &snapshot.config;
    let (role, request) = arriving(args, snapshot)?;
    let proxy = explain(snapshot, &role, &request);
    let client = Handshake::of(config, &args.url, &proxy);
    let unread = client.as_ref().is_some_and(Handshake::is_unread);
    let mocks = if unread { Vec::new() } else { mocks(&proxy, engine, &request) };
    let services = proxy.services.iter().filter_map(|it| config.service(&it.service));
    let upstreams = services.flat_map(|service| Spoken::of(service)).collect();
    Ok(Story { proxy, client, changed_by: None, upstreams, mocks })
}

/// The request as it would arrive, and at which kind of listener: a URL on a service's own port
/// comes in there, any other host by HTTP_PROXY or by name.
fn arriving(args: &ExplainArgs, snapshot: &Snapshot) -> Result<(Role, Request<Body>), Failure> {
    let mut builder = Request::builder().method(args.method.clone());
    let mut role = Role::Gateway;
    let mut target = args.url.clone();
    if let Some(authority) = args.url.authority() {
        let port = authority.port_u16();
        let local = handshake::is_local(authority.host());
        let by_port = snapshot
            .services
            .iter()
            .find(|service| local && port.is_some() && service.declared.port == port);
        if let Some(service) = by_port {
            role = Role::Service(service.declared.name.clone());
            target = Uri::from(args.url.path_and_query().cloned().ok_or_else(no_path)?);
        }
        builder = builder.header(HOST, authority.as_str());
    }
    for (name, value) in &args.headers {
        builder = builder.header(name, value);
    }
    let request = builder.uri(target).body(Body::Empty).map_err(Failure::usage)?;
    Ok((role, request))
}

fn no_path() -> Failure {
    Failure::usage("the URL has no path")
}

fn mocks(
    proxy: &stitch_proxy::Explanation,
    engine: &Engine,
    request: &Request<Body>,
) -> Vec<stitch_mockd::Explanation> {
    let path = proxy.path.as_deref().unwrap_or(request.uri().path());
    // A browser's question that `cors` answers gets no further.
    if answered_by_cors(proxy) {
        return Vec::new();
    }
    if proxy.services.is_empty() && proxy.note.is_none() {
        return vec![engine.explain(None, request.method(), path)];
    }
    let may_mock = |mode: &str| Mode::parse(mode).is_some_and(Mode::uses_mock);
    let services = proxy.services.iter().filter(|candidate| may_mock(candidate.mode));
    services
        .map(|candidate| engine.explain(Some(&candidate.service), request.method(), path))
        .collect()
}

fn answered_by_cors(proxy: &Explanation) -> bool {
    let has_cors = |it: &Candidate| it.in_words.iter().any(|policy| policy.key == "cors");
    proxy.preflight.is_some() && !proxy.services.is_empty() && proxy.services.iter().all(has_cors)
}

fn render(story: &Story) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<10} {value}");
    };
    line("rule", &story.proxy.rule);
    if let Some(overlay) = &story.changed_by {
        line("file", &format!("with changes from {overlay}"));
    }
    if let Some(method) = &story.proxy.preflight {
        line(
            "preflight",
            &format!(
                "about {method}{}",
                match answered_by_cors(&story.proxy) {
                    true => "; answered by cors",
                    false => "",
                }
            ),
        );
    }
    if let Some(Handshake { tls, why }) = &story.client {
        line("tls", &format!("{}: {why}", tls.words()));
    }
    if let Some(route) = &story.proxy.route {
        line("route", route);
    }
    let unread = story.client.as_ref().is_some_and(Handshake::is_unread);
    for candidate in &story.proxy.services {
        let share =
            candidate.share.as_ref().map_or_else(String::new, |share| format!(" ({share})"));
        line("service", &format!("{}{share}", candidate.service));
        if !unread {
            line("mode", candidate.mode);
        }
        let own = story.upstreams.iter().filter(|spoken| spoken.service == candidate.service);
        for spoken in own.clone() {
            // What nobody reads the client has to verify.
            let words = if unread && !spoken.is_bytes() { &spoken.url } else { &spoken.words() };
            line("real", words);
        }
        let is_real = own.clone().next().is_some();
        // Of what nobody reads, only the timers of its connection are in force.
        let bytes = own.clone().any(Spoken::is_bytes);
        for policy in &candidate.in_words {
            let is_timer = policy.key == "timeout";
            let in_force = if is_timer { is_real } else { bytes || !unread };
            if in_force {
                line(policy.key, &policy.says);
            }
        }
    }
    if let Some(path) = story.proxy.path.as_ref().filter(|_| !unread) {
        line("path", path);
    }
    if let Some(note) = &story.proxy.note {
        line("then", note);
    }
    for mock in &story.mocks {
        match &mock.endpoint {
            Some(endpoint) => line("endpoint", endpoint),
            None => {
                line("endpoint", "none matches");
                for near in &mock.nearest {
                    line("near", &format!("{} ({})", near.endpoint, near.differs.join("; ")));
                }
            }
        }
    }
    text
}
