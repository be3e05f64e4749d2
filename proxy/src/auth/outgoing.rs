//! Questions to others: where keys are, and who decides. Asked over the proxy's own client.

use crate::hygiene;
use crate::upstream::{
    Endpoint, H2Headers, HeaderSink as _, Limits, Received, RequestHead, SendError, Tls, send,
    write_request_line,
};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use std::sync::{Arc, Weak};
use std::time::Duration;
use stitch_config::model::Upstream;
use stitch_net::Body;
use stitch_net::mock::Flow;

/// Somebody who can be asked.
#[derive(Clone)]
pub(crate) enum Caller {
    /// A server.
    Endpoint(Arc<Endpoint>),
    /// A declared service, real or mocked, by way of the proxy itself.
    Service(Weak<dyn Flow>, Arc<str>),
    /// Nobody: the address cannot be asked.
    Nobody,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// Not in time.
    Timeout(Duration),
    /// Its body is larger than we read.
    TooLarge(usize),
    /// Anything else, in words.
    Failed(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout(limit) => write!(f, "there is no answer within {limit:?}"),
            Self::TooLarge(most) => write!(f, "the answer is larger than {} KiB", most / 1024),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl Caller {
    /// Somebody that no service declares. `before` is kept if it is the same, and with it its
    /// connections.
    pub fn outside(upstream: &Upstream, before: Option<&Self>) -> Self {
        let tls = match (upstream.scheme.is_tls(), upstream.host_port()) {
            (true, Some((host, _))) => match Tls::of_anyone(host) {
                Ok(tls) => Some(tls),
                // Has been reported where the configuration was prepared.
                Err(_) => return Self::Nobody,
            },
            (true, None) => return Self::Nobody,
            (false, _) => None,
        };
        match before {
            Some(Self::Endpoint(endpoint)) if endpoint.is(upstream, tls.as_ref()) => {
                Self::Endpoint(endpoint.clone())
            }
            _ => Self::Endpoint(Arc::new(Endpoint::declared(upstream, tls))),
        }
    }

    /// Whether it is the same one.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Endpoint(one), Self::Endpoint(other)) => Arc::ptr_eq(one, other),
            (Self::Service(one, name), Self::Service(other, named)) => {
                Weak::ptr_eq(one, other) && name == named
            }
            _ => false,
        }
    }

    /// Asks with GET and waits for the whole answer, of which `most` bytes are read.
    pub(super) async fn get(
        &self,
        path: &Uri,
        headers: HeaderMap,
        limit: Duration,
        most: usize,
    ) -> Result<Response<Bytes>, CallError> {
        let asking = async {
            let (head, body) = self.begin(path, headers, limit).await?.into_parts();
            match Limited::new(body, most).collect().await {
                Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
                Err(error) if error.is::<LengthLimitError>() => Err(CallError::TooLarge(most)),
                Err(error) => Err(CallError::Failed(error.to_string())),
            }
        };
        let asked = tokio::time::timeout(limit, asking).await;
        let mut response = asked.unwrap_or(Err(CallError::Timeout(limit)))?;
        hygiene::clean_response(response.headers_mut());
        for framing in [CONTENT_LENGTH, TRANSFER_ENCODING] {
            response.headers_mut().remove(framing);
        }
        Ok(response)
    }

    async fn begin(
        &self,
        path: &Uri,
        headers: HeaderMap,
        limit: Duration,
    ) -> Result<Response<Body>, CallError> {
        let failed = |why: &str| CallError::Failed(why.to_owned());
        match self {
            Self::Endpoint(endpoint) => {
                let head = Question { path, headers, host: &endpoint.host };
                match send(endpoint, &mut Body::Empty, &head, &Limits::connecting(limit)).await {
                    Ok(Received::Response(response)) => Ok(*response),
                    Ok(Received::Switched(..)) => Err(failed("it switched protocols unasked")),
                    Err(SendError::Connect(error, _)) => Err(CallError::Failed(error.to_string())),
                    Err(SendError::Exchange(error)) => Err(CallError::Failed(error.to_string())),
                }
            }
            Self::Service(flow, name) => {
                let flow = flow.upgrade().ok_or_else(|| failed("the proxy is stopping"))?;
                let mut request = Request::new(Body::Empty);
                *request.uri_mut() = path.clone();
                *request.headers_mut() = headers;
                if let Ok(host) = HeaderValue::from_str(name) {
                    request.headers_mut().insert(HOST, host);
                }
                Ok(flow.call(name, request).await)
            }
            Self::Nobody => Err(failed("its address cannot be reached")),
        }
    }
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Endpoint(endpoint) => endpoint.fmt(f),
            Self::Service(_, name) => f.write_str(name),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Caller({self})")
    }
}

/// The head of a question.
struct Question<'a> {
    path: &'a Uri,
    headers: HeaderMap,
    host: &'a HeaderValue,
}

impl RequestHead for Question<'_> {
    fn method(&self) -> &Method {
        &Method::GET
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_request_line(out, &Method::GET, "", self.path);
        out.value(&HOST, self.host);
        for (name, value) in &self.headers {
            out.value(name, value);
        }
    }

    fn h2(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
        let scheme = if endpoint.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(self.host.as_bytes());
        let path = self.path.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder().uri(uri.path_and_query(path).build()?).body(())?;
        let mut headers = H2Headers(request.headers_mut());
        for (name, value) in &self.headers {
            headers.value(name, value);
        }
        Ok(request)
    }
}
