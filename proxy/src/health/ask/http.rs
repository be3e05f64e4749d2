//! The questions behind a connection: a GET, over either version of HTTP, and gRPC's health check.

use super::{Trouble, grpc};
use ::http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, TE, USER_AGENT};
use ::http::response::Parts;
use ::http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use stitch_net::BoxError;
use tokio::io::{AsyncRead, AsyncWrite};

/// More of an answer than this is nobody's business.
const BODY_LIMIT: usize = 64 * 1024;
/// Who asks, for those who count their requests.
const AGENT: HeaderValue = HeaderValue::from_static("stitch-health");

/// The connection only moves while it is polled; whichever ends first, the answer decides. (A function
/// would hide from the compiler that this may move between threads.)
macro_rules! driven {
    ($connection:ident, $answer:ident) => {{
        tokio::pin!($connection, $answer);
        tokio::select! {
            biased;
            answer = &mut $answer => answer,
            _ = &mut $connection => $answer.await,
        }
    }};
}

/// What is spoken over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection, on which one request can be sent.
pub struct Line {
    /// What is spoken over, TLS included.
    pub stream: Box<dyn Stream>,
    /// Whether that is HTTP/2.
    pub http2: bool,
    /// Whether it is inside TLS.
    pub secure: bool,
    /// `host[:port]`, for the Host header.
    pub authority: String,
}

/// Gets a page and throws it away; its status is the answer.
///
/// # Errors
/// When the other side does not answer HTTP.
pub async fn get(line: Line, path: &str) -> Result<StatusCode, Trouble> {
    let request = request(&line, Method::GET, path, &[], Bytes::new())?;
    let answer = send(line, request).await?;
    Ok(answer.head.status)
}

/// Asks whether a gRPC service, or the whole server, is serving; `prefix` is the path of the url.
///
/// # Errors
/// When it is not.
pub async fn serving(line: Line, prefix: &str, service: &str) -> Result<(), Trouble> {
    if !line.http2 {
        return Err(Trouble::told("it has agreed on HTTP/1.1, and gRPC needs HTTP/2"));
    }
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/grpc")),
        (TE, HeaderValue::from_static("trailers")),
    ];
    let (path, body) = (format!("{prefix}{}", grpc::PATH), grpc::request(service).into());
    let request = request(&line, Method::POST, &path, &headers, body)?;
    let Answer { head, body } = send(line, request).await?;
    match head.status {
        StatusCode::OK => {}
        status if status.is_server_error() => {
            return Err(Trouble::not_yet(format!("its health answers {status}")));
        }
        status => return Err(Trouble::told(format!("it answers a health check with {status}"))),
    }
    let body = body.map_err(|error| Trouble::not_yet(error.to_string()))?;
    // Where nothing is said, what would be trailers are headers.
    let trailers: HeaderMap = body.trailers().cloned().unwrap_or(head.headers);
    grpc::verdict(service, &trailers, &body.to_bytes())
}

fn request(
    line: &Line,
    method: Method,
    path: &str,
    more: &[(HeaderName, HeaderValue)],
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Trouble> {
    let scheme = if line.secure { "https" } else { "http" };
    let request = match line.http2 {
        true => Request::builder().uri(format!("{scheme}://{}{path}", line.authority)),
        false => {
            Request::builder().uri(path).header(HOST, &line.authority).header(CONNECTION, "close")
        }
    };
    let request = request.method(method).header(USER_AGENT, AGENT);
    let request = more.iter().fold(request, |request, (name, value)| request.header(name, value));
    let request = request.body(Full::new(body));
    request.map_err(|error| Trouble::told(format!("cannot ask for {path}: {error}")))
}

/// What came back.
struct Answer {
    head: Parts,
    /// An error when it broke off, or was too long.
    body: Result<Collected<Bytes>, BoxError>,
}

/// Sends the request and reads its answer: a server whose answer is not read to its end may take that
/// for an error.
async fn send(line: Line, request: Request<Full<Bytes>>) -> Result<Answer, Trouble> {
    let io = TokioIo::new(line.stream);
    if line.http2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        let answer = async { read(sender.send_request(request).await?).await };
        driven!(connection, answer)
    } else {
        let (mut sender, connection) = http1::handshake(io).await?;
        let answer = async { read(sender.send_request(request).await?).await };
        driven!(connection, answer)
    }
}

async fn read(answer: Response<Incoming>) -> Result<Answer, Trouble> {
    let (head, body) = answer.into_parts();
    Ok(Answer { head, body: Limited::new(body, BODY_LIMIT).collect().await })
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Line({})", self.authority)
    }
}
