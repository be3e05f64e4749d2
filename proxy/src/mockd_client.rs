//! The way to a mock daemon in another process, over the same pooled connections as any endpoint.

use crate::hygiene;
use crate::rescue::Failure;
use crate::upstream::{
    Endpoint, ExchangeError, HeaderSink as _, Limits, Received, RequestHead, SendError, send,
    write_request_line,
};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Request, Response};
use stitch_config::model::{Timeouts, Upstream};
use stitch_config::pattern::Authority;
use stitch_net::reason::REASON;
use stitch_net::{Body, Reason};

/// A client for one mock daemon.
#[derive(Debug)]
pub struct MockdClient {
    endpoint: Endpoint,
}

impl MockdClient {
    /// A client for the daemon at `host[:port]`; it need not be there yet.
    pub fn new(authority: &str) -> Self {
        let Authority { host, port } = Authority::parse(authority);
        let upstream = Upstream::http(host.to_ascii_lowercase(), port.unwrap_or(80));
        Self { endpoint: Endpoint::declared(&upstream, None) }
    }

    /// Sends a request, Host and all, and returns what the daemon answers; that it cannot be
    /// reached is an answer too.
    pub async fn call(&self, request: Request<Body>) -> Response<Body> {
        let (mut head, mut body) = request.into_parts();
        head.headers.entry(HOST).or_insert_with(|| self.endpoint.host.clone());
        let limits = Limits::connecting(Timeouts::default().connect);
        let error = match send(&self.endpoint, &mut body, &Unchanged(&head), &limits).await {
            Ok(Received::Response(mut response)) => {
                hygiene::clean_response(response.headers_mut());
                if let Some(reason) = response.headers().get(REASON).and_then(Reason::of) {
                    response.extensions_mut().insert(reason);
                }
                return *response;
            }
            Ok(Received::Switched(..)) => SendError::Exchange(ExchangeError::Protocol(
                "it switched protocols although nobody asked".to_owned(),
            )),
            Err(error) => error,
        };
        self.failed(error).respond(Some("the mock daemon"), &head.headers)
    }

    fn failed(&self, error: SendError) -> Failure {
        let endpoint = self.endpoint.to_string();
        match error {
            SendError::Connect(error, _) => Failure::Connect { endpoint, error },
            SendError::Exchange(ExchangeError::Broken(error)) => {
                Failure::Reset { endpoint, error, unprocessed: false }
            }
            SendError::Exchange(error) => Failure::Protocol { endpoint, what: error.to_string() },
        }
    }
}

/// A head that is sent as it is.
struct Unchanged<'a>(&'a Parts);

impl RequestHead for Unchanged<'_> {
    fn method(&self) -> &Method {
        &self.0.method
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Parts { method, uri, headers, .. } = self.0;
        write_request_line(out, method, "", uri);
        for (name, value) in headers {
            if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING {
                out.value(name, value);
            }
        }
    }

    /// The daemon is spoken to in HTTP/1, where this is not asked for.
    fn h2(&self, _: &Endpoint) -> Result<Request<()>, http::Error> {
        let mut request = Request::builder().method(&self.0.method).uri(&self.0.uri).body(())?;
        *request.headers_mut() = self.0.headers.clone();
        Ok(request)
    }
}
