//! `stitch explain`: which rule claims a request and what would happen to it, without sending it.

use crate::hygiene::requested_host;
use crate::route::{Decision, Role, decide};
use crate::service::Service;
use crate::snapshot::{RouteTarget, Snapshot};
use http::Request;
use serde::Serialize;
use stitch_config::model::RouteAction;
use stitch_config::pattern::Authority;
use stitch_net::Body;

/// Where a request would go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The rule of "Who gets a request" that decides.
    pub rule: String,
    /// The route's id, when a route decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The services that may get it, with their share where there are several.
    pub services: Vec<Candidate>,
    /// The path that the service sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What else happens (redirect target, forward policy, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A service that may get a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Its name.
    pub service: String,
    /// Its share, such as `90/100`, when it is one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// The mode in force.
    pub mode: &'static str,
    /// Real endpoints.
    pub endpoints: Vec<String>,
    /// `timeout.connect`, and `timeout.request` if there is one.
    pub timeout: String,
}

impl Candidate {
    fn of(service: &Service, share: Option<String>) -> Self {
        let timeout = service.declared.timeout;
        let request =
            timeout.request.map_or_else(|| "none".to_owned(), |limit| format!("{limit:?}"));
        Self {
            service: service.declared.name.to_string(),
            share,
            mode: service.mode().as_str(),
            endpoints: service.endpoints.all().iter().map(ToString::to_string).collect(),
            timeout: format!("connect {:?}, request {request}", timeout.connect),
        }
    }
}

/// Explains a request as it would arrive at a listener with this role.
pub fn explain(snapshot: &Snapshot, role: &Role, request: &Request<Body>) -> Explanation {
    let mut explanation = Explanation::default();
    let host = requested_host(request.headers(), request.uri());
    match decide(snapshot, role, request, host.as_ref()) {
        Err(_) => explanation.rule = "the listener's service is gone".to_owned(),
        Ok(Decision::Service(service)) => {
            explanation.rule = match role {
                Role::Service(_) => "1. the service's own port",
                Role::Gateway if is_by_host(snapshot, request) => "2. a declared host",
                Role::Gateway | Role::Transparent(_) => "3. a target equal to the service's url",
            }
            .to_owned();
            explanation.services.push(Candidate::of(service, None));
        }
        Ok(Decision::Route(routed)) => {
            let hosts = !routed.route.matches.hosts.is_empty();
            explanation.rule =
                if hosts { "4. a route that names the host" } else { "6. a route" }.to_owned();
            explanation.route = Some(routed.route.id.to_string());
            explain_target(&mut explanation, &routed.target, &routed.route.action);
            explanation.path = rewritten(request, &routed.route);
        }
        Ok(Decision::Forward) => {
            explanation.rule = "5. an undeclared target".to_owned();
            let rules = &snapshot.config.proxy.forward.allow;
            let rules: Vec<_> = rules.iter().map(ToString::to_string).collect();
            explanation.note = Some(match rules.is_empty() {
                true => "denied: proxy.forward.allow holds nothing".to_owned(),
                false => format!("forwarded if one of these allows it: {}", rules.join(", ")),
            });
        }
        Ok(Decision::Fallthrough) => {
            explanation.rule = "7. every mock by path".to_owned();
        }
    }
    explanation
}

fn is_by_host(snapshot: &Snapshot, request: &Request<Body>) -> bool {
    let host = requested_host(request.headers(), request.uri());
    let host = host.as_ref().and_then(|host| host.to_str().ok());
    host.is_some_and(|host| snapshot.hosts.get(Authority::parse(host)).is_some())
}

fn explain_target(explanation: &mut Explanation, target: &RouteTarget, action: &RouteAction) {
    match (target, action) {
        (RouteTarget::Services(sum, targets), action) => {
            explanation.services = targets
                .iter()
                .map(|target| {
                    let share = (targets.len() > 1).then(|| format!("{}/{sum}", target.weight));
                    Candidate::of(&target.service, share)
                })
                .collect();
            if let RouteAction::Services { sticky: Some(cookie), .. } = action {
                let note = format!("a client stays with the one that its cookie {cookie} names");
                explanation.note = Some(note);
            }
        }
        (_, RouteAction::Redirect { to, status }) => {
            explanation.note = Some(format!("redirected with {status} to {}", to.as_str()));
        }
        (_, RouteAction::Respond(respond)) => {
            explanation.note =
                Some(format!("answered with {} by the route itself", respond.status));
        }
        _ => explanation.note = Some("answered by stitch itself".to_owned()),
    }
}

fn rewritten(request: &Request<Body>, route: &stitch_config::model::Route) -> Option<String> {
    let RouteAction::Services { rewrite: Some(rewrite), .. } = &route.action else { return None };
    let path = request.uri().path();
    let captures = route.matches.path.captures(path)?;
    Some(rewrite.render(&route.matches.path, path, &captures))
}
