//! Probes against servers of each kind.

use super::*;
use crate::testing::{self, Scratch};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use stitch_net::tls::Authority;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

type Answer = Response<BoxBody<Bytes, Infallible>>;

fn probe(service: &str) -> Probe {
    Probe::of(&testing::config(&format!("services:\n  a: {service}\n")).services[0])
}

fn status(status: u16) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
    answer
}

/// An answer of gRPC's health service, or nothing but trailers.
fn grpc(message: Option<&[u8]>, code: &'static str) -> Answer {
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static(code),
    )]);
    let Some(message) = message else {
        let mut answer = Answer::default();
        *answer.headers_mut() = trailers;
        return answer;
    };
    let length = u8::try_from(message.len()).unwrap();
    let body = Bytes::from([&[0, 0, 0, 0, length], message].concat());
    let body = Full::new(body).with_trailers(std::future::ready(Some(Ok(trailers))));
    Response::new(BoxBody::new(body))
}

/// Paths answer with the status that they name; the health service knows a few services.
async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    if let Some(code) = path.strip_prefix("/status/") {
        return Ok(status(code.parse().unwrap()));
    }
    assert_eq!(
        (path.as_str(), request.method().as_str()),
        ("/grpc.health.v1.Health/Check", "POST")
    );
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["te"], "trailers");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Ok(match body.get(7..).map_or("", |name| std::str::from_utf8(name).unwrap()) {
        "" => grpc(Some(&[0x08, 1]), "0"),
        "ill" => grpc(Some(&[0x08, 2]), "0"),
        "none" => grpc(None, "12"),
        "html" => status(404),
        "broken" => status(503),
        _ => grpc(None, "5"),
    })
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, http2: bool) {
    let io = TokioIo::new(stream);
    // However a connection ends, the client has its say about it.
    let _ = match http2 {
        true => {
            let server = http2::Builder::new(TokioExecutor::new());
            server.serve_connection(io, service_fn(answer)).await
        }
        false => http1::Builder::new().serve_connection(io, service_fn(answer)).await,
    };
}

async fn plain(http2: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, http2));
        }
    });
    address
}

/// A TLS server for `localhost`, whose authority is `ca.pem` in the folder.
async fn secure(folder: &Scratch, http2: bool) -> u16 {
    let authority = Authority::open_or_create(folder.path()).unwrap();
    let mut config = (*authority.leaf("localhost").unwrap()).clone();
    if !http2 {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, http2).await;
                }
            });
        }
    });
    port
}

fn trusting(folder: &Scratch, port: u16, health: &str) -> Probe {
    let ca = folder.path().join("ca.pem");
    let ca = ca.display();
    probe(&format!(
        "{{ url: 'https://localhost:{port}', tls: {{ ca: '{ca}' }}, health: {{ {health} }} }}"
    ))
}

#[test]
fn the_first_real_endpoint_is_asked() {
    let path = |service: &str| match probe(service) {
        Probe::Get { target, path } => (target.authority.clone(), path),
        other => panic!("{other:?}"),
    };
    let asked = |authority: &str, path: &str| (authority.to_owned(), path.to_owned());
    assert_eq!(path("{ url: 'http://localhost', command: x }"), asked("localhost", "/health"));
    let several = "{ urls: ['http://[::1]:8000/api', 'http://b:1'], command: x }";
    assert_eq!(path(several), asked("[::1]:8000", "/api/health"));
    assert_eq!(path("{ url: 'https://h/x', command: x }"), asked("h", "/x/health"));
    assert_eq!(path("{ url: 'unix:/c.sock', command: x }"), asked("localhost", "/health"));
    let paged = "{ url: 'h2c://h:1', health: { path: /up }, command: x }";
    assert_eq!(path(paged), asked("h:1", "/up"));
}

#[test]
fn what_has_no_pages_is_connected_to() {
    assert_eq!(probe("{ endpoints: [ { path: /x } ] }"), Probe::Nothing);
    for service in [
        "{ url: 'http://localhost:9' }",
        "{ url: 'h2c://localhost:9', command: x }",
        "{ type: tcp, url: 'tcp://localhost:9', command: x }",
        "{ type: tcp, url: 'tls://localhost:9', command: x }",
        "{ type: tcp, url: 'unix:/db.sock', command: x }",
    ] {
        assert!(matches!(probe(service), Probe::Connect(_)), "{service}");
    }
    let grpc = probe("{ url: 'h2c://h:1/api', health: { grpc: a.B }, command: x }");
    let Probe::Grpc { prefix, service, .. } = grpc else { panic!("{grpc:?}") };
    assert_eq!((prefix.as_str(), service.as_str()), ("/api", "a.B"));
}

#[tokio::test]
async fn any_answer_but_a_servers_error_will_do() {
    for (scheme, http2) in [("http", false), ("h2c", true)] {
        let address = plain(http2).await;
        let ask = async |path: &str| {
            let health = format!("health: {{ path: {path} }}");
            probe(&format!("{{ url: '{scheme}://{address}', {health} }}")).ask().await
        };
        assert_eq!(ask("/status/200").await, Ok(()));
        assert_eq!(ask("/status/404").await, Ok(()));
        let trouble = ask("/status/503").await.unwrap_err();
        assert!(!trouble.tell && trouble.why.contains("/status/503 answers 503"), "{trouble:?}");
    }
}

#[tokio::test]
async fn tls_is_spoken_as_the_proxy_would() {
    let folder = Scratch::new();
    for http2 in [false, true] {
        let port = secure(&folder, http2).await;
        assert_eq!(trusting(&folder, port, "path: /status/200").ask().await, Ok(()));
        let trouble = trusting(&folder, port, "path: /status/500").ask().await.unwrap_err();
        assert!(trouble.why.contains("answers 500"), "{trouble:?}");

        let by_address = |tls: &str| {
            probe(&format!(
                "{{ url: 'https://127.0.0.1:{port}', tls: {{ {tls} }}, health: {{ path: /status/200 }} }}"
            ))
        };
        let trouble = by_address("sni: localhost").ask().await.unwrap_err();
        assert!(trouble.tell && trouble.why.starts_with("TLS: "), "{trouble:?}");
        assert_eq!(by_address("insecure: true").ask().await, Ok(()));
        let trouble = by_address("ca: /no/such.pem").ask().await.unwrap_err();
        assert!(trouble.tell && trouble.why.contains("/no/such.pem"), "{trouble:?}");
    }
}

#[tokio::test]
async fn a_socket_is_asked_like_any_other() {
    let scratch = Scratch::new();
    let path = scratch.path().join("s");
    let url = format!("unix:{}", path.display());
    let paged = probe(&format!("{{ url: '{url}', health: {{ path: /status/200 }} }}"));
    let bytes = probe(&format!("{{ type: tcp, url: '{url}' }}"));
    assert!(!paged.ask().await.unwrap_err().tell);
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, false));
        }
    });
    assert_eq!(paged.ask().await, Ok(()));
    assert_eq!(bytes.ask().await, Ok(()));
}

#[tokio::test]
async fn grpc_has_a_health_service_of_its_own() {
    let folder = Scratch::new();
    let address = plain(true).await;
    let port = secure(&folder, true).await;
    for (service, why, tell) in [
        ("\"\"", None, false),
        ("ill", Some("NOT_SERVING"), false),
        ("none", Some("UNIMPLEMENTED"), true),
        ("who", Some("\"who\" (NOT_FOUND)"), true),
        ("html", Some("404"), true),
        ("broken", Some("503"), false),
    ] {
        let health = format!("grpc: {service}");
        let h2c = probe(&format!("{{ url: 'h2c://{address}', health: {{ {health} }} }}"));
        for probe in [h2c, trusting(&folder, port, &health)] {
            match (probe.ask().await, why) {
                (Ok(()), None) => {}
                (Err(trouble), Some(why)) => {
                    assert!(trouble.why.contains(why) && trouble.tell == tell, "{trouble:?}");
                }
                other => panic!("{service}: {other:?}"),
            }
        }
    }
    let port = secure(&folder, false).await;
    let trouble = trusting(&folder, port, "grpc: ''").ask().await.unwrap_err();
    assert!(trouble.tell && trouble.why.contains("HTTP/2"), "{trouble:?}");
}

#[tokio::test]
async fn accepting_is_enough_without_a_path() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let probe = probe(&format!("{{ url: 'http://{}' }}", listener.local_addr().unwrap()));
    assert_eq!(probe.ask().await, Ok(()));
    drop(listener);
    assert!(!probe.ask().await.unwrap_err().tell);
    Probe::Nothing.until_up(|why| panic!("{why}")).await;
}

#[tokio::test]
async fn what_nobody_can_wait_for_is_told_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Refuses health twice, then learns it.
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let io = TokioIo::new(stream);
            let learned = move |_| async move {
                Ok::<_, Infallible>(if number < 3 {
                    grpc(None, "12")
                } else {
                    grpc(Some(&[8, 1]), "0")
                })
            };
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(io, service_fn(learned)));
        }
    });
    let mut told = Vec::new();
    let probe = probe(&format!("{{ url: 'h2c://{address}', health: {{ grpc: '' }} }}"));
    probe.until_up(|why| told.push(why.to_owned())).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("UNIMPLEMENTED"));
}

#[tokio::test]
async fn hanging_up_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let probe =
        probe(&format!("{{ url: 'http://{}', command: x }}", listener.local_addr().unwrap()));
    let asking = tokio::spawn(async move { probe.ask().await });
    let (stream, _) = listener.accept().await.unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    assert_eq!(line, "GET /health HTTP/1.1\r\n");
    // The stream is dropped: it has hung up without a word.
    assert!(!asking.await.unwrap().unwrap_err().tell);
}
