//! Questions put to servers of each kind.

use super::*;
use crate::health::testing::{Server, answer, endpoint};
use crate::upstream::Tls;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use stitch_config::model::{Upstream, UpstreamAddress};
use stitch_net::tls::{Authority, ClientFiles, ClientTls};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

fn question(probe: HealthProbe) -> Question {
    Question { probe, limit: Duration::from_secs(10), proxy_protocol: None }
}

fn page(path: &str) -> Question {
    question(HealthProbe::Http(path.to_owned()))
}

async fn why(question: &Question, endpoint: &Endpoint) -> String {
    question.put_to(endpoint).await.unwrap_err().why.into_owned()
}

/// A folder of one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("stitch-health-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that cannot be removed is the system's to clear.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A gRPC server: it serves, but for the service `ill`. Pages are not found.
async fn grpc_answer(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    if request.uri().path() != "/grpc.health.v1.Health/Check" {
        let mut answer = Response::new(BoxBody::default());
        *answer.status_mut() = StatusCode::NOT_FOUND;
        return Ok(answer);
    }
    let agent = request.headers().get("user-agent").cloned();
    assert_eq!(agent, Some(HeaderValue::from_static("stitch-health")));
    let asked = request.into_body().collect().await.unwrap().to_bytes();
    let status = if asked.ends_with(b"ill") { 2 } else { 1 };
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let body = Full::new(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]));
    Ok(Response::new(BoxBody::new(body.with_trailers(std::future::ready(Some(Ok(trailers)))))))
}

async fn serve_grpc(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let server = http2::Builder::new(TokioExecutor::new());
    // However a connection ends, the client has its say about it.
    let _ = server.serve_connection(TokioIo::new(stream), service_fn(grpc_answer)).await;
}

/// The port of a gRPC server; inside TLS with an authority.
async fn grpc_server(authority: Option<&Authority>) -> u16 {
    let acceptor = authority.map(|authority| {
        TlsAcceptor::from(Arc::new((*authority.leaf("localhost").unwrap()).clone()))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                match acceptor {
                    None => serve_grpc(stream).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve_grpc(stream).await;
                        }
                    }
                }
            });
        }
    });
    port
}

fn trust(ca: Option<&Path>) -> Tls {
    let files = ClientFiles { ca: ca.map(Path::to_owned), ..ClientFiles::default() };
    let client = Arc::new(ClientTls::load(&files).unwrap());
    Tls { name: client.server_name("localhost").unwrap(), client, inputs: Arc::default() }
}

#[tokio::test]
async fn a_page_is_asked_for_by_name_and_the_path_of_the_url_left_out() {
    let mut server = Server::start().await;
    let address = UpstreamAddress::Host { host: "127.0.0.1".into(), port: server.address.port() };
    let upstream = Upstream { address, base_path: "/api".to_owned(), ..Upstream::http("x", 1) };
    let endpoint = Endpoint::declared(&upstream, None);
    assert_eq!(page("/up?full=1").put_to(&endpoint).await, Ok(()));
    let head = server.head().await;
    assert!(head.starts_with("GET /up?full=1 HTTP/1.1\r\n"), "{head}");
    for header in [
        format!("host: {}\r\n", server.address),
        "user-agent: stitch-health\r\n".to_owned(),
        "connection: close\r\n".to_owned(),
    ] {
        assert!(head.contains(&header), "{header} is not in {head}");
    }
}

#[tokio::test]
async fn statuses_below_400_are_good_and_redirects_are_not_followed() {
    let mut server = Server::start().await;
    let endpoint = endpoint(Scheme::Http, server.address.port(), None);
    for (status, expected) in [(200, None), (204, None), (302, None), (399, None)] {
        server.answer(status);
        assert_eq!(page("/health").put_to(&endpoint).await.err(), expected, "{status}");
        assert!(server.head().await.starts_with("GET /health "), "{status}");
    }
    for status in [400, 404, 503] {
        server.answer(status);
        let why = why(&page("/health"), &endpoint).await;
        assert!(why.starts_with(&format!("/health answers {status}")), "{why}");
        assert!(server.head().await.starts_with("GET /health "), "{status}");
    }
}

#[tokio::test]
async fn who_is_not_there_is_told_in_few_words() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(Scheme::Http, listener.local_addr().unwrap().port(), None);
    drop(listener);
    for question in [page("/health"), question(HealthProbe::Tcp)] {
        assert_eq!(why(&question, &endpoint).await, "connection refused");
    }
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_not_well() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = endpoint(Scheme::Http, listener.local_addr().unwrap().port(), None);
    let hasty = Question { limit: Duration::from_millis(20), ..page("/health") };
    assert_eq!(why(&hasty, &silent).await, "no answer within 20ms");
    // Its port is open, and that is all that is asked here.
    assert_eq!(question(HealthProbe::Tcp).put_to(&silent).await, Ok(()));
}

#[tokio::test]
async fn a_socket_is_asked_like_any_other() {
    let folder = Scratch::new();
    let path = folder.0.join("s");
    let upstream =
        Upstream { address: UpstreamAddress::Unix(path.clone()), ..Upstream::http("", 0) };
    let endpoint = Endpoint::declared(&upstream, None);
    assert_eq!(why(&page("/health"), &endpoint).await, "the socket does not exist");
    let listener = UnixListener::bind(&path).unwrap();
    let (told, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        answer(stream, Arc::new(AtomicU16::new(200)), told).await;
    });
    assert_eq!(page("/health").put_to(&endpoint).await, Ok(()));
    serving.await.unwrap();
    assert!(heads.recv().await.unwrap().contains("host: localhost\r\n"));
}

#[tokio::test]
async fn a_grpc_service_has_to_say_that_it_serves() {
    let folder = Scratch::new();
    let authority = Authority::open_or_create(&folder.0).unwrap();
    let plain = endpoint(Scheme::H2c, grpc_server(None).await, None);
    let trusted = trust(Some(&folder.0.join("ca.pem")));
    let secure = endpoint(Scheme::Https, grpc_server(Some(&authority)).await, Some(trusted));
    let serving = |name: &str| question(HealthProbe::Grpc(name.to_owned()));
    for endpoint in [&plain, &secure] {
        assert_eq!(serving("").put_to(endpoint).await, Ok(()), "{endpoint}");
        assert_eq!(why(&serving("ill"), endpoint).await, "its health is NOT_SERVING");
        let why = why(&page("/health"), endpoint).await;
        assert!(why.starts_with("/health answers 404"), "{why}");
    }
}

#[tokio::test]
async fn tls_is_begun_with_the_trust_of_the_service() {
    let folder = Scratch::new();
    let authority = Authority::open_or_create(&folder.0).unwrap();
    let port = grpc_server(Some(&authority)).await;
    let stranger = endpoint(Scheme::Https, port, Some(trust(None)));
    for question in [page("/health"), question(HealthProbe::Tcp)] {
        let why = why(&question, &stranger).await;
        assert!(why.starts_with("TLS failed: "), "{why}");
    }
    let trusted = endpoint(Scheme::Tls, port, Some(trust(Some(&folder.0.join("ca.pem")))));
    assert_eq!(question(HealthProbe::Tcp).put_to(&trusted).await, Ok(()));
}

#[tokio::test]
async fn who_expects_a_proxy_header_gets_one_that_names_nobody() {
    for (version, expected) in [
        (ProxyProtocol::V1, &b"PROXY UNKNOWN\r\n"[..]),
        (ProxyProtocol::V2, b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x20\x00\x00\x00"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = endpoint(Scheme::Tcp, listener.local_addr().unwrap().port(), None);
        let question = Question { proxy_protocol: Some(version), ..question(HealthProbe::Tcp) };
        assert_eq!(question.put_to(&endpoint).await, Ok(()));
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, expected);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_left_at_its_bound() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(Scheme::Http, listener.local_addr().unwrap().port(), None);
    let serving = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        // Until the other side hangs up.
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    assert_eq!(page("/health").put_to(&endpoint).await, Ok(()));
    serving.await.unwrap();
}
