//! What a message does: a request to a service, or a reply.

use super::message::{HOPS, Message, TRACE};
use super::publisher::Publisher;
use super::stats::Received;
use super::subscription::Compiled;
use crate::shared::Shared;
use crate::template::{Chance, MessageView, RenderError, Scope};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::sync::Arc;
use stitch_net::{Body, Draw, Flow};

/// The subject that led to a request.
const EVENT: HeaderName = HeaderName::from_static("x-stitch-event");
/// How much of an action's answer is read, so that its connection can be used again.
const MAX_ANSWER: usize = 1 << 20;
/// What cannot stand in a request target; a rendered path may hold anything.
const TARGET: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');

/// A subscription as of the last reload.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) service: Arc<str>,
    /// The pattern, which also keys the subscription's chance.
    pub(super) subject: String,
    pub(super) compiled: Arc<Compiled>,
    pub(super) shared: Arc<Shared>,
}

impl Live {
    /// Handles one message.
    pub(super) async fn react(
        &self,
        message: Message,
        received: &Received,
        flow: &dyn Flow,
        publisher: &Publisher,
    ) {
        let count = received.delivered();
        let done = match &*self.compiled {
            Compiled::Action { method, path } => {
                let path = path.to_text(&self.shared.environment, &self.scope(&message, count));
                match path {
                    Ok(path) => self.act(method, &path, message, flow).await,
                    Err(error) => self.template_failed(&message.subject, &error),
                }
            }
            Compiled::Reply(_) if message.reply.is_none() => Ok(()),
            Compiled::Reply(data) => {
                match data.render(&self.shared.environment, &self.scope(&message, count)) {
                    Ok(data) => {
                        let subject = message.reply.clone().unwrap_or_default();
                        publisher.publish(Message::of(subject, data, message.follow_up()), None);
                        Ok(())
                    }
                    Err(error) => self.template_failed(&message.subject, &error),
                }
            }
        };
        if done.is_err() {
            received.failed();
        }
    }

    fn scope(&self, message: &Message, count: u64) -> Arc<Scope> {
        let view = MessageView::new(&message.subject, &message.payload, &message.headers, count);
        let id = format!("{} {}", self.service, self.subject);
        let seed = self.shared.draws.bits(&Draw::sequence(&id, "template", count));
        Scope::message(view, &self.shared.vars, Chance::new(seed))
    }

    async fn act(
        &self,
        method: &Method,
        path: &str,
        message: Message,
        flow: &dyn Flow,
    ) -> Result<(), Failed> {
        let subject = message.subject.clone();
        let request = self.request(method, path, message).map_err(|cause| {
            tracing::warn!(
                subject,
                service = &*self.service,
                path,
                cause,
                "An event's action is no request"
            );
            Failed
        })?;
        let response = flow.call(&self.service, request).await;
        let status = response.status();
        // Read to its end where that is cheap; what it says is not asked for.
        let _ = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        if status.is_client_error() || status.is_server_error() {
            let (service, status) = (&*self.service, status.as_u16());
            tracing::warn!(subject, service, status, path, "An event's action failed");
            return Err(Failed);
        }
        Ok(())
    }

    /// The request: the message as body, with its type and trace.
    fn request(
        &self,
        method: &Method,
        path: &str,
        message: Message,
    ) -> Result<Request<Body>, &'static str> {
        let target = utf8_percent_encode(path, TARGET).to_string();
        let target = Uri::try_from(target).map_err(|_| "the path is not a request target")?;
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = method.clone();
        *request.uri_mut() = target;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HOPS, message.hops().into());
        let carried = TRACE.into_iter().chain([CONTENT_TYPE]);
        let carried =
            carried.filter_map(|name| Some((message.header(name.as_str())?, name.clone())));
        let own = [(&*self.service, HOST), (message.subject.as_str(), EVENT)];
        for (value, name) in own.into_iter().chain(carried) {
            // What HTTP cannot carry is left out; a header is no reason to lose an event.
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.insert(name, value);
            }
        }
        *request.body_mut() = message.payload.into();
        Ok(request)
    }

    fn template_failed(&self, subject: &str, error: &RenderError) -> Result<(), Failed> {
        let place = self.shared.locate(error);
        tracing::warn!(subject, service = &*self.service, place, %error, "A template failed");
        Err(Failed)
    }
}

/// The reaction failed; the log has said why.
struct Failed;
