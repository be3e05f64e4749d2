//! The ceiling: a bare hyper server on one thread that answers every request with `hello`, once it
//! has read its body.
//!
//! `hello ADDRESS` binds, prints `ready ADDRESS` and serves until it is ended. What the product
//! costs above this is what its own work costs.

use bench_hello::{accept, address};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;

async fn hello(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body that breaks off ends the connection, which needs no answer.
    while let Some(Ok(_)) = request.frame().await {}
    let mut response = Response::new(Full::new(Bytes::from_static(b"hello")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    accept(&address(), |stream| async {
        let served = http1::Builder::new()
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(stream), service_fn(hello));
        // A client that breaks off is the load generator's business.
        let _ = served.await;
    })
    .await
}
