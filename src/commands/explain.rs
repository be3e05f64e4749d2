//! `stitch explain`: which rule, service, mode and endpoint a request would meet. Nothing is sent.

use crate::cli::{ExplainArgs, Format};
use crate::exit::{ExitCode, Failure};
use crate::{file, output};
use http::header::HOST;
use http::{Request, Uri};
use serde::Serialize;
use std::fmt::Write as _;
use std::sync::Arc;
use stitch_config::model::{ListenAddress, Mode};
use stitch_mockd::Engine;
use stitch_net::Body;
use stitch_proxy::{Credentials, OwnAddresses, Role, Snapshot, explain};

/// Both halves of the story.
#[derive(Serialize)]
struct Story {
    #[serde(flatten)]
    proxy: stitch_proxy::Explanation,
    /// What the mock of each service says; one entry for fallthrough.
    mocks: Vec<stitch_mockd::Explanation>,
}

pub(super) fn run(args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let mut loaded = file::load(&args.file);
    let engine = Engine::compile(&loaded.config, 0, None, &mut loaded.report);
    if loaded.report.has_errors() {
        loaded.tell();
        return Err(Failure::told(ExitCode::Problems));
    }
    let config = Arc::new(loaded.config);
    let listeners = config.proxy.listen.iter().filter_map(ListenAddress::tcp).collect();
    let own = OwnAddresses { listeners, admin: config.proxy.admin.listen };
    let snapshot = Snapshot::compile(config.clone(), &*engine, own, Credentials::default(), None);
    let (role, request) = arriving(args, &snapshot)?;
    let proxy = explain(&snapshot, &role, &request);
    let mocks = mocks(&proxy, &engine, &request);
    let story = Story { proxy, mocks };
    match args.format.format {
        Format::Json => {
            output::print_line(&serde_json::to_string(&story).map_err(Failure::runtime)?)?;
        }
        Format::Text => output::print(&render(&story))?,
    }
    Ok(ExitCode::Ok)
}

/// The request as it would arrive, and at which kind of listener: a URL on a service's own port
/// comes in there, any other host by HTTP_PROXY or by name.
fn arriving(args: &ExplainArgs, snapshot: &Snapshot) -> Result<(Role, Request<Body>), Failure> {
    let mut builder = Request::builder().method(args.method.clone());
    let mut role = Role::Gateway;
    let mut target = args.url.clone();
    if let Some(authority) = args.url.authority() {
        let port = authority.port_u16();
        let local = matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]");
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
    if proxy.services.is_empty() && proxy.note.is_none() {
        return vec![engine.explain(None, request.method(), path)];
    }
    let may_mock = |mode: &str| Mode::parse(mode).is_some_and(Mode::uses_mock);
    let services = proxy.services.iter().filter(|candidate| may_mock(candidate.mode));
    services
        .map(|candidate| engine.explain(Some(&candidate.service), request.method(), path))
        .collect()
}

fn render(story: &Story) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<10} {value}");
    };
    line("rule", &story.proxy.rule);
    if let Some(route) = &story.proxy.route {
        line("route", route);
    }
    for candidate in &story.proxy.services {
        let share =
            candidate.share.as_ref().map_or_else(String::new, |share| format!(" ({share})"));
        line("service", &format!("{}{share}", candidate.service));
        line("mode", candidate.mode);
        if !candidate.endpoints.is_empty() {
            line("real", &candidate.endpoints.join(", "));
            line("timeout", &candidate.timeout);
        }
    }
    if let Some(path) = &story.proxy.path {
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
