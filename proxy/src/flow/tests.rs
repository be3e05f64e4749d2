//! Requests through the whole flow to servers on sockets of their own.

use crate::proxy::Proxy;
use crate::testing::{ask, proxy};
use bytes::Bytes;
use h2::server::Builder;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stitch_config::model::UpstreamAddress;
use stitch_net::Body;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::LocalSet;
use tokio::time::Instant;

/// Answers 200 to each request with the body that it brought.
async fn echo(mut stream: TcpStream) {
    let mut input = Vec::new();
    loop {
        let end = input.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            if stream.read_buf(&mut input).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        let head = String::from_utf8_lossy(&input[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        let mut body = input.split_off(end + 4);
        while body.len() < length {
            stream.read_buf(&mut body).await.unwrap();
        }
        input = body.split_off(length);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    }
}

/// A proxy whose service `users` is a name of two machines, of which the first one is down; the
/// service has these policies.
async fn half_down(policies: &str) -> Arc<Proxy> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    let url = format!("services: {{ users: {{ url: 'http://users.test:{port}', {policies} }} }}");
    let proxy = proxy(&url);
    let both = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])];
    proxy.snapshot().services[0].endpoints.resolved("users.test", &both, Instant::now());
    proxy
}

async fn text(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn an_address_of_a_name_that_is_down_is_no_error_while_another_one_answers() {
    for policies in ["", "breaker: { consecutive: 1 }", "retry: 1, balance: round_robin"] {
        let proxy = half_down(policies).await;
        for body in ["", "an order"] {
            for _ in 0..10 {
                let request = Request::post("/").body(Body::from(body)).unwrap();
                let answer = text(ask(&proxy, "users", request).await).await;
                assert_eq!(answer, (200, body.to_owned()), "{policies}");
            }
        }
        let set = proxy.snapshot().services[0].endpoints.clone();
        let view = set.view(Instant::now());
        assert!(view.iter().all(|one| one.in_flight == Some(0)), "{view:?}");
    }
}

/// Asks a service of two machines, one of which never answers who connects, four times in turn.
async fn half_stuck(policies: &str) {
    let proxy = half_down(policies).await;
    let set = proxy.snapshot().services[0].endpoints.clone();
    let UpstreamAddress::Host { port, .. } = set.all()[0].address.clone() else { unreachable!() };
    // One more than it has room for: who comes now gets no answer from the system.
    let stuck = TcpSocket::new_v4().unwrap();
    stuck.bind(SocketAddr::from(([127, 0, 0, 2], port))).unwrap();
    let stuck = stuck.listen(1).unwrap();
    let address = stuck.local_addr().unwrap();
    let _full = [TcpStream::connect(address).await, TcpStream::connect(address).await];
    for _ in 0..4 {
        let request = Request::post("/").body(Body::from("an order")).unwrap();
        let answer = text(ask(&proxy, "users", request).await).await;
        assert_eq!(answer, (200, "an order".to_owned()));
    }
}

#[tokio::test]
async fn an_address_that_never_answers_is_no_error_while_another_one_does() {
    half_stuck("timeout: { connect: 200ms }, balance: round_robin").await;
}

#[tokio::test]
async fn another_address_has_its_first_byte_in_time_although_the_first_one_took_longer() {
    for policies in ["", "breaker: true, "] {
        let timeout = "timeout: { connect: 800ms, first_byte: 600ms }, balance: round_robin";
        half_stuck(&format!("{policies}{timeout}")).await;
    }
}

#[tokio::test]
async fn an_address_that_is_down_is_ejected_although_its_requests_are_answered_elsewhere() {
    let proxy = half_down("eject: { consecutive: 2 }, balance: round_robin").await;
    for _ in 0..4 {
        let request = Request::post("/").body(Body::from("an order")).unwrap();
        assert_eq!(text(ask(&proxy, "users", request).await).await.0, 200);
    }
    let set = proxy.snapshot().services[0].endpoints.clone();
    let out: Vec<_> = set.view(Instant::now()).into_iter().map(|one| one.ejected_until).collect();
    assert!(out[0].is_none() && out[1].is_some(), "{out:?}");
}

#[tokio::test]
async fn few_requests_that_fail_may_each_be_tried_as_often_as_is_written() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut head).await.unwrap();
                }
                let busy = b"HTTP/1.1 503 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(busy).await.unwrap();
            });
        }
    });
    let file = "services: { users: { url: 'http://127.0.0.1:PORT', retry: { retries: 3, backoff: 50ms..100ms } } }";
    let proxy = proxy(&file.replace("PORT", &port.to_string()));
    let ask = || ask(&proxy, "users", Request::new(Body::Empty));
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    for answer in [one, two, three] {
        assert_eq!(answer.status(), 503);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 12, "three at a time need no share of a budget");
}

#[tokio::test]
async fn a_call_leaves_the_queue_of_a_bulkhead_at_its_deadline() {
    let file = "services: { echo: { url: 'h2c://127.0.0.1:1', concurrency: { max: 1, queue: 1, wait: 60s } } }";
    let proxy = proxy(file);
    let snapshot = proxy.snapshot();
    let governing = snapshot.services[0].plan.governing.as_ref().unwrap();
    let _taken = governing.bulkhead.as_ref().unwrap().try_enter().unwrap();
    let request = Request::post("/a.B/C")
        .header(CONTENT_TYPE, "application/grpc")
        .header("grpc-timeout", "50m")
        .body(Body::Empty)
        .unwrap();
    let began = Instant::now();
    let answer = ask(&proxy, "echo", request).await;
    assert_eq!(answer.headers()["grpc-status"], "4");
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}

/// Answers gRPC calls with the message that they brought, the first one with UNAVAILABLE.
async fn grpc(listener: TcpListener) {
    let calls = Arc::new(AtomicUsize::new(0));
    while let Ok((socket, _)) = listener.accept().await {
        let calls = calls.clone();
        tokio::task::spawn_local(async move {
            let mut connection = Builder::new().handshake::<_, Bytes>(socket).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
                tokio::task::spawn_local(async move {
                    let mut body = request.into_body();
                    let mut message = Vec::new();
                    while let Some(Ok(data)) = body.data().await {
                        message.extend_from_slice(&data);
                    }
                    let mut answer = Response::new(());
                    let grpc = HeaderValue::from_static("application/grpc");
                    answer.headers_mut().insert(CONTENT_TYPE, grpc);
                    if first {
                        answer.headers_mut().insert("grpc-status", HeaderValue::from_static("14"));
                        respond.send_response(answer, true).unwrap();
                        return;
                    }
                    let mut send = respond.send_response(answer, false).unwrap();
                    send.send_data(message.into(), false).unwrap();
                    let ok = ("grpc-status".parse().unwrap(), HeaderValue::from_static("0"));
                    send.send_trailers(HeaderMap::from_iter([ok])).unwrap();
                });
            }
        });
    }
}

#[tokio::test]
async fn a_call_of_grpc_web_in_base64_is_decoded_at_each_attempt() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::task::spawn_local(grpc(listener));
            let file = "services: { echo: { url: 'h2c://127.0.0.1:PORT', retry: 2 } }";
            let proxy = proxy(&file.replace("PORT", &port.to_string()));
            // A message of two bytes.
            let request = Request::post("/a.B/C")
                .header(CONTENT_TYPE, "application/grpc-web-text")
                .body(Body::from("AAAAAAJoaQ=="))
                .unwrap();
            let (status, body) = text(ask(&proxy, "echo", request).await).await;
            assert_eq!(status, 200);
            assert!(body.starts_with("AAAAAAJoaQ=="), "{body}");
        })
        .await;
}
