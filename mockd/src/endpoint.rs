//! One endpoint, compiled: everything that can be made before a request comes is made here.

use crate::counters::Counters;
use crate::file::{Budget, FileBody, content_type};
use crate::template::{Compiler, DataTemplate, Role, Site, TextTemplate, to_value};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use minijinja::Value;
use std::sync::Arc;
use std::time::Duration;
use stitch_config::Problem;
use stitch_config::model::{Endpoint, Methods, ResponseBody};
use stitch_net::reason::{ENDPOINT, SOURCE};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const MOCK: HeaderValue = HeaderValue::from_static("mock");

/// An endpoint, ready to answer.
#[derive(Debug)]
pub(crate) struct EndpointMock {
    pub(crate) model: Arc<Endpoint>,
    pub(crate) service: Arc<str>,
    pub(crate) status: StatusCode,
    /// Every header that needs no rendering, content type and source included.
    pub(crate) headers: HeaderMap,
    pub(crate) header_templates: Vec<(HeaderName, TextTemplate)>,
    pub(crate) body: AnswerBody,
    pub(crate) publishes: Vec<PublishMock>,
    /// The body as headers and publishes see it, when it was finished at load and one may look.
    pub(crate) body_value: Value,
    /// Whether a template reads the request body.
    pub(crate) needs_body: bool,
    /// Whether the whole answer was finished at load.
    pub(crate) is_static: bool,
    pub(crate) counters: Arc<Counters>,
    /// False when a sibling of the same shape declares HEAD itself.
    answers_head: bool,
}

/// A body, as far as it can be made at load.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    Bytes(Bytes),
    File(FileBody),
    Text(TextTemplate),
    Json(DataTemplate),
}

/// An event to publish, compiled.
#[derive(Debug)]
pub(crate) struct PublishMock {
    pub(crate) subject: TextTemplate,
    pub(crate) data: DataTemplate,
    pub(crate) delay: Option<Duration>,
    /// The key path of the endpoint.
    pub(crate) path: Arc<str>,
}

impl EndpointMock {
    /// Compiles an endpoint; mistakes are reported, and what could not be made stays empty.
    pub(crate) fn compile(
        model: &Arc<Endpoint>,
        service: &Arc<str>,
        siblings: &[Arc<Endpoint>],
        compiler: &mut Compiler<'_>,
        budget: &mut Budget,
        counters: Arc<Counters>,
    ) -> Self {
        let mut params = model.path.names();
        if model.path.has_rest() {
            params.push("rest");
        }
        let path: Arc<str> = model.path_in_file.as_str().into();
        let mut site = Site { role: Role::Body, path, params: &params, response_keys: &[] };
        let _ = compiler.take_needs_body();
        let (body, default_type) = compile_body(model, &site, compiler, budget);
        let keys = match &body {
            AnswerBody::Json(data) => data.keys(),
            AnswerBody::Bytes(_) | AnswerBody::File(_) | AnswerBody::Text(_) => static_keys(model),
        };
        site.response_keys = &keys;
        site.role = Role::Header;
        let mut mock = Self {
            model: model.clone(),
            service: service.clone(),
            status: status(model, compiler),
            headers: HeaderMap::new(),
            header_templates: Vec::new(),
            body,
            publishes: Vec::new(),
            body_value: Value::UNDEFINED,
            needs_body: false,
            is_static: false,
            counters,
            answers_head: !siblings.iter().any(|sibling| takes_head(sibling, model)),
        };
        mock.compile_headers(&site, default_type, compiler);
        site.role = Role::Publish;
        mock.publishes = compile_publishes(model, &site, compiler);
        mock.needs_body = compiler.take_needs_body();
        let made = matches!(mock.body, AnswerBody::Bytes(_));
        mock.is_static = made && mock.header_templates.is_empty() && mock.publishes.is_empty();
        if made && !mock.is_static {
            mock.body_value = static_body_value(model);
        }
        mock
    }

    fn compile_headers(
        &mut self,
        site: &Site<'_>,
        default_type: Option<HeaderValue>,
        compiler: &mut Compiler<'_>,
    ) {
        for (name, text) in &self.model.response.headers {
            match compiler.text(text, site) {
                TextTemplate::Literal(value) => match HeaderValue::try_from(value.as_bytes()) {
                    Ok(value) => {
                        self.headers.append(name, value);
                    }
                    Err(_) => compiler.push(Problem::error(
                        text.place,
                        &*site.path,
                        format!("header {name} has a value that HTTP cannot carry: {value:?}"),
                    )),
                },
                template @ TextTemplate::Template(_) => {
                    self.header_templates.push((name.clone(), template));
                }
            }
        }
        let declared = |name| self.headers.contains_key(name) || self.has_header_template(name);
        if let Some(default_type) = default_type.filter(|_| !declared(&CONTENT_TYPE)) {
            self.headers.insert(CONTENT_TYPE, default_type);
        }
        self.headers.insert(SOURCE, MOCK);
        self.headers.insert(ENDPOINT, id_header(&self.model.id));
    }

    pub(crate) fn has_header_template(&self, name: &HeaderName) -> bool {
        self.header_templates.iter().any(|(known, _)| known == name)
    }

    /// Whether it answers a request with this method. HEAD is answered from GET.
    pub(crate) fn answers(&self, method: &Method) -> bool {
        self.model.methods.contains(method)
            || *method == Method::HEAD
                && self.answers_head
                && self.model.methods.contains(&Method::GET)
    }

    /// Its methods for `Allow`.
    pub(crate) fn allowed(&self) -> Vec<Method> {
        match &self.model.methods {
            Methods::Any => vec![
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
                Method::OPTIONS,
            ],
            Methods::Only(methods) => {
                let mut methods = methods.clone();
                if let Some(get) = methods.iter().position(|method| *method == Method::GET)
                    && !methods.contains(&Method::HEAD)
                {
                    methods.insert(get + 1, Method::HEAD);
                }
                methods
            }
        }
    }
}

/// The value of a body that was finished at load.
fn static_body_value(model: &Endpoint) -> Value {
    match &model.response.body {
        ResponseBody::Json(data) => to_value(data.to_json()),
        ResponseBody::Text(text) => Value::from(text.text.as_str()),
        ResponseBody::Empty | ResponseBody::File(..) => Value::from(()),
    }
}

/// Whether a sibling declares HEAD itself for the same paths.
fn takes_head(sibling: &Endpoint, model: &Endpoint) -> bool {
    let declares = |methods: &Methods| matches!(methods, Methods::Only(methods) if methods.contains(&Method::HEAD));
    sibling.id != model.id
        && declares(&sibling.methods)
        && sibling.path.shape() == model.path.shape()
}

fn static_keys(model: &Endpoint) -> Vec<String> {
    match &model.response.body {
        ResponseBody::Json(stitch_config::Data::Map(entries)) => {
            entries.iter().map(|(key, _)| key.clone()).collect()
        }
        _ => Vec::new(),
    }
}

fn status(model: &Endpoint, compiler: &mut Compiler<'_>) -> StatusCode {
    match StatusCode::from_u16(model.response.status) {
        Ok(status) if !status.is_informational() => status,
        _ => {
            let message = format!("status {} cannot be an answer", model.response.status);
            compiler.push(
                Problem::error(model.place, &*model.path_in_file, message)
                    .hint("use a status from 200 to 599"),
            );
            StatusCode::OK
        }
    }
}

fn compile_body(
    model: &Endpoint,
    site: &Site<'_>,
    compiler: &mut Compiler<'_>,
    budget: &mut Budget,
) -> (AnswerBody, Option<HeaderValue>) {
    let empty = AnswerBody::Bytes(Bytes::new());
    if matches!(model.response.status, 204 | 304) {
        return (empty, None);
    }
    match &model.response.body {
        ResponseBody::Empty => (empty, None),
        ResponseBody::Text(text) => match compiler.text(text, site) {
            TextTemplate::Literal(text) => (AnswerBody::Bytes(text.into()), Some(TEXT)),
            // A lone expression may turn out to be JSON: the type is set when it is rendered.
            template @ TextTemplate::Template(_) => (AnswerBody::Text(template), None),
        },
        ResponseBody::Json(data) => match compiler.data(data, site) {
            DataTemplate::Constant(value) => {
                (AnswerBody::Bytes(value.to_string().into()), Some(JSON))
            }
            template => (AnswerBody::Json(template), Some(JSON)),
        },
        ResponseBody::File(path, place) => match FileBody::load(path, budget) {
            Ok(file) => {
                let content_type = Some(HeaderValue::from_static(content_type(path)));
                match file {
                    FileBody::Held(bytes) => (AnswerBody::Bytes(bytes), content_type),
                    file @ FileBody::OnDisk(_) => (AnswerBody::File(file), content_type),
                }
            }
            Err(error) => {
                let message = format!("file {} cannot be read: {error}", path.display());
                compiler.push(
                    Problem::error(*place, &*site.path, message)
                        .hint("paths start at the directory of the file that names them"),
                );
                (empty, None)
            }
        },
    }
}

fn compile_publishes(
    model: &Endpoint,
    site: &Site<'_>,
    compiler: &mut Compiler<'_>,
) -> Vec<PublishMock> {
    let compile = |publish: &stitch_config::model::Publish| PublishMock {
        subject: compiler.text(&publish.subject, site),
        data: compiler.data(&publish.data, site),
        delay: publish.delay,
        path: site.path.clone(),
    };
    model.publishes.iter().map(compile).collect()
}

/// The default type of a rendered text body.
pub(crate) fn rendered_type(is_text: bool) -> HeaderValue {
    if is_text { TEXT } else { JSON }
}

/// An endpoint's id as a header; what HTTP cannot carry is left out.
fn id_header(id: &str) -> HeaderValue {
    HeaderValue::from_bytes(id.as_bytes()).unwrap_or_else(|_| {
        let visible: String = id.chars().filter(|c| !c.is_ascii_control()).collect();
        HeaderValue::from_bytes(visible.as_bytes()).unwrap_or(HeaderValue::from_static("?"))
    })
}

/// Whether two endpoints mean the same, wherever in the file they stand.
pub(crate) fn same(a: &Endpoint, b: &Endpoint) -> bool {
    let texts = |endpoint: &Endpoint| {
        let headers = endpoint.response.headers.iter();
        headers.map(|(name, text)| (name.clone(), text.text.clone())).collect::<Vec<_>>()
    };
    let publishes = |endpoint: &Endpoint| {
        let publishes = endpoint.publishes.iter();
        publishes
            .map(|publish| (publish.subject.text.clone(), publish.data.to_json(), publish.delay))
            .collect::<Vec<_>>()
    };
    a.id == b.id
        && a.path == b.path
        && a.methods == b.methods
        && a.delay == b.delay
        && a.failures == b.failures
        && a.response.status == b.response.status
        && same_body(&a.response.body, &b.response.body)
        && texts(a) == texts(b)
        && publishes(a) == publishes(b)
}

fn same_body(a: &ResponseBody, b: &ResponseBody) -> bool {
    match (a, b) {
        (ResponseBody::Empty, ResponseBody::Empty) => true,
        (ResponseBody::Text(a), ResponseBody::Text(b)) => a.text == b.text,
        (ResponseBody::Json(a), ResponseBody::Json(b)) => a.to_json() == b.to_json(),
        (ResponseBody::File(a, _), ResponseBody::File(b, _)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::testing::{api, ask, config, in_api, problems, request};
    use stitch_config::Report;

    #[test]
    fn answers_that_http_cannot_carry_are_reported() {
        let found = problems(&in_api(
            r#"- { path: /, response: { body: x, headers: { x-a: "a\u0007b" } } }"#,
        ));
        assert!(found.contains("header x-a has a value that HTTP cannot carry"), "{found}");
        let mut config = config(&in_api("- { path: /, response: x }"));
        let service = Arc::make_mut(&mut config.services[0]);
        Arc::make_mut(&mut service.endpoints[0]).response.status = 101;
        let mut report = Report::default();
        Engine::compile(&config, 42, None, &mut report);
        assert_eq!(report.sorted()[0].message, "status 101 cannot be an answer");
    }

    #[tokio::test]
    async fn any_method_is_allowed_but_the_path_is_not() {
        let engine = api("- { path: /größe, method: ANY, response: x }");
        let seen = ask(&engine, request("DELETE /gr%C3%B6%C3%9Fe")).await;
        assert_eq!(seen.text, "x");
        let id = seen.headers["x-stitch-endpoint"].as_bytes();
        assert_eq!(std::str::from_utf8(id).unwrap(), "api ANY /größe");
        let endpoint = &engine.mocks("api").unwrap().endpoints[0];
        assert!(endpoint.allowed().contains(&Method::DELETE));
        assert_eq!(id_header("a\nb"), "ab");
    }

    #[test]
    fn the_same_is_what_means_the_same() {
        let endpoint = |text: &str| config(&in_api(text)).services[0].endpoints[0].clone();
        let base = endpoint("- { path: /a, response: x }");
        assert!(same(&base, &endpoint("- {   path: /a,   response: x }")));
        for other in [
            "- { path: /a, response: y }",
            "- { path: /a, response: { x: 1 } }",
            "- { path: /a }",
            "- { path: /a, response: x, delay: 1ms }",
            "- { path: /a, response: x, failure_rate: 1% }",
            "- { path: /a, response: { body: x, headers: { a: b } } }",
            "- { path: /a, response: x, nats_publish: [ { subject: s, data: 1 } ] }",
        ] {
            assert!(!same(&base, &endpoint(other)), "{other}");
        }
        for text in ["- { path: /a }", "- { path: /a, response: { file: ./x } }"] {
            assert!(same(&endpoint(text), &endpoint(text)), "{text}");
        }
    }
}
