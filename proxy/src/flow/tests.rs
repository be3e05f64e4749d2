//! Requests through the whole flow to servers on sockets of their own.

use crate::proxy::Proxy;
use crate::testing::{ask, proxy};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use std::net::IpAddr;
use std::sync::Arc;
use stitch_net::Body;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
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
