//! The request leaves for a real service, and its answer comes back.

use super::{Answer, Call, arrival};
use crate::body::Holds;
use crate::hygiene::{self, Forwarded, REQUEST_ID};
use crate::proxy::Proxy;
use crate::rescue::Failure;
use crate::route::Authority;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::stats::Source;
use crate::tunnel;
use crate::upstream::{Endpoint, InFlight, SendError, Sent, pick, send};
use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::uri::Scheme;
use http::{Request, StatusCode, Uri, Version};
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
    mut request: Request<Body>,
    call: &mut Call,
) -> Result<Answer, Failure> {
    let (endpoint, in_flight) =
        pick(&service.endpoints, |below| fastrand::u64(..below)).ok_or(Failure::NoEndpoint)?;
    address(&mut request, endpoint, service.declared.preserve_host, call)?;
    let headers = request.headers_mut();
    if let Some(peer) = &call.peer {
        let host = call.host.as_ref();
        hygiene::add_forwarded(headers, &Forwarded { peer: peer.remote.ip(), host });
    }
    headers.insert(REQUEST_ID, call.request_id.clone());
    let mut answer = exchange(proxy, endpoint, in_flight, timeout, request, call).await?;
    answer.response.headers_mut().insert(SOURCE, HeaderValue::from_static("real"));
    Ok(answer)
}

/// Sends a request to the absolute target that it names, if `forward` allows that.
pub(super) async fn forward(
    proxy: &Arc<Proxy>,
    snapshot: &Snapshot,
    mut request: Request<Body>,
    call: &mut Call,
) -> Result<Answer, Failure> {
    if request.uri().scheme() == Some(&Scheme::HTTPS) {
        return Err(Failure::BadRequest {
            why: "an https target was asked for without a tunnel".to_owned(),
            hint: "https goes through a proxy by CONNECT; set HTTPS_PROXY as well as HTTP_PROXY",
        });
    }
    let Some(authority) = request.uri().authority().cloned() else {
        return Err(Failure::NoEndpoint);
    };
    let target = Authority::parse(authority.as_str());
    call.unmarked = true;
    let endpoint = snapshot.forward.target(target.host, target.port.unwrap_or(80));
    address(&mut request, &endpoint, false, call)?;
    let (_, in_flight) = pick(std::slice::from_ref(&endpoint), |_| 0).ok_or(Failure::NoEndpoint)?;
    let timeout = Timeouts::default();
    exchange(proxy, &endpoint, in_flight, timeout, request, call).await
}

/// Turns the request towards an endpoint: target, version, Host, upgrade.
fn address(
    request: &mut Request<Body>,
    endpoint: &Endpoint,
    preserve_host: bool,
    call: &Call,
) -> Result<(), Failure> {
    let path = request.uri().path_and_query();
    if !endpoint.base_path.is_empty() {
        let path = path.map_or("/", |path| path.as_str());
        *request.uri_mut() = arrival::origin_form(format!("{}{path}", endpoint.base_path))?;
    } else if request.uri().authority().is_some() {
        let path = path.cloned().unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
    }
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    let host = match &call.host {
        Some(host) if preserve_host => host.clone(),
        _ => endpoint.authority.clone(),
    };
    headers.insert(HOST, host);
    if let Some((upgrade, _)) = &call.upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade.clone());
    }
    Ok(())
}

/// One attempt: send, wait, clean the answer.
async fn exchange(
    proxy: &Arc<Proxy>,
    endpoint: &Arc<Endpoint>,
    in_flight: InFlight,
    timeout: Timeouts,
    mut request: Request<Body>,
    call: &mut Call,
) -> Result<Answer, Failure> {
    proxy.via.add(request.headers_mut());
    let sending = send(endpoint, request, timeout.connect);
    let sent = match timeout.request {
        None => sending.await,
        Some(limit) => match tokio::time::timeout(limit, sending).await {
            Ok(sent) => sent,
            Err(_elapsed) => {
                return Err(Failure::TimeoutRequest { endpoint: endpoint.to_string(), limit });
            }
        },
    };
    let (response, lease): Sent = sent.map_err(|error| failure(endpoint, error))?;
    let (mut head, body) = response.into_parts();
    head.version = Version::HTTP_11;
    let upgraded = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let agreed = head.headers.get(UPGRADE).filter(|_| upgraded).cloned();
    hygiene::clean_response(&mut head.headers);
    proxy.via.add(&mut head.headers);
    let mut response = http::Response::from_parts(head, Body::Empty);
    let mut holds = Holds { lease: Some(lease), in_flight: Some(in_flight) };
    if upgraded {
        let mut upstream = http::Response::new(body);
        std::mem::swap(upstream.extensions_mut(), response.extensions_mut());
        let upstream = hyper::upgrade::on(upstream);
        let Some((wanted, client)) = call.upgrade.take() else {
            return Err(Failure::Protocol {
                endpoint: endpoint.to_string(),
                what: "it switched protocols although nobody asked".to_owned(),
            });
        };
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, agreed.unwrap_or(wanted));
        // The connection belongs to the tunnel now.
        holds.lease = None;
        tunnel::join_upgraded(client, upstream, call.peer.clone());
    } else {
        *response.body_mut() = body.into();
    }
    let endpoint = Some(endpoint.clone());
    Ok(Answer { response, holds, source: Source::Real, reason: None, endpoint })
}

fn failure(endpoint: &Endpoint, error: SendError) -> Failure {
    let endpoint = endpoint.to_string();
    match error {
        SendError::Connect(error) => Failure::Connect { endpoint, error },
        SendError::Reset(error) => match too_large(&error) {
            Some(limit) => limit,
            None => Failure::Reset { endpoint, error },
        },
        SendError::Protocol(error) => {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            Failure::Protocol { endpoint, what: cause }
        }
    }
}

/// A body that turned out larger than `limits.body` while it was being sent.
fn too_large(error: &hyper::Error) -> Option<Failure> {
    error.source()?.is::<http_body_util::LengthLimitError>().then_some(Failure::TooLarge(0))
}
