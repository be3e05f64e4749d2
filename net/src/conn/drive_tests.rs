//! One connection against a real client socket.

use super::{ConnIo, Ending, Timers, Watch};
use crate::listen::{Handler, HttpPort};
use crate::{Body, Peer, Serve};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers with the path; `/end` ends the connection as told instead, `/early` is answered before its
/// body is read, and `/begun` before it is whole.
struct Echo(Option<Ending>);

impl Serve for Echo {
    type Body = Body;

    fn serve(
        &self,
        request: Request<Body>,
        peer: Arc<Peer>,
    ) -> impl Future<Output = Response<Body>> + use<> {
        let ending = self.0.clone();
        async move {
            if let (Some(ending), "/end") = (ending, request.uri().path()) {
                peer.connection.end(ending);
                std::future::pending::<()>().await;
            }
            let (head, mut body) = request.into_parts();
            if head.uri.path() == "/begun" {
                body.frame().await.unwrap().unwrap();
            }
            if ["/early", "/begun"].contains(&head.uri.path()) {
                tokio::spawn(body.collect());
            }
            Response::new(Body::from(head.uri.path().to_owned()))
        }
    }
}

struct Connected {
    client: TcpStream,
    watch: Watch,
    serving: tokio::task::JoinHandle<()>,
}

async fn connect(ending: Option<Ending>, header: Duration, idle: Duration) -> Connected {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = listener.local_addr().unwrap();
    let client = TcpStream::connect(local).await.unwrap();
    let (stream, remote) = listener.accept().await.unwrap();
    let watch = Watch::new(Timers { header, idle, stream: LONG });
    tokio::spawn(watch.clone().keep());
    let connection = watch.open(None);
    let io = ConnIo::new(stream, connection.clone());
    let peer = Peer::new(remote, local, connection);
    let port = Arc::new(HttpPort::new(Arc::new(Echo(ending)), 16 * 1024));
    let serving = tokio::spawn(port.handle(io, peer));
    Connected { client, watch, serving }
}

const LONG: Duration = Duration::from_secs(60);

impl Connected {
    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    async fn read_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            text.push(char::from(self.client.read_u8().await.unwrap()));
        }
        text
    }

    async fn read_to_close(&mut self) -> String {
        let mut bytes = Vec::new();
        self.client.read_to_end(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }
}

#[tokio::test]
async fn a_connection_serves_requests_one_after_the_other() {
    let mut connected = connect(None, LONG, LONG).await;
    for path in ["/one", "/two"] {
        connected.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert!(connected.read_until(path).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[tokio::test]
async fn two_hosts_are_refused_and_the_connection_closes() {
    let mut connected = connect(None, LONG, LONG).await;
    connected.send("GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n").await;
    let answer = connected.read_to_close().await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("more than one Host"), "{answer}");
}

#[tokio::test]
async fn garbage_is_answered_400_and_closed() {
    let mut connected = connect(None, LONG, LONG).await;
    connected.send("this is not http\r\n\r\n").await;
    assert!(connected.read_to_close().await.starts_with("HTTP/1.1 400 Bad Request\r\n"));
}

#[tokio::test]
async fn a_slow_header_section_is_answered_408_but_idling_is_not() {
    let mut connected = connect(None, Duration::from_millis(150), LONG).await;
    connected.send("GET /one HTTP/1.1\r\nhost: x\r\n\r\n").await;
    connected.read_until("/one").await;
    // Longer than the header timer; nothing may happen to an idle connection.
    let nothing = tokio::time::timeout(Duration::from_millis(500), connected.client.read_u8());
    assert!(nothing.await.is_err());
    connected.send("GET /two HTT").await;
    let answer = connected.read_to_close().await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("x-stitch-reason: header_timeout"), "{answer}");
}

#[tokio::test]
async fn the_rest_of_a_body_is_not_taken_for_a_slow_header_section() {
    let mut connected = connect(None, Duration::from_millis(150), LONG).await;
    connected.send("POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\n").await;
    connected.read_until("/early").await;
    for half in ["half", "rest"] {
        connected.send(half).await;
        // Longer than the header timer.
        let nothing = tokio::time::timeout(Duration::from_millis(500), connected.client.read_u8());
        assert!(nothing.await.is_err(), "after {half}");
    }
    connected.send("GET /two HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(connected.read_until("/two").await.starts_with("HTTP/1.1 200 OK\r\n"));
    connected.send("GET /three HTT").await;
    assert!(connected.read_to_close().await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn a_client_that_was_answered_is_not_asked_for_its_body() {
    let mut connected = connect(None, LONG, LONG).await;
    let expects = "host: x\r\nexpect: 100-continue\r\ncontent-length: 8\r\n\r\n";
    connected.send(&format!("POST /early HTTP/1.1\r\n{expects}")).await;
    connected.read_until("/early").await;
    connected.send("GET /two HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // Nor is that taken for the body and refused from its ninth byte on: the connection is closed, or
    // reset, since that is not read.
    let mut more = Vec::new();
    let _ = connected.client.read_to_end(&mut more).await;
    assert_eq!(String::from_utf8_lossy(&more), "");
}

#[tokio::test]
async fn a_body_that_was_asked_for_is_read_on_after_the_answer() {
    let mut connected = connect(None, LONG, LONG).await;
    let expects = "host: x\r\nexpect: 100-continue\r\ncontent-length: 8\r\n\r\n";
    connected.send(&format!("POST /begun HTTP/1.1\r\n{expects}")).await;
    assert_eq!(connected.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    connected.send("half").await;
    connected.read_until("/begun").await;
    connected.send("rest").await;
    connected.send("GET /two HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(connected.read_until("/two").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn an_idle_connection_closes_after_its_time() {
    let mut connected = connect(None, LONG, Duration::from_millis(150)).await;
    assert_eq!(connected.read_to_close().await, "");
}

#[tokio::test]
async fn a_closing_watch_ends_idle_connections() {
    let mut connected = connect(None, LONG, LONG).await;
    connected.send("GET /one HTTP/1.1\r\nhost: x\r\n\r\n").await;
    connected.read_until("/one").await;
    connected.watch.close();
    assert_eq!(connected.read_to_close().await, "");
    connected.serving.await.unwrap();
}

#[tokio::test]
async fn a_handle_can_write_raw_bytes_and_close() {
    let raw = Ending::Raw(Bytes::from_static(b"not http"));
    let mut connected = connect(Some(raw), LONG, LONG).await;
    connected.send("GET /end HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(connected.read_to_close().await, "not http");
}

#[tokio::test]
async fn a_handle_can_reset() {
    let mut connected = connect(Some(Ending::Reset), LONG, LONG).await;
    connected.send("GET /end HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let error = connected.client.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_handle_can_close() {
    let mut connected = connect(Some(Ending::Close), LONG, LONG).await;
    connected.send("GET /end HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(connected.read_to_close().await, "");
}

#[tokio::test]
async fn a_stalled_connection_stays_open_until_the_drain() {
    let mut connected = connect(Some(Ending::Stall), LONG, LONG).await;
    connected.send("GET /end HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let nothing = tokio::time::timeout(Duration::from_millis(200), connected.client.read_u8());
    assert!(nothing.await.is_err());
    connected.watch.close();
    assert_eq!(connected.read_to_close().await, "");
}
