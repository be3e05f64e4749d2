//! The gateway table: the most specific route wins, `priority` overrides.
//!
//! Order: priority; then the host (exact, longest suffix, none is a separate table that is asked
//! later); then the path, segment by segment; then the number of further conditions; then file
//! order. Look-up cost depends on the path's depth, not on the number of routes.

use crate::cookies::cookies;
use http::Request;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;
use std::sync::Arc;
use stitch_config::model::{Route, RouteMatch};
use stitch_config::pattern::{Authority, HostTable, PathIndex};

/// A compiled route: the file's route and what it leads to.
#[derive(Debug)]
pub struct Routed<T> {
    /// As declared.
    pub route: Arc<Route>,
    /// Compiled destination.
    pub target: T,
}

/// All routes of one kind (with or without hosts).
#[derive(Debug)]
pub struct RouteTable<T> {
    /// In file order.
    all: Vec<Arc<Routed<T>>>,
    /// Highest priority first.
    levels: Vec<Level<T>>,
}

#[derive(Debug)]
struct Level<T> {
    hosts: HostTable<PathIndex<Arc<Routed<T>>>>,
    anywhere: PathIndex<Arc<Routed<T>>>,
}

impl<T> Default for Level<T> {
    fn default() -> Self {
        Self { hosts: HostTable::default(), anywhere: PathIndex::default() }
    }
}

impl<T> RouteTable<T> {
    /// Compiles routes, given in file order.
    pub fn new(routes: impl IntoIterator<Item = Routed<T>>) -> Self {
        let mut routes: Vec<_> = routes.into_iter().map(Arc::new).collect();
        let all = routes.clone();
        // Stable: file order stays among equals.
        routes.sort_by_key(|routed| std::cmp::Reverse(conditions(&routed.route.matches)));
        let mut levels: BTreeMap<_, Level<T>> = BTreeMap::new();
        for routed in routes {
            let level = levels.entry(std::cmp::Reverse(routed.route.priority)).or_default();
            let matches = &routed.route.matches;
            if matches.hosts.is_empty() {
                level.anywhere.insert(&matches.path, routed.clone());
            }
            for host in &matches.hosts {
                if level.hosts.entry(host).is_none() {
                    level.hosts.insert(host, PathIndex::default());
                }
                if let Some(index) = level.hosts.entry(host) {
                    index.insert(&matches.path, routed.clone());
                }
            }
        }
        Self { all, levels: levels.into_values().collect() }
    }

    /// Every route, in file order.
    pub fn all(&self) -> &[Arc<Routed<T>>] {
        &self.all
    }

    /// The route that names this host and claims the request.
    pub fn find_for_host<B>(
        &self,
        authority: Authority<'_>,
        request: &Request<B>,
    ) -> Option<&Arc<Routed<T>>> {
        self.levels.iter().find_map(|level| {
            // A host with routes of its own still meets those of a wider pattern.
            level.hosts.find_map(authority, |index| {
                index.find(request.uri().path(), |routed| holds(&routed.route.matches, request))
            })
        })
    }

    /// Whether any route names this host, whatever else it asks for.
    pub fn names(&self, authority: Authority<'_>) -> bool {
        self.levels.iter().any(|level| level.hosts.get(authority).is_some())
    }

    /// The route without a host that claims the request.
    pub fn find_anywhere<B>(&self, request: &Request<B>) -> Option<&Arc<Routed<T>>> {
        self.levels.iter().find_map(|level| {
            let index = &level.anywhere;
            index.find(request.uri().path(), |routed| holds(&routed.route.matches, request))
        })
    }
}

fn conditions(matches: &RouteMatch) -> usize {
    usize::from(!matches.methods.is_empty())
        + matches.headers.len()
        + matches.query.len()
        + matches.cookies.len()
}

/// Whether the conditions beyond host and path hold.
fn holds<B>(matches: &RouteMatch, request: &Request<B>) -> bool {
    let method = matches.methods.is_empty() || matches.methods.contains(request.method());
    method
        && matches.headers.iter().all(|(name, wanted)| {
            let mut values = request.headers().get_all(name).iter();
            values.any(|value| value.as_bytes() == wanted.as_bytes())
        })
        && matches.query.iter().all(|(name, wanted)| {
            query_pairs(request.uri().query().unwrap_or_default())
                .any(|(key, value)| key == *name && value == *wanted)
        })
        && matches
            .cookies
            .iter()
            .all(|(name, wanted)| cookies(request.headers(), name).any(|value| value == wanted))
}

/// The decoded parameters of a query.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use stitch_config::Place;
    use stitch_config::model::{HostPattern, Policies, RouteAction, TimeoutOverrides};
    use stitch_config::pattern::PathPattern;

    fn route(path: &str, edit: impl FnOnce(&mut Route)) -> Routed<&str> {
        let mut route = Route {
            id: path.into(),
            place: Place::default(),
            matches: RouteMatch {
                path: PathPattern::parse(path).unwrap(),
                hosts: vec![],
                methods: vec![],
                headers: vec![],
                query: vec![],
                cookies: vec![],
            },
            priority: 0,
            action: RouteAction::Stitch,
            timeout: TimeoutOverrides::default(),
            policies: Policies::default(),
        };
        edit(&mut route);
        Routed { route: Arc::new(route), target: path }
    }

    fn request(method: Method, uri: &str) -> Request<()> {
        Request::builder().method(method).uri(uri).header("x-canary", "1").body(()).unwrap()
    }

    #[test]
    fn specificity_then_conditions_then_file_order() {
        let table = RouteTable::new([
            route("/**", |_| {}),
            route("/api/**", |_| {}),
            route("/api/users", |_| {}),
            route("/api/users", |r| {
                r.matches.headers = vec![(http::HeaderName::from_static("x-canary"), "1".into())];
                r.id = "canary".into();
            }),
            route("/api/users", |r| {
                r.matches.methods = vec![Method::PUT];
                r.id = "put".into();
            }),
        ]);
        let id = |method, uri| {
            table.find_anywhere(&request(method, uri)).map(|r| r.route.id.to_string()).unwrap()
        };
        assert_eq!(id(Method::GET, "/api/users"), "canary");
        assert_eq!(id(Method::PUT, "/api/users"), "canary");
        assert_eq!(id(Method::GET, "/api/orders"), "/api/**");
        assert_eq!(id(Method::GET, "/x"), "/**");
    }

    #[test]
    fn a_cookie_is_a_condition() {
        let cookie = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let table = RouteTable::new([
            route("/api/**", |r| r.id = "all".into()),
            route("/api/**", |r| {
                r.matches.cookies = vec![cookie("canary", "1")];
                r.id = "canary".into();
            }),
            route("/api/**", |r| {
                r.matches.cookies = vec![cookie("canary", "1"), cookie("beta", "yes")];
                r.id = "both".into();
            }),
        ]);
        let id = |line: &'static str| {
            let mut request = request(Method::GET, "/api/users");
            request.headers_mut().insert("cookie", http::HeaderValue::from_static(line));
            table.find_anywhere(&request).map(|r| r.route.id.to_string()).unwrap()
        };
        assert_eq!(id("a=b; canary=1"), "canary");
        assert_eq!(id("beta=yes; canary=1"), "both");
        assert_eq!(id("canary=2; beta=yes"), "all");
        assert_eq!(id("xcanary=1"), "all");
    }

    #[test]
    fn priority_overrides() {
        let table = RouteTable::new([
            route("/api/users", |_| {}),
            route("/api/**", |r| r.priority = 1),
            route("/**", |r| r.priority = -1),
        ]);
        let target = |uri| table.find_anywhere(&request(Method::GET, uri)).map(|r| r.target);
        assert_eq!(target("/api/users"), Some("/api/**"));
        assert_eq!(target("/other"), Some("/**"));
    }

    #[test]
    fn hosts_and_queries() {
        let table = RouteTable::new([
            route("/orders/**", |r| {
                r.matches.hosts = vec![HostPattern { host: "shop.localhost".into(), port: None }];
                r.matches.query = vec![("v".into(), "2 x".into())];
            }),
            route("/orders/**", |_| {}),
        ]);
        let host = Authority::parse("shop.localhost:8080");
        let found = |uri| table.find_for_host(host, &request(Method::GET, uri)).is_some();
        assert!(found("/orders/1?a&v=2%20x"));
        assert!(found("/orders/1?v=2+x"));
        assert!(!found("/orders/1?v=3"));
        assert!(!found("/orders/1"));
        assert!(table.find_anywhere(&request(Method::GET, "/orders/1")).is_some());
        let elsewhere = Authority::parse("other");
        assert!(table.find_for_host(elsewhere, &request(Method::GET, "/orders/1?v=2+x")).is_none());
    }
}
