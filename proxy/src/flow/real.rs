//! The request leaves for a real service, and its answer comes back.

use super::{Answer, Answered, Call, arrival};
use crate::hygiene::{self, Marks, Outbound};
use crate::proxy::Proxy;
use crate::rescue::Failure;
use crate::route::Authority;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::stats::Source;
use crate::tunnel;
use crate::upstream::{Endpoint, RequestHead, SendError, Sent, pick, send};
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use std::error::Error as _;
use std::sync::Arc;
use stitch_config::model::Timeouts;
use stitch_net::Body;
use stitch_net::reason::SOURCE;

/// Sends a request to one of the service's endpoints.
pub(super) async fn answer(
    proxy: &Arc<Proxy>,
    service: &Arc<Service>,
    timeout: Timeouts,
    call: &mut Call,
) -> Answered {
    let (endpoint, in_flight) =
        pick(&service.endpoints, |below| fastrand::u64(..below)).ok_or(Failure::NoEndpoint)?;
    call.holds.in_flight = Some(in_flight);
    let host = call.host.as_ref().filter(|_| service.declared.preserve_host);
    let host = host.unwrap_or(&endpoint.authority).clone();
    let mut response = exchange(proxy, endpoint, host, timeout, call).await?;
    response.headers_mut().insert(SOURCE, HeaderValue::from_static("real"));
    Ok(Answer { response, source: Source::Real, reason: None })
}

/// Sends a request to the absolute target that it names, if `forward` allows that.
pub(super) async fn forward(proxy: &Arc<Proxy>, snapshot: &Snapshot, call: &mut Call) -> Answered {
    if call.request.uri().scheme() == Some(&Scheme::HTTPS) {
        return Err(Box::new(Failure::BadRequest {
            why: "an https target was asked for without a tunnel".to_owned(),
            hint: "https goes through a proxy by CONNECT; set HTTPS_PROXY as well as HTTP_PROXY",
        }));
    }
    let authority = call.request.uri().authority().cloned().ok_or(Failure::NoEndpoint)?;
    let target = Authority::parse(authority.as_str());
    call.unmarked = true;
    let endpoint = snapshot.forward.target(target.host, target.port.unwrap_or(80));
    let host = endpoint.authority.clone();
    let mut response = exchange(proxy, &endpoint, host, Timeouts::default(), call).await?;
    proxy.via.add(response.headers_mut());
    Ok(Answer { response, source: Source::Real, reason: None })
}

/// One attempt: send, wait, clean the answer.
async fn exchange(
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
        target: target(endpoint, call)?,
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
    let (mut response, lease): Sent = sent.map_err(|error| failure(endpoint, error))?;
    call.holds.lease = Some(lease);
    *response.version_mut() = Version::HTTP_11;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch_protocols(endpoint, response, call);
    }
    if hygiene::is_transfer_coded(response.headers()) {
        return Err(Box::new(Failure::Protocol {
            endpoint: endpoint.to_string(),
            what: "its body is in a transfer coding that nobody asked for".to_owned(),
        }));
    }
    hygiene::clean_response(response.headers_mut());
    Ok(response.map(Body::from))
}

/// What the endpoint is asked for: origin form, below the url's own path.
fn target(endpoint: &Endpoint, call: &Call) -> Result<Uri, Box<Failure>> {
    let uri = call.request.uri();
    // `OPTIONS *` is about the server, not about a path (RFC 9112 §3.2.4).
    if !endpoint.base_path.is_empty() && uri.path() != "*" {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        return Ok(arrival::origin_form(format!("{}{path}", endpoint.base_path))?);
    }
    if uri.authority().is_none() {
        return Ok(uri.clone());
    }
    let path = uri.path_and_query().cloned();
    Ok(Uri::from(path.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"))))
}

/// What is put on the request. Only declared endpoints are told about the call.
fn outbound<'a>(
    proxy: &'a Proxy,
    endpoint: &Endpoint,
    host: HeaderValue,
    call: &'a Call,
) -> Outbound<'a> {
    let marks = endpoint.guard.is_none().then(|| Marks {
        peer: call.peer.as_ref().map(|peer| peer.remote.ip()),
        host: call.host.as_ref(),
        request_id: &call.request_id,
    });
    let upgrade = call.upgrade.as_ref().map(|(upgrade, _)| upgrade);
    Outbound { host, via: &proxy.via, upgrade, marks }
}

/// The head of the request as one endpoint gets it; made anew for each sending.
struct Head<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    target: Uri,
    outbound: Outbound<'a>,
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &Method {
        self.method
    }

    fn with(&self, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.outbound.headers(self.headers);
        request
    }
}

/// Joins both sides of an upgrade once the 101 has been passed on.
fn switch_protocols(
    endpoint: &Endpoint,
    mut response: Response<Incoming>,
    call: &mut Call,
) -> Result<Response<Body>, Box<Failure>> {
    let Some((wanted, client)) = call.upgrade.take() else {
        return Err(Box::new(Failure::Protocol {
            endpoint: endpoint.to_string(),
            what: "it switched protocols although nobody asked".to_owned(),
        }));
    };
    let upstream = hyper::upgrade::on(&mut response);
    // The connection belongs to the tunnel now.
    call.holds.lease = None;
    tunnel::join_upgraded(client, upstream, call.peer.clone());
    let headers = response.headers_mut();
    let agreed = headers.get(UPGRADE).cloned();
    hygiene::clean_response(headers);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, agreed.unwrap_or(wanted));
    Ok(response.map(|_| Body::Empty))
}

fn failure(endpoint: &Endpoint, error: SendError) -> Box<Failure> {
    let endpoint = endpoint.to_string();
    Box::new(match error {
        SendError::Connect(error) => Failure::Connect { endpoint, error },
        SendError::Reset(error) => match too_large(&error) {
            Some(failure) => failure,
            None => Failure::Reset { endpoint, error },
        },
        SendError::Protocol(error) => {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            Failure::Protocol { endpoint, what: cause }
        }
    })
}

/// A body that turned out larger than `limits.body` while it was being sent.
fn too_large(error: &hyper::Error) -> Option<Failure> {
    error.source()?.is::<http_body_util::LengthLimitError>().then_some(Failure::TooLarge(0))
}
