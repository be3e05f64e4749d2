//! `stitch explain`: which rule claims a request and what would happen to it, without sending it.

use crate::cookies::cookie;
use crate::edge::asked_method;
use crate::hygiene::requested_host;
use crate::route::{Decision, Role, decide};
use crate::service::Service;
use crate::snapshot::{RouteTarget, Snapshot};
use http::{Method, Request};
use serde::Serialize;
use serde_json::Value;
use stitch_config::model::{Balance, HashKey, LimitKey, Route, RouteAction, Service as Declared};
use stitch_config::pattern::Authority;
use stitch_config::words::{self, Described};
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
    /// The method that a browser's question (a preflight) is about, where it is claimed as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight: Option<String>,
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
    /// Its policies, or those of the route to it, as the file would say them, secrets masked.
    pub policies: Value,
    /// The same in words, in the order in which a request meets them; the timers come first.
    pub in_words: Vec<Described>,
}

impl Candidate {
    fn of(service: &Service, share: Option<String>, met: &Met<'_>) -> Self {
        let in_force = in_force(&service.declared, met.route);
        Self {
            service: service.declared.name.to_string(),
            share,
            mode: service.mode().as_str(),
            endpoints: service.endpoints.all().iter().map(ToString::to_string).collect(),
            policies: stitch_config::dump_policies(&in_force),
            in_words: met.in_words(&in_force),
        }
    }
}

/// The service as if the policies along a route were its own.
fn in_force(declared: &Declared, route: Option<&Route>) -> Declared {
    let mut merged = declared.clone();
    if let Some(route) = route {
        merged.policies = route.policies.over(&declared.policies);
        // Which endpoint it is, the service decides.
        merged.policies.balance = declared.policies.balance.clone();
        merged.timeout = route.timeout.over(declared.timeout);
    }
    merged
}

/// A request, and the route that claims it.
struct Met<'a> {
    request: &'a Request<()>,
    route: Option<&'a Route>,
}

impl Met<'_> {
    fn in_words(&self, service: &Declared) -> Vec<Described> {
        let policies = &service.policies;
        let mut all = words::in_force(service);
        let balance = all.iter_mut().find(|policy| policy.key == "balance");
        if let (Some(line), Some(balance)) = (balance, policies.balance.get()) {
            line.says.push_str(self.lacks(balance).unwrap_or_default());
        }
        let limits = policies.rate_limit.get().into_iter().flatten();
        for (line, limit) in all.iter_mut().filter(|one| one.key == "rate_limit").zip(limits) {
            if let Some(LimitKey::Header(name)) = &limit.by
                && !self.request.headers().contains_key(name)
            {
                line.says.push_str("; without it, one of all such requests");
            }
        }
        all
    }

    /// What it means for `balance` that the request does not say what is asked for.
    fn lacks(&self, balance: &Balance) -> Option<&'static str> {
        let headers = self.request.headers();
        let path = self.request.uri().path();
        let there = match balance {
            Balance::Hash(HashKey::Header(name)) => headers.contains_key(name),
            Balance::Hash(HashKey::Path(name)) => self.route.is_some_and(|route| {
                let captures = route.matches.path.captures(path);
                captures.is_some_and(|captures| captures.get(name).is_some())
            }),
            Balance::Hash(HashKey::Cookie(name)) => cookie(headers, name).is_some(),
            Balance::Sticky(name) if cookie(headers, name).is_none() => {
                return Some("; without its cookie, which it then gets");
            }
            _ => true,
        };
        (!there).then_some("; without it, like least_request")
    }
}

/// Explains a request as it would arrive at a listener with this role.
pub fn explain(snapshot: &Snapshot, role: &Role, request: &Request<Body>) -> Explanation {
    let about = if snapshot.answers_browsers { asked_method(request) } else { None };
    let mut explanation = Explanation {
        preflight: about.as_ref().map(ToString::to_string),
        ..Explanation::default()
    };
    let request = &head(request, about);
    let host = requested_host(request.headers(), request.uri());
    let met = |route| Met { request, route };
    match decide(snapshot, role, request, host.as_ref()) {
        Err(_) => explanation.rule = "the listener's service is gone".to_owned(),
        Ok(Decision::Service(service)) => {
            explanation.rule = match role {
                Role::Service(_) => "1. the service's own port",
                Role::Gateway if is_by_host(snapshot, request) => "2. a declared host",
                Role::Gateway | Role::Transparent(_) => "3. a target equal to the service's url",
            }
            .to_owned();
            explanation.services.push(Candidate::of(service, None, &met(None)));
        }
        Ok(Decision::Route(routed)) => {
            let hosts = !routed.route.matches.hosts.is_empty();
            explanation.rule =
                if hosts { "4. a route that names the host" } else { "6. a route" }.to_owned();
            explanation.route = Some(routed.route.id.to_string());
            explain_target(&mut explanation, &routed.target, &met(Some(&routed.route)));
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
            if let Some(service) = snapshot.governed_mock(request.method(), request.uri().path()) {
                explanation.services.push(Candidate::of(service, None, &met(None)));
            }
        }
    }
    explanation
}

/// The request's head, with the method that it is about.
fn head(request: &Request<Body>, about: Option<Method>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = about.unwrap_or_else(|| request.method().clone());
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    head
}

fn is_by_host(snapshot: &Snapshot, request: &Request<()>) -> bool {
    let host = requested_host(request.headers(), request.uri());
    let host = host.as_ref().and_then(|host| host.to_str().ok());
    host.is_some_and(|host| snapshot.hosts.get(Authority::parse(host)).is_some())
}

fn explain_target(explanation: &mut Explanation, target: &RouteTarget, met: &Met<'_>) {
    let Some(route) = met.route else { return };
    match (target, &route.action) {
        (RouteTarget::Services(sum, targets), action) => {
            explanation.services = targets
                .iter()
                .map(|target| {
                    let share = (targets.len() > 1).then(|| format!("{}/{sum}", target.weight));
                    Candidate::of(&target.service, share, met)
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

fn rewritten(request: &Request<()>, route: &Route) -> Option<String> {
    let RouteAction::Services { rewrite: Some(rewrite), .. } = &route.action else { return None };
    let path = request.uri().path();
    let captures = route.matches.path.captures(path)?;
    Some(rewrite.render(&route.matches.path, path, &captures))
}
