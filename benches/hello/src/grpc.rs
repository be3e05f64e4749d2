//! A gRPC-like service on one thread: HTTP/2 without TLS, and every call is answered with one
//! message and `grpc-status: 0`.
//!
//! `grpc ADDRESS` binds, prints `ready ADDRESS` and serves until it is ended. It knows no protobuf:
//! what a proxy has to carry is the framing and the trailers.

use bench_hello::{accept, address};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Not compressed, five bytes long.
const MESSAGE: &[u8] = b"\0\0\0\0\x05hello";

/// The message, then the trailers. It does not tell its length, as gRPC servers do not.
enum Reply {
    Message,
    Trailers,
    Over,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (frame, next) = match *self {
            Self::Message => (Frame::data(Bytes::from_static(MESSAGE)), Self::Trailers),
            Self::Trailers => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                (Frame::trailers(trailers), Self::Over)
            }
            Self::Over => return Poll::Ready(None),
        };
        *self = next;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Over)
    }
}

async fn call(mut request: Request<Incoming>) -> Result<Response<Reply>, Infallible> {
    // A body that breaks off ends the stream, which needs no answer.
    while let Some(Ok(_)) = request.frame().await {}
    let mut response = Response::new(Reply::Message);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    accept(&address(), |stream| async {
        let served = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(1024)
            .serve_connection(TokioIo::new(stream), service_fn(call));
        // A client that breaks off is the load generator's business.
        let _ = served.await;
    })
    .await
}
