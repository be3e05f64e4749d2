//! The request leaves for a real service, and its answer comes back.

use super::{Answer, Answered, Call};
use crate::grpc::{Until, Web};
use crate::hygiene::{self, Marks, Outbound};
use crate::proxy::Proxy;
use crate::relay::Side;
use crate::rescue::Failure;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::stats::Source;
use crate::tunnel;
use crate::upstream::{
    Endpoint, ExchangeError, H2Headers, Received, RequestHead, SendError, Speaks, pick, send,
    write_request_line,
};
use http::header::{HeaderValue, UPGRADE};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body::Body as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use stitch_config::model::{self, Timeouts};
use stitch_config::pattern::Authority;
use stitch_net::Body;
use stitch_net::reason::SOURCE;
use stitch_net::tls::TlsError;

/// Sends a request to one of the service's endpoints.
pub(super) async fn answer(
    proxy: &Arc<Proxy>,
    service: &Arc<Service>,
    timeout: Timeouts,
    call: &mut Call,
) -> Answered {
    let (endpoint, in_flight) =
        pick(&service.endpoints, |below| fastrand::u64(..below)).ok_or(Failure::NoEndpoint)?;
    call.in_flight = Some(in_flight);
    let host = call.host.as_ref().filter(|_| service.declared.preserve_host);
    let host = host.unwrap_or(&endpoint.host).clone();
    let mut response = if may_be_grpc(endpoint, call) {
        Box::pin(attempt_grpc(proxy, endpoint, host, timeout, call)).await?
    } else {
        attempt(proxy, endpoint, host, timeout, call).await?
    };
    response.headers_mut().insert(SOURCE, HeaderValue::from_static("real"));
    Ok(Answer { response, source: Source::Real, reason: None })
}

/// Sends a request to the absolute target that it names, if `forward` allows that, or to where it was
/// going when it was redirected.
pub(super) async fn forward(proxy: &Arc<Proxy>, snapshot: &Snapshot, call: &mut Call) -> Answered {
    let (endpoint, host) = match call.peer.as_ref().and_then(|peer| peer.original_destination) {
        Some(to) => original(snapshot, to, call),
        None => target(snapshot, call)?,
    };
    call.unmarked = true;
    let mut response = attempt(proxy, &endpoint, host, Timeouts::default(), call).await?;
    proxy.via.add(response.headers_mut());
    Ok(Answer { response, source: Source::Real, reason: None })
}

/// The absolute target that a request names.
fn target(snapshot: &Snapshot, call: &Call) -> Result<(Arc<Endpoint>, HeaderValue), Box<Failure>> {
    let scheme = match call.request.uri().scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => model::Scheme::Https,
        _ => model::Scheme::Http,
    };
    let authority = call.request.uri().authority().cloned().ok_or(Failure::NoEndpoint)?;
    let target = Authority::parse(authority.as_str());
    let port = target.port.or(scheme.default_port()).unwrap_or(80);
    let endpoint =
        snapshot.forward.target(scheme, target.host, port).map_err(|error| no_tls(&error))?;
    let host = endpoint.host.clone();
    Ok((endpoint, host))
}

/// Where a redirected request was going, in the version and to the host that its client meant.
fn original(snapshot: &Snapshot, to: SocketAddr, call: &Call) -> (Arc<Endpoint>, HeaderValue) {
    let scheme = match call.request.version() {
        Version::HTTP_2 => model::Scheme::H2c,
        _ => model::Scheme::Http,
    };
    let endpoint = snapshot.forward.original(scheme, to);
    let host = call.host.as_ref().unwrap_or(&endpoint.host).clone();
    (endpoint, host)
}

/// A target that TLS has no name for.
pub(super) fn no_tls(error: &TlsError) -> Box<Failure> {
    Box::new(Failure::BadRequest { why: error.to_string(), hint: "check the target's host" })
}

/// Whether an attempt may be a gRPC call.
fn may_be_grpc(endpoint: &Endpoint, call: &Call) -> bool {
    call.deadline.is_some() || endpoint.speaks() != Speaks::Http1
}

/// One attempt of what may be a gRPC call: it has to be over at its deadline, and may have come from
/// a browser.
async fn attempt_grpc(
    proxy: &Arc<Proxy>,
    endpoint: &Arc<Endpoint>,
    host: HeaderValue,
    timeout: Timeouts,
    call: &mut Call,
) -> Result<Response<Body>, Box<Failure>> {
    // An endpoint of HTTP/1 can only be one that speaks gRPC-Web itself.
    let bridged = endpoint.speaks() != Speaks::Http1;
    let web = if bridged { Web::bridge(&mut call.request) } else { None };
    let deadline = call.deadline;
    let attempt = attempt(proxy, endpoint, host, timeout, call);
    let attempted = match deadline {
        None => attempt.await,
        Some(deadline) => match tokio::time::timeout(deadline.left(), attempt).await {
            Ok(attempted) => attempted,
            Err(_elapsed) => {
                let endpoint = endpoint.to_string();
                Err(Box::new(Failure::Deadline { endpoint, limit: deadline.limit() }))
            }
        },
    };
    match attempted {
        Ok(mut response) => {
            if let Some(deadline) = deadline.filter(|_| !response.body().is_end_stream()) {
                response = response.map(|body| Body::boxed(Until::new(body, deadline)));
            }
            Ok(match web {
                Some(web) => web.answer(response),
                None => response,
            })
        }
        Err(failure) => {
            if let Some(web) = web {
                web.restore(call.request.headers_mut());
            }
            Err(failure)
        }
    }
}

/// One attempt: send, wait, clean the answer.
async fn attempt(
    proxy: &Arc<Proxy>,
    endpoint: &Arc<Endpoint>,
    host: HeaderValue,
    timeout: Timeouts,
    call: &mut Call,
) -> Result<Response<Body>, Box<Failure>> {
    call.record.endpoint = Some(endpoint.clone());
    let body = std::mem::take(call.request.body_mut());
    let head = Head {
        method: call.request.method(),
        headers: call.request.headers(),
        base_path: &endpoint.base_path,
        target: call.request.uri(),
        outbound: outbound(proxy, endpoint, host, call),
    };
    let sending = send(endpoint, body, &head, timeout.connect);
    let sent = match timeout.request {
        None => sending.await,
        // Boxed: a timer is large, and most services have none.
        Some(limit) => match Box::pin(tokio::time::timeout(limit, sending)).await {
            Ok(sent) => sent,
            Err(_elapsed) => {
                let endpoint = endpoint.to_string();
                return Err(Box::new(Failure::TimeoutRequest { endpoint, limit }));
            }
        },
    };
    match sent.map_err(|error| failure(endpoint, error))? {
        Received::Response(mut response) => {
            hygiene::clean_response(response.headers_mut());
            Ok(response)
        }
        Received::Switched(response, upstream) => {
            switch_protocols(endpoint, response, upstream, call)
        }
    }
}

/// What is put on the request. Only declared endpoints are told about the call.
fn outbound<'a>(
    proxy: &'a Proxy,
    endpoint: &Endpoint,
    host: HeaderValue,
    call: &'a Call,
) -> Outbound<'a> {
    let marks = endpoint.guard.is_none().then_some(Marks {
        peer: call.peer.as_deref(),
        host: call.host.as_ref(),
        request_id: &call.request_id,
    });
    let upgrade = call.upgrade.as_ref().map(|upgrade| &upgrade.0);
    Outbound {
        host,
        via: &proxy.via,
        version: call.request.version(),
        upgrade,
        deadline: call.deadline,
        marks,
    }
}

/// The head of the request as one endpoint gets it.
struct Head<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    base_path: &'a str,
    target: &'a Uri,
    outbound: Outbound<'a>,
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &Method {
        self.method
    }

    fn upgrades(&self) -> bool {
        self.outbound.upgrade.is_some()
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_request_line(out, self.method, self.base_path, self.target);
        self.outbound.write(self.headers, out);
    }

    fn h2(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
        let scheme = if endpoint.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let host = &self.outbound.host;
        let uri = Uri::builder().scheme(scheme).path_and_query(self.path()?);
        let uri = match &endpoint.authority {
            Some(authority) if *host == endpoint.host => uri.authority(authority.clone()),
            _ => uri.authority(host.as_bytes()),
        };
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.build()?;
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.reserve(self.headers.len() + 6);
        self.outbound.write(self.headers, &mut H2Headers(headers));
        if let Some(protocol) = self.outbound.upgrade {
            hygiene::as_extended_connect(&mut request, protocol);
        }
        Ok(request)
    }
}

impl Head<'_> {
    /// The path and query as the endpoint is to see them.
    fn path(&self) -> Result<PathAndQuery, http::Error> {
        match self.target.path_and_query() {
            Some(target) if self.base_path.is_empty() || target == "*" => Ok(target.clone()),
            Some(target) => Ok(format!("{}{target}", self.base_path).parse::<PathAndQuery>()?),
            None => Ok(PathAndQuery::from_static("/")),
        }
    }
}

/// Joins both sides of an upgrade once the 101 has been passed on.
fn switch_protocols(
    endpoint: &Endpoint,
    mut response: Response<()>,
    upstream: Box<dyn Side>,
    call: &mut Call,
) -> Result<Response<Body>, Box<Failure>> {
    let (Some(upgrade), Some(peer)) = (call.upgrade.take(), &call.peer) else {
        return Err(Box::new(Failure::Protocol {
            endpoint: endpoint.to_string(),
            what: "it switched protocols although nobody asked".to_owned(),
        }));
    };
    let (wanted, client) = *upgrade;
    tunnel::join_upgraded(client, upstream, peer.clone());
    let agreed = response.headers().get(UPGRADE).cloned();
    hygiene::clean_response(response.headers_mut());
    hygiene::switched(&mut response, &call.request, agreed.unwrap_or(wanted));
    Ok(response.map(|()| Body::Empty))
}

fn failure(endpoint: &Endpoint, error: SendError) -> Box<Failure> {
    let endpoint = endpoint.to_string();
    Box::new(match error {
        SendError::Connect(error) => Failure::Connect { endpoint, error },
        SendError::Exchange(ExchangeError::Broken(error)) => Failure::Reset { endpoint, error },
        SendError::Exchange(ExchangeError::Protocol(what)) => Failure::Protocol { endpoint, what },
        SendError::Exchange(ExchangeError::Stream(error)) => {
            Failure::Reset { endpoint, error: Some(io::Error::other(error)) }
        }
        SendError::Exchange(ExchangeError::Head(error)) => Failure::BadRequest {
            why: format!("the request cannot be sent over HTTP/2: {error}"),
            hint: "check its target",
        },
        SendError::Exchange(ExchangeError::Body(error)) => body_failure(&*error),
    })
}

/// A body that turned out larger than `limits.body`, or broken, while it was being sent.
fn body_failure(error: &(dyn std::error::Error + 'static)) -> Failure {
    if error.is::<http_body_util::LengthLimitError>() {
        return Failure::TooLarge(0);
    }
    Failure::BadRequest {
        why: format!("the request's body broke off: {error}"),
        hint: "check its length, or the sizes of its chunks",
    }
}
