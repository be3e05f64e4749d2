//! `cors`: what scripts of other origins may do (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! Preflights are answered here and never reach a service. Every other request passes; what its answer
//! says to a browser is decided when it arrives and marked on whatever answer leaves, errors of the
//! proxy's own included.

use super::origins::Allowed;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use http::{Method, Request, Response, StatusCode};
use smallvec::SmallVec;
use std::sync::Arc;
use stitch_config::model;
use stitch_net::{Body, Problem, Reason};

const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// A compiled policy.
#[derive(Debug)]
pub struct Cors {
    origins: Allowed,
    credentials: bool,
    /// `None`: what is asked for.
    methods: Option<HeaderValue>,
    /// `None`: what is asked for.
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

/// What the answer to one request may say to a browser.
#[derive(Clone, Debug)]
pub struct Granted {
    cors: Arc<Cors>,
    /// The value of `access-control-allow-origin`; `None` when the origin is not allowed.
    origin: Option<HeaderValue>,
}

/// The method that a preflight is about, so that a route can be found as for the request that will
/// follow; `None` when it is no preflight.
pub fn asked_method<B>(request: &Request<B>) -> Option<Method> {
    let headers = request.headers();
    if *request.method() != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

impl Cors {
    /// Compiles what was declared.
    pub fn compile(declared: &model::Cors) -> Arc<Self> {
        let methods = declared.methods.as_ref().map(|methods| list(methods, Method::as_str));
        let headers = declared.headers.as_ref().map(|names| list(names, HeaderName::as_str));
        Arc::new(Self {
            origins: Allowed::compile(&declared.origins),
            credentials: declared.credentials,
            methods,
            headers,
            expose: (!declared.expose.is_empty())
                .then(|| list(&declared.expose, HeaderName::as_str)),
            max_age: declared.max_age.as_secs().into(),
        })
    }

    /// The answer to a preflight; `None` for any other request.
    pub fn preflight<B>(self: &Arc<Self>, request: &Request<B>) -> Option<Response<Body>> {
        let method = asked_method(request)?;
        let granted = self.origin(request.headers());
        let mut response = match &granted.origin {
            Some(_) => self.allow(&method, request.headers()),
            None => refuse(request.headers()),
        };
        // Which headers of an answer can be read is a question of the answer that follows.
        granted.write(response.headers_mut(), None);
        Some(response)
    }

    /// What the answer to a request with these headers may say.
    pub fn origin(self: &Arc<Self>, headers: &HeaderMap) -> Granted {
        Granted { cors: self.clone(), origin: self.allowed(headers) }
    }

    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.origins == Allowed::Any {
            // Whether or not there is an origin, so that a cache need not tell requests apart.
            return Some(ANY);
        }
        let mut lines = headers.get_all(ORIGIN).iter();
        let origin = lines.next().filter(|_| lines.next().is_none())?;
        self.origins.contains(origin.to_str().ok()?).then(|| origin.clone())
    }

    /// A preflight that an allowed origin made. Whether the method and headers do is for the browser
    /// to see.
    fn allow(&self, method: &Method, asked: &HeaderMap) -> Response<Body> {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        let methods = self.methods.clone().or_else(|| method.as_str().try_into().ok());
        if let Some(methods) = methods {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        if self.methods.is_none() {
            headers.append(VARY, ACCESS_CONTROL_REQUEST_METHOD.into());
        }
        if let Some(names) = &self.headers {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        } else {
            for names in asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
                headers.append(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
            }
            headers.append(VARY, ACCESS_CONTROL_REQUEST_HEADERS.into());
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        response
    }
}

/// Without CORS headers a browser stops here; the status and the words are for people.
fn refuse(headers: &HeaderMap) -> Response<Body> {
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes).unwrap_or_default();
    let origin = String::from_utf8_lossy(origin);
    Problem::new(Reason::Denied, format!("the origin {origin} is not allowed here"))
        .with("origin", &*origin)
        .hint("add it to cors.origins, written as it stands here")
        .respond(headers)
}

impl Granted {
    /// Marks an answer, whoever gave it; what it says about other origins by itself is replaced.
    pub fn mark(&self, headers: &mut HeaderMap) {
        let is_cors = |name: &&HeaderName| name.as_str().starts_with("access-control-");
        let theirs: SmallVec<[HeaderName; 4]> = headers.keys().filter(is_cors).cloned().collect();
        for name in &theirs {
            headers.remove(name);
        }
        self.write(headers, self.cors.expose.as_ref());
    }

    fn write(&self, headers: &mut HeaderMap, expose: Option<&HeaderValue>) {
        if let Some(origin) = &self.origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            // Never with `*`: browsers want the origin itself then.
            if self.cors.credentials && *origin != ANY {
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
            }
            if let Some(expose) = expose {
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
            }
        }
        if self.cors.origins != Allowed::Any && !varies_by_origin(headers) {
            headers.append(VARY, ORIGIN.into());
        }
    }
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    let values = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok());
    let mut names = values.flat_map(|value| value.split(','));
    names.any(|name| name.trim() == "*" || name.trim().eq_ignore_ascii_case("origin"))
}

fn list<T>(items: &[T], text: impl Fn(&T) -> &str) -> HeaderValue {
    let items: Vec<_> = items.iter().map(text).collect();
    HeaderValue::try_from(items.join(", ")).expect("methods and names of headers are tokens")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use std::time::Duration;
    use stitch_config::model::Origins;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let lines = lines.iter().map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        lines.collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    const PAGE: &str = "http://localhost:3000";

    fn declared(origins: Origins) -> model::Cors {
        model::Cors {
            origins,
            methods: None,
            headers: None,
            expose: vec![HeaderName::from_static("grpc-status")],
            credentials: false,
            max_age: Duration::from_secs(600),
        }
    }

    fn only(origin: &str) -> model::Cors {
        declared(Origins::Only(vec![origin.to_owned()]))
    }

    fn request(method: Method, lines: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.headers_mut() = headers(lines);
        request
    }

    fn preflight(declared: &model::Cors, lines: &[(&str, &str)]) -> Response<Body> {
        Cors::compile(declared).preflight(&request(Method::OPTIONS, lines)).unwrap()
    }

    /// The headers of an answer to a request from this origin.
    fn answer(declared: &model::Cors, origin: Option<&str>, lines: &[(&str, &str)]) -> HeaderMap {
        let asked: Vec<_> = origin.map(|origin| ("origin", origin)).into_iter().collect();
        let mut answer = headers(lines);
        Cors::compile(declared).origin(&headers(&asked)).mark(&mut answer);
        answer
    }

    #[test]
    fn a_preflight_is_answered_as_it_asks() {
        let answer = preflight(
            &only(PAGE),
            &[
                ("origin", PAGE),
                ("access-control-request-method", "DELETE"),
                ("access-control-request-headers", "content-type,x-grpc-web"),
            ],
        );
        assert_eq!(answer.status(), 204);
        assert!(matches!(answer.body(), Body::Empty));
        let headers = answer.headers();
        assert_eq!(headers["access-control-allow-origin"], PAGE);
        assert_eq!(headers["access-control-allow-methods"], "DELETE");
        assert_eq!(headers["access-control-allow-headers"], "content-type,x-grpc-web");
        assert_eq!(headers["access-control-max-age"], "600");
        let vary: Vec<_> = headers.get_all(VARY).iter().collect();
        let asked = ["access-control-request-method", "access-control-request-headers", "origin"];
        assert_eq!(vary, asked);
        for absent in ["access-control-expose-headers", "access-control-allow-credentials"] {
            assert!(!headers.contains_key(absent), "{absent}");
        }
    }

    #[test]
    fn a_preflight_is_answered_as_declared() {
        let declared = model::Cors {
            methods: Some(vec![Method::GET, Method::POST]),
            headers: Some(vec![HeaderName::from_static("x-a"), HeaderName::from_static("x-b")]),
            credentials: true,
            ..only(PAGE)
        };
        let lines = [
            ("origin", PAGE),
            ("access-control-request-method", "DELETE"),
            ("access-control-request-headers", "x-c"),
        ];
        let answer = preflight(&declared, &lines);
        assert_eq!(answer.status(), 204);
        let headers = answer.headers();
        assert_eq!(headers["access-control-allow-methods"], "GET, POST");
        assert_eq!(headers["access-control-allow-headers"], "x-a, x-b");
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), ["origin"]);
    }

    #[tokio::test]
    async fn a_preflight_of_another_origin_is_refused_in_words_and_without_cors() {
        for origin in ["http://evil.example", "null"] {
            let lines = [("origin", origin), ("access-control-request-method", "GET")];
            let answer = preflight(&only(PAGE), &lines);
            assert_eq!(answer.status(), 403);
            assert_eq!(names(answer.headers()), ["content-type", "vary", "x-stitch-reason"]);
            assert_eq!(answer.extensions().get(), Some(&Reason::Denied));
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(json["origin"], origin);
        }
    }

    #[test]
    fn other_requests_are_no_preflights() {
        let cors = Cors::compile(&only(PAGE));
        for (method, lines) in [
            (Method::OPTIONS, &[("origin", PAGE)][..]),
            (Method::OPTIONS, &[("access-control-request-method", "GET")]),
            (Method::GET, &[("origin", PAGE), ("access-control-request-method", "GET")]),
        ] {
            assert!(
                cors.preflight(&request(method.clone(), lines)).is_none(),
                "{method} {lines:?}"
            );
        }
        let lines = [("origin", PAGE), ("access-control-request-method", "PUT")];
        assert_eq!(asked_method(&request(Method::OPTIONS, &lines)), Some(Method::PUT));
    }

    #[test]
    fn what_a_service_says_about_origins_is_replaced() {
        let theirs = [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-private-network", "true"),
            ("access-control-expose-headers", "x-secret"),
            ("vary", "accept-encoding"),
            ("x-total", "5"),
        ];
        let allowed = answer(&only(PAGE), Some(PAGE), &theirs);
        assert_eq!(allowed["access-control-allow-origin"], PAGE);
        assert_eq!(allowed["access-control-expose-headers"], "grpc-status");
        let vary: Vec<_> = allowed.get_all(VARY).iter().collect();
        assert_eq!(vary, ["accept-encoding", "origin"]);
        assert_eq!(
            names(&allowed),
            ["access-control-allow-origin", "access-control-expose-headers", "vary", "x-total"]
        );
        for origin in [Some("http://evil.example"), None] {
            let plain = answer(&only(PAGE), origin, &theirs);
            assert_eq!(names(&plain), ["vary", "x-total"], "{origin:?}");
            assert_eq!(plain.get_all(VARY).iter().count(), 2, "caches tell origins apart");
        }
    }

    #[test]
    fn vary_is_not_said_twice() {
        for vary in ["Origin", "accept, ORIGIN", "*"] {
            let marked = answer(&only(PAGE), Some(PAGE), &[("vary", vary)]);
            assert_eq!(marked.get_all(VARY).iter().collect::<Vec<_>>(), [vary]);
        }
    }

    #[test]
    fn any_origin_gets_a_star_and_never_with_credentials() {
        let any = model::Cors { credentials: true, ..declared(Origins::Any) };
        for origin in [Some(PAGE), Some("null"), None] {
            let marked = answer(&any, origin, &[]);
            assert_eq!(
                names(&marked),
                ["access-control-allow-origin", "access-control-expose-headers"]
            );
            assert_eq!(marked["access-control-allow-origin"], "*");
        }
    }

    #[test]
    fn credentials_go_with_the_origin_itself() {
        let cors = model::Cors { credentials: true, ..only("https://*.example.com") };
        let marked = answer(&cors, Some("https://a.example.com"), &[]);
        assert_eq!(marked["access-control-allow-origin"], "https://a.example.com");
        assert_eq!(marked["access-control-allow-credentials"], "true");
    }

    #[test]
    fn two_origins_are_none() {
        let mut asked = HeaderMap::new();
        for _ in 0..2 {
            asked.append(ORIGIN, HeaderValue::from_static(PAGE));
        }
        let mut marked = HeaderMap::new();
        Cors::compile(&only(PAGE)).origin(&asked).mark(&mut marked);
        assert_eq!(names(&marked), ["vary"]);
    }
}
