//! The request leaves for a real service, and its answer comes back.

use super::{Answer, Answered, Call, arrival};
use crate::hygiene::{self, Forwarded, REQUEST_ID};
use crate::proxy::Proxy;
use crate::rescue::Failure;
use crate::route::Authority;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::stats::Source;
use crate::tunnel;
use crate::upstream::{Endpoint, SendError, Sent, pick, send};
use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::uri::Scheme;
use http::{Response, StatusCode, Uri, Version};
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
    address(call, endpoint, service.declared.preserve_host)?;
    let headers = call.request.headers_mut();
    if let Some(peer) = &call.peer {
        let host = call.host.as_ref();
        hygiene::add_forwarded(headers, &Forwarded { peer: peer.remote.ip(), host });
    }
    headers.insert(REQUEST_ID, call.request_id.clone());
    let mut answer = exchange(proxy, endpoint, timeout, call).await?;
    answer.response.headers_mut().insert(SOURCE, HeaderValue::from_static("real"));
    Ok(answer)
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
    address(call, &endpoint, false)?;
    exchange(proxy, &endpoint, Timeouts::default(), call).await
}

/// Turns the request towards an endpoint: target, version, Host, upgrade.
fn address(
    call: &mut Call,
    endpoint: &Arc<Endpoint>,
    preserve_host: bool,
) -> Result<(), Box<Failure>> {
    call.record.endpoint = Some(endpoint.clone());
    let request = &mut call.request;
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
    timeout: Timeouts,
    call: &mut Call,
) -> Answered {
    proxy.via.add(call.request.headers_mut());
    let sending = send(endpoint, &mut call.request, timeout.connect);
    let sent = match timeout.request {
        None => sending.await,
        Some(limit) => match tokio::time::timeout(limit, sending).await {
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
        let response = switch_protocols(endpoint, response, call)?;
        return Ok(Answer { response, source: Source::Real, reason: None });
    }
    hygiene::clean_response(response.headers_mut());
    proxy.via.add(response.headers_mut());
    let response = response.map(Body::from);
    Ok(Answer { response, source: Source::Real, reason: None })
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
