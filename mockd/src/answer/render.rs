//! Answers with templates in them: body, headers and events, in this order.

use super::make::{answer, promise_length, troubled};
use crate::endpoint::{AnswerBody, EndpointMock, PublishMock, rendered_type};
use crate::events::{Message, carried_headers, is_subject};
use crate::shared::Shared;
use crate::template::{Chance, RenderError, Rendered, RequestView, ResponseView, Scope, to_value};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response};
use minijinja::Value;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use stitch_net::{Body, Draw, Problem, Reason};

/// Renders body, headers and events, in this order, and sends the events off.
pub(super) fn render(
    endpoint: &EndpointMock,
    shared: &Shared,
    k: u64,
    parts: Parts,
    body: Bytes,
    file: Option<(u64, Body)>,
) -> Response<Body> {
    let is_head = parts.method == Method::HEAD;
    let request_headers = parts.headers.clone();
    let captures = endpoint.model.path.captures(parts.uri.path()).unwrap_or_default();
    let rest = captures.rest.map(|rest| ("rest".to_owned(), rest));
    let params = captures.params.into_iter().map(|(name, value)| (name.to_owned(), value));
    let view = RequestView::new(parts, params.chain(rest).collect(), body);
    let chance = Chance::new(shared.draws.bits(&Draw::sequence(&endpoint.model.id, "template", k)));
    let scope = Scope::request(view, &shared.vars, chance);
    let rendering = Rendering { endpoint, shared, scope };
    let made = rendering.answer(is_head, file).and_then(|(response, view)| {
        let messages = if is_head {
            Vec::new()
        } else {
            rendering.messages(&view, &response, &request_headers)?
        };
        Ok((response, messages))
    });
    match made {
        Ok((response, messages)) => {
            if let Some(publisher) = shared.publisher.get() {
                for (message, delay) in messages {
                    publisher.publish(message, delay);
                }
            }
            response
        }
        Err(error) => template_error(endpoint, shared, &error, &request_headers),
    }
}

fn template_error(
    endpoint: &EndpointMock,
    shared: &Shared,
    error: &RenderError,
    request: &HeaderMap,
) -> Response<Body> {
    let place = shared.locate(error);
    tracing::warn!(endpoint = &*endpoint.model.id, place, %error, "A template failed");
    let detail = format!("a template of {} failed at {place}: {error}", endpoint.model.id);
    let problem = Problem::new(Reason::TemplateError, detail)
        .with("expression", error.expression.as_str())
        .with("place", place);
    troubled(endpoint, &problem, request)
}

/// One answer in the making.
struct Rendering<'a> {
    endpoint: &'a EndpointMock,
    shared: &'a Shared,
    scope: Arc<Scope>,
}

impl Rendering<'_> {
    fn answer(
        &self,
        is_head: bool,
        file: Option<(u64, Body)>,
    ) -> Result<(Response<Body>, Arc<ResponseView>), RenderError> {
        let endpoint = self.endpoint;
        let (bytes, value, content_type) = self.body()?;
        let view = Arc::new(ResponseView {
            status: endpoint.status,
            body: value,
            headers: OnceLock::new(),
        });
        self.scope.answered(view.clone());
        let mut headers = endpoint.headers.clone();
        self.headers(&mut headers)?;
        if let Some(content_type) = content_type {
            headers.entry(CONTENT_TYPE).or_insert(content_type);
        }
        let response = match file {
            None => answer(endpoint, headers, bytes, is_head),
            Some((length, body)) => {
                promise_length(endpoint, &mut headers, length);
                let mut response = answer(endpoint, headers, Bytes::new(), false);
                if !is_head {
                    *response.body_mut() = body;
                }
                response
            }
        };
        Ok((response, view))
    }

    /// The body's bytes, its value for later templates, and its type where the headers have none.
    fn body(&self) -> Result<(Bytes, Value, Option<HeaderValue>), RenderError> {
        let environment = &self.shared.environment;
        match &self.endpoint.body {
            AnswerBody::Bytes(bytes) => Ok((bytes.clone(), self.endpoint.body_value.clone(), None)),
            AnswerBody::File(_) => Ok((Bytes::new(), Value::from(()), None)),
            AnswerBody::Text(text) => Ok(match text.render(environment, &self.scope)? {
                Rendered::Text(text) => {
                    let value = Value::from(text.as_str());
                    (text.into(), value, Some(rendered_type(true)))
                }
                Rendered::Json(json) => {
                    (json.to_string().into(), to_value(&json), Some(rendered_type(false)))
                }
            }),
            AnswerBody::Json(data) => {
                let json = data.render(environment, &self.scope)?;
                let read_later = !self.endpoint.publishes.is_empty()
                    || !self.endpoint.header_templates.is_empty();
                let value = if read_later { to_value(&json) } else { Value::UNDEFINED };
                Ok((json.to_string().into(), value, None))
            }
        }
    }

    fn headers(&self, headers: &mut HeaderMap) -> Result<(), RenderError> {
        for (name, template) in &self.endpoint.header_templates {
            let text = template.to_text(&self.shared.environment, &self.scope)?;
            let value = HeaderValue::try_from(text.as_bytes()).map_err(|_| {
                let path = &self.endpoint.model.path_in_file;
                let message = format!("header {name} cannot carry this value");
                RenderError::unusable(template.place(), path, &text, &message)
            })?;
            headers.append(name, value);
        }
        Ok(())
    }

    fn messages(
        &self,
        view: &ResponseView,
        response: &Response<Body>,
        request: &HeaderMap,
    ) -> Result<Vec<(Message, Option<Duration>)>, RenderError> {
        if self.endpoint.publishes.is_empty() {
            return Ok(Vec::new());
        }
        // Nobody set them before: the view is new, and headers are finished now.
        let _ = view.headers.set(response.headers().clone());
        let messages = self.endpoint.publishes.iter();
        messages.map(|publish| Ok((self.message(publish, request)?, publish.delay))).collect()
    }

    fn message(&self, publish: &PublishMock, request: &HeaderMap) -> Result<Message, RenderError> {
        let environment = &self.shared.environment;
        let subject = publish.subject.to_text(environment, &self.scope)?;
        if !is_subject(&subject) {
            let place = publish.subject.place();
            let message = "is not a subject: it needs tokens of visible characters between dots";
            return Err(RenderError::unusable(place, &publish.path, &subject, message));
        }
        let data = publish.data.render(environment, &self.scope)?;
        Ok(Message::of(subject, data, carried_headers(request)))
    }
}
