//! The request leaves for a real service, and its answer comes back.

use super::{Answer, Answered, Call};
use crate::hygiene::{self, Marks, Outbound};
use crate::proxy::Proxy;
use crate::rescue::Failure;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::stats::Source;
use crate::tunnel;
use crate::upstream::{
    Endpoint, ExchangeError, Received, RequestHead, SendError, pick, send, write_request_line,
};
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::uri::Scheme;
use http::{HeaderMap, Method, Response, Uri};
use std::sync::Arc;
use stitch_config::model::Timeouts;
use stitch_config::pattern::Authority;
use stitch_net::Body;
use stitch_net::reason::SOURCE;
use tokio::net::TcpStream;

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
        Received::Switched(response, upstream, early) => {
            switch_protocols(endpoint, response, (upstream, early), call)
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
    let marks = endpoint.guard.is_none().then(|| Marks {
        peer: call.peer.as_ref().map(|peer| peer.remote.ip()),
        host: call.host.as_ref(),
        request_id: &call.request_id,
    });
    let upgrade = call.upgrade.as_ref().map(|upgrade| &upgrade.0);
    Outbound { host, via: &proxy.via, upgrade, marks }
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

    fn write(&self, out: &mut Vec<u8>) {
        write_request_line(out, self.method, self.base_path, self.target);
        self.outbound.write(self.headers, out);
    }
}

/// Joins both sides of an upgrade once the 101 has been passed on.
fn switch_protocols(
    endpoint: &Endpoint,
    mut response: Response<()>,
    upstream: (TcpStream, Bytes),
    call: &mut Call,
) -> Result<Response<Body>, Box<Failure>> {
    let Some(upgrade) = call.upgrade.take() else {
        return Err(Box::new(Failure::Protocol {
            endpoint: endpoint.to_string(),
            what: "it switched protocols although nobody asked".to_owned(),
        }));
    };
    let (wanted, client) = *upgrade;
    tunnel::join_upgraded(client, upstream, call.peer.clone());
    let headers = response.headers_mut();
    let agreed = headers.get(UPGRADE).cloned();
    hygiene::clean_response(headers);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, agreed.unwrap_or(wanted));
    Ok(response.map(|()| Body::Empty))
}

fn failure(endpoint: &Endpoint, error: SendError) -> Box<Failure> {
    let endpoint = endpoint.to_string();
    Box::new(match error {
        SendError::Connect(error) => Failure::Connect { endpoint, error },
        SendError::Exchange(ExchangeError::Broken(error)) => Failure::Reset { endpoint, error },
        SendError::Exchange(ExchangeError::Protocol(what)) => Failure::Protocol { endpoint, what },
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
