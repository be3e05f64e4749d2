//! The way to a mock daemon in another process, over the same pooled connections as any endpoint.

use crate::hygiene;
use crate::rescue::Failure;
use crate::route::Authority;
use crate::upstream::{Endpoint, Lease, RequestHead, SendError, send};
use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request, Response, Uri, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};
use stitch_config::Place;
use stitch_config::model::{Timeouts, Upstream};
use stitch_net::{Body, BoxError};

/// A client for one mock daemon.
#[derive(Debug)]
pub struct MockdClient {
    endpoint: Endpoint,
}

impl MockdClient {
    /// A client for the daemon at `host[:port]`; it need not be there yet.
    pub fn new(authority: &str) -> Self {
        let Authority { host, port } = Authority::parse(authority);
        let upstream = Upstream {
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(80),
            base_path: String::new(),
            weight: 1,
            place: Place::default(),
        };
        Self { endpoint: Endpoint::declared(&upstream) }
    }

    /// Sends a request, Host and all, and returns what the daemon answers; that it cannot be
    /// reached is an answer too.
    pub async fn call(&self, request: Request<Body>) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        head.headers.entry(HOST).or_insert_with(|| self.endpoint.authority.clone());
        if let Some(path) = head.uri.path_and_query() {
            head.uri = Uri::from(path.clone());
        }
        let limit = Timeouts::default().connect;
        match send(&self.endpoint, body, &Unchanged(&head), limit).await {
            Ok((mut response, lease)) => {
                *response.version_mut() = Version::HTTP_11;
                hygiene::clean_response(response.headers_mut());
                response.map(|body| Leased::body(body, lease))
            }
            Err(error) => self.failed(error).respond(Some("the mock daemon"), &head.headers),
        }
    }

    fn failed(&self, error: SendError) -> Failure {
        let endpoint = self.endpoint.to_string();
        match error {
            SendError::Connect(error) => Failure::Connect { endpoint, error },
            SendError::Reset(error) => Failure::Reset { endpoint, error },
            SendError::Protocol(error) => Failure::Protocol { endpoint, what: error.to_string() },
        }
    }
}

/// A head that is sent as it is.
struct Unchanged<'a>(&'a http::request::Parts);

impl RequestHead for Unchanged<'_> {
    fn method(&self) -> &Method {
        &self.0.method
    }

    fn with(&self, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = self.0.method.clone();
        *request.uri_mut() = self.0.uri.clone();
        *request.headers_mut() = self.0.headers.clone();
        request
    }
}

/// A body that gives its connection back at its end.
struct Leased {
    body: Incoming,
    lease: Option<Lease>,
}

impl Leased {
    fn body(body: Incoming, lease: Lease) -> Body {
        if body.is_end_stream() {
            lease.give_back();
            Body::Empty
        } else {
            Body::boxed(Self { body, lease: Some(lease) })
        }
    }
}

impl HttpBody for Leased {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into);
        let ended = match &polled {
            Poll::Ready(Some(Ok(_))) => self.body.is_end_stream(),
            Poll::Ready(None) => true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if ended && let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
