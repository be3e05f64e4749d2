//! Requests to real servers of HTTP/2 on a socket of their own.

use super::*;
use crate::upstream::RequestHead;
use ::h2::Reason;
use ::h2::server::{Builder, SendResponse};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stitch_config::model::{Scheme, Upstream};
use stitch_net::BoxError;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::LocalSet;

const LIMITS: Limits = Limits::connecting(Duration::from_secs(5));

/// A head for these tests.
struct Head(Method);

impl RequestHead for Head {
    fn method(&self) -> &Method {
        &self.0
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{} / HTTP/1.1\r\nhost: a\r\n", self.0).as_bytes());
    }

    fn h2(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
        Request::builder().method(&self.0).uri(format!("http://{endpoint}/")).body(())
    }
}

/// What a server does with the n-th stream of the m-th connection.
type Answer = fn(usize, Asked);

/// One request and the way to answer it.
struct Asked {
    stream: usize,
    request: Request<::h2::RecvStream>,
    respond: SendResponse<Bytes>,
    gate: Arc<Notify>,
}

impl Asked {
    fn ok(mut self, text: &'static str) {
        let mut body = self.respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(text.as_bytes()), true).unwrap();
    }
}

struct Server {
    endpoint: Endpoint,
    connections: Arc<AtomicUsize>,
    /// Opens for those answers that wait for it.
    gate: Arc<Notify>,
}

async fn serve(most_streams: u32, answer: Answer) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstream = Upstream { scheme: Scheme::H2c, ..Upstream::http("127.0.0.1", port) };
    let connections = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Notify::new());
    let (count, opens) = (connections.clone(), gate.clone());
    tokio::task::spawn_local(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            let gate = opens.clone();
            tokio::task::spawn_local(async move {
                let mut builder = Builder::new();
                builder.max_concurrent_streams(most_streams);
                let mut connection = builder.handshake(socket).await.unwrap();
                let mut stream = 0;
                while let Some(Ok((request, respond))) = connection.accept().await {
                    stream += 1;
                    answer(number, Asked { stream, request, respond, gate: gate.clone() });
                    if number == 1 && stream == 3 {
                        connection.graceful_shutdown();
                    }
                }
            });
        }
    });
    Server { endpoint: Endpoint::declared(&upstream, None), connections, gate }
}

/// A body of what is sent into it.
fn fed() -> (Body, mpsc::Sender<Result<Frame<Bytes>, BoxError>>) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    (Body::boxed(StreamBody::new(frames)), sender)
}

impl Server {
    async fn ask(&self, method: Method, mut body: Body) -> Result<String, SendError> {
        match send(&self.endpoint, &mut body, &Head(method), &LIMITS).await? {
            Received::Response(response) => {
                let body = response.into_body().collect().await;
                let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                Ok(body
                    .map_or_else(|error| format!("broken: {error}"), |body| text(body.to_bytes())))
            }
            Received::Switched(..) => panic!("nobody asked for that"),
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_burst_shares_one_connection_as_far_as_the_endpoint_allows() {
    LocalSet::new()
        .run_until(async {
            for (most, connections) in [(100, 1), (10, 3)] {
                let server = serve(most, |_, asked| {
                    tokio::task::spawn_local(async move {
                        asked.gate.clone().notified().await;
                        asked.ok("late");
                    });
                })
                .await;
                // The first one learns the limit, which a server tells when it is connected to.
                let first = async {
                    let ask = server.ask(Method::GET, Body::Empty);
                    let open = async {
                        tokio::task::yield_now().await;
                        while server.connections() == 0 {
                            tokio::task::yield_now().await;
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        server.gate.notify_waiters();
                    };
                    tokio::join!(ask, open).0.unwrap()
                };
                assert_eq!(first.await, "late");
                let burst = (0..25).map(|_| server.ask(Method::GET, Body::Empty));
                let burst = futures_util::future::join_all(burst);
                let open = async {
                    while server.connections() < connections {
                        tokio::task::yield_now().await;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    server.gate.notify_waiters();
                };
                let (answers, ()) = tokio::join!(burst, open);
                assert!(answers.into_iter().all(|answer| answer.unwrap() == "late"));
                assert_eq!(server.connections(), connections, "with {most} streams each");
            }
        })
        .await;
}

#[tokio::test]
async fn what_was_refused_is_sent_again_body_and_all() {
    LocalSet::new()
        .run_until(async {
            let server = serve(100, |_, mut asked| {
                if asked.stream == 1 {
                    return asked.respond.send_reset(Reason::REFUSED_STREAM);
                }
                tokio::task::spawn_local(async move {
                    let mut body = Vec::new();
                    while let Some(data) = asked.request.body_mut().data().await {
                        body.extend_from_slice(&data.unwrap());
                    }
                    assert_eq!(body, b"once");
                    asked.ok("done");
                });
            })
            .await;
            // A body that has not been read when the refusal comes.
            let (body, sender) = fed();
            let ask = server.ask(Method::POST, body);
            let feed = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                sender.send(Ok(Frame::data(Bytes::from_static(b"once")))).await.unwrap();
                drop(sender);
            };
            let (answer, ()) = tokio::join!(ask, feed);
            assert_eq!(answer.unwrap(), "done");
        })
        .await;
}

#[tokio::test]
async fn a_connection_that_says_goodbye_is_left() {
    LocalSet::new()
        .run_until(async {
            let server = serve(100, |_, asked| asked.ok("fine")).await;
            for _ in 0..6 {
                assert_eq!(server.ask(Method::GET, Body::Empty).await.unwrap(), "fine");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(server.connections(), 2, "the first one says goodbye after three streams");
        })
        .await;
}

#[tokio::test]
async fn a_request_that_breaks_off_never_looks_whole() {
    LocalSet::new()
        .run_until(async {
            let server = serve(100, |_, mut asked| {
                tokio::task::spawn_local(async move {
                    let body = asked.request.body_mut();
                    assert_eq!(body.data().await.unwrap().unwrap(), "half");
                    asked.gate.notify_one();
                    assert!(body.data().await.unwrap().is_err());
                    asked.gate.notify_one();
                });
            })
            .await;
            let (body, sender) = fed();
            let ask = server.ask(Method::POST, body);
            let feed = async {
                sender.send(Ok(Frame::data(Bytes::from_static(b"half")))).await.unwrap();
                server.gate.notified().await;
                sender.send(Err("gone".into())).await.unwrap();
            };
            let (answer, ()) = tokio::join!(ask, feed);
            let error = answer.unwrap_err();
            assert!(matches!(error, SendError::Exchange(ExchangeError::Body(_))), "{error:?}");
            server.gate.notified().await;
        })
        .await;
}

#[tokio::test]
async fn a_refusal_to_connect_reaches_everybody_who_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let upstream = Upstream { scheme: Scheme::H2c, ..Upstream::http("127.0.0.1", port) };
    let endpoint = Endpoint::declared(&upstream, None);
    let head = Head(Method::GET);
    let burst = (0..10).map(|_| async { send(&endpoint, &mut Body::Empty, &head, &LIMITS).await });
    for sent in futures_util::future::join_all(burst).await {
        assert!(matches!(sent, Err(SendError::Connect(ConnectError::Refused(..), Some(_)))));
    }
}

#[test]
fn the_sooner_of_two_times_bounds_the_wait_for_a_head() {
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    let of = |first_byte, until: Option<Duration>| {
        let until = until.map(|until| Instant::now() + until);
        Limits { first_byte, until, ..LIMITS }.of_head(None).map(|(_, late)| late)
    };
    assert!(of(None, None).is_none());
    assert!(matches!(of(None, Some(hour)), Some(ExchangeError::Late)));
    assert!(
        matches!(of(Some(minute), None), Some(ExchangeError::FirstByte(limit)) if limit == minute)
    );
    assert!(matches!(of(Some(minute), Some(hour)), Some(ExchangeError::FirstByte(_))));
    assert!(matches!(of(Some(hour), Some(minute)), Some(ExchangeError::Late)));
    // What can never be over bounds nothing.
    assert!(of(Some(Duration::MAX), None).is_none());
}
