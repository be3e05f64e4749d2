//! The questions behind a connection: a GET, over either version of HTTP, and gRPC's health check.

use super::grpc;
use super::target::{Open, Stream, Target, Trouble};
use crate::http_get;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

/// More of an answer than this is nobody's business.
const BODY_LIMIT: usize = 64 * 1024;

/// Answers a GET with anything but a server's error: a missing health page is an answer.
pub(super) async fn get(target: &Target, path: &str) -> Result<(), Trouble> {
    let Open { stream, http2 } = target.open().await?;
    let status = if http2 {
        let request = request(target, Method::GET, path, Bytes::new())?;
        over_http2(stream, request, async |response| Ok(response.status())).await?
    } else {
        http_get::over(stream, target.authority(), path).await?.status
    };
    match status < StatusCode::INTERNAL_SERVER_ERROR {
        true => Ok(()),
        false => Err(Trouble::not_yet(format!("{path} answers {status}"))),
    }
}

/// Says that a gRPC service, or the whole server, is serving.
pub(super) async fn check(target: &Target, prefix: &str, service: &str) -> Result<(), Trouble> {
    let Open { stream, http2 } = target.open().await?;
    if !http2 {
        return Err(Trouble::told("it has agreed on HTTP/1.1, and gRPC needs HTTP/2"));
    }
    let body = grpc::request(service).into();
    let mut request = request(target, Method::POST, &format!("{prefix}{}", grpc::PATH), body)?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    over_http2(stream, request, async |response| {
        let (head, body) = response.into_parts();
        match head.status {
            StatusCode::OK => {}
            status if status.is_server_error() => {
                return Err(Trouble::not_yet(format!("its health answers {status}")));
            }
            status => {
                return Err(Trouble::told(format!("it answers a health check with {status}")));
            }
        }
        let body = Limited::new(body, BODY_LIMIT).collect().await;
        let body = body.map_err(|error| Trouble::not_yet(error.to_string()))?;
        // Where nothing is said, what would be trailers are headers.
        let trailers = body.trailers().cloned();
        let trailers: HeaderMap = trailers.unwrap_or(head.headers);
        grpc::verdict(service, &trailers, &body.to_bytes())
    })
    .await
}

fn request(
    target: &Target,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Trouble> {
    Request::builder()
        .method(method)
        .uri(format!("{}://{}{path}", target.http_scheme(), target.authority()))
        .body(Full::new(body))
        .map_err(|error| Trouble::told(format!("cannot ask for {path}: {error}")))
}

/// Sends one request and reads what is wanted of its answer.
async fn over_http2<T>(
    stream: Box<dyn Stream>,
    request: Request<Full<Bytes>>,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let failed = |error: hyper::Error| Trouble::not_yet(error.to_string());
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), io).await.map_err(failed)?;
    let answer = async { read(sender.send_request(request).await.map_err(failed)?).await };
    // The connection only moves while it is polled; whichever ends first, the answer decides.
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    }
}
