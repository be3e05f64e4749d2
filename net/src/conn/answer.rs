//! One request and its answer, whatever version of HTTP carried it: what we refuse ourselves, and
//! what the connection learns from the answer's end.

use super::body::{Answering, Awaited, Departing, Uploading};
use super::handle::Handle;
use super::streams::{self, Arriving, Next};
use super::{coding, host, normalise};
use crate::body::Body;
use crate::peer::Peer;
use crate::problem::Problem;
use crate::reason::Reason;
use crate::serve::Serve;
use bytes::Bytes;
use futures_util::future::{self, FutureExt as _};
use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::{Method, Request, Response, Version};
use http_body::Body as _;
use http_body_util::Either;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A handler's answer, or our own refusal, on its way out.
type Departure<S> = Response<Departing<Either<<S as Serve>::Body, Body>>>;

/// Answers a request that came over HTTP/1.
///
/// Neither an `async fn` nor a block: those keep what they are made from beside what they await, and
/// hyper moves what it is given about.
pub(super) fn answer_h1<S: Serve>(
    request: Request<Incoming>,
    serve: &Arc<S>,
    peer: &Arc<Peer>,
) -> impl Future<Output = Result<Departure<S>, Infallible>> + use<S> {
    let answering = Answering::alone(peer.connection.clone());
    let ends_by_close = request.version() < Version::HTTP_11;
    let connects = *request.method() == Method::CONNECT;
    let expects = !request.body().is_end_stream() && request.headers().contains_key(EXPECT);
    let answered = expects.then(Arc::<AtomicBool>::default);
    let answer = match host::refuse(&request).or_else(|| coding::refuse(&request)) {
        Some(why) => {
            let mut response = refusal(why, &request);
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            Answer::Refused(Box::new(response))
        }
        None => {
            let body = |body| uploading(body, &peer.connection, answered.as_ref());
            Answer::Coming(serve.serve(request.map(body), peer.clone()))
        }
    };
    depart(answer, move |mut response| {
        if let Some(answered) = answered {
            answered.store(true, Ordering::Relaxed);
        }
        // What was sent behind a CONNECT that is refused was not meant for us.
        if connects && !response.status().is_success() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| Departing { body, rest: Bytes::new(), answering, ends_by_close })
    })
}

/// Answers a request that came over HTTP/2.
pub(super) fn answer_h2<S: Serve>(
    mut request: Request<Incoming>,
    serve: &Arc<S>,
    peer: &Arc<Peer>,
) -> impl Future<Output = Result<Departure<S>, Infallible>> + use<S> {
    let answering = Answering::among_others(peer.connection.clone());
    let tunnel = (*request.method() == Method::CONNECT).then(|| peer.connection.within());
    let peer = match &tunnel {
        // What goes on in it ends by itself, and is no reason to end the connection.
        Some(tunnel) => Arc::new(Peer { connection: tunnel.clone(), ..(**peer).clone() }),
        None => peer.clone(),
    };
    let refused = normalise::as_h1(&mut request).err().or_else(|| host::refuse(&request));
    // A tunnel looks after itself, and so does who has nothing to upload.
    let uploads = tunnel.is_none() && !request.body().is_end_stream();
    let uploaded = uploads.then(Arc::<AtomicBool>::default);
    let answer = match refused {
        Some(why) => Answer::Refused(Box::new(refusal(why, &request))),
        None => {
            Answer::Coming(serve.serve(request.map(|body| arriving(body, uploaded.clone())), peer))
        }
    };
    streams::announce(Next::Stream(uploaded));
    depart(answer, move |response| {
        if let Some(tunnel) = tunnel.filter(|_| response.status().is_success()) {
            streams::announce(Next::Tunnel(tunnel));
        }
        let (rest, ends_by_close) = (Bytes::new(), false);
        response.map(|body| Departing { body, rest, answering, ends_by_close })
    })
}

/// A handler's answer, or ours.
enum Answer<F> {
    Coming(F),
    Refused(Box<Response<Body>>),
}

/// Waits for an answer and makes of it what hyper sends.
fn depart<B, D>(
    answer: Answer<impl Future<Output = Response<B>>>,
    pack: impl FnOnce(Response<Either<B, Body>>) -> D,
) -> impl Future<Output = Result<D, Infallible>> {
    match answer {
        Answer::Coming(coming) => {
            future::Either::Left(coming.map(|response| Ok(pack(response.map(Either::Left)))))
        }
        Answer::Refused(refusal) => {
            future::Either::Right(future::ready(Ok(pack(refusal.map(Either::Right)))))
        }
    }
}

fn uploading(body: Incoming, handle: &Handle, answered: Option<&Arc<AtomicBool>>) -> Body {
    if body.is_end_stream() {
        return Body::Empty;
    }
    let body = Uploading::new(body, handle.clone());
    match answered {
        Some(answered) => Body::boxed(Awaited { body, asked: false, answered: answered.clone() }),
        None => Body::Uploading(body),
    }
}

fn arriving(body: Incoming, uploaded: Option<Arc<AtomicBool>>) -> Body {
    match uploaded {
        Some(uploaded) => Body::boxed(Arriving { body, uploaded }),
        None => body.into(),
    }
}

fn refusal(why: &'static str, request: &Request<Incoming>) -> Response<Body> {
    Problem::new(Reason::BadRequest, why).respond(request.headers())
}
