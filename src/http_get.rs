//! One plain GET, for health: no proxy variables, no redirects, no pool, bounded in time and size.

use http::header::{CONNECTION, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// More of a health answer than this is nobody's business.
const BODY_LIMIT: usize = 64 * 1024;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The body; empty when it was too large or broke off.
    pub(crate) body: Bytes,
}

/// Asks `authority` (`host:port`) for a path.
///
/// # Errors
/// When nobody answers HTTP there within `limit`.
pub(crate) async fn get(authority: &str, path: &str, limit: Duration) -> io::Result<Answer> {
    timeout(limit, exchange(authority, path)).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}")))
    })
}

async fn exchange(authority: &str, path: &str) -> io::Result<Answer> {
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get(path)
        .header(HOST, authority)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Ok(Answer { status, body })
    };
    // The connection only moves while it is polled; whichever ends first, the answer decides.
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Answers one connection with these bytes and returns what was asked.
    async fn serve_once(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            // A client that has had enough may hang up early.
            let _ = stream.write_all(&answer).await;
            String::from_utf8(asked).unwrap()
        });
        (authority, served)
    }

    #[tokio::test]
    async fn the_answer_is_told_with_its_body() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\ntransfer-encoding: chunked\r\n\r\n\
                      4\r\nwait\r\n0\r\n\r\n";
        let (authority, served) = serve_once(answer.into()).await;
        let answer = get(&authority, "/health/ready", LIMIT).await.unwrap();
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.body, "wait");
        let asked = served.await.unwrap();
        assert!(asked.starts_with("GET /health/ready HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("host: {authority}\r\n")), "{asked}");
    }

    #[tokio::test]
    async fn a_body_past_the_limit_leaves_the_status() {
        let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        answer.resize(answer.len() + 2 * BODY_LIMIT, b'x');
        let (authority, _served) = serve_once(answer).await;
        let answer = get(&authority, "/", LIMIT).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    }

    #[tokio::test]
    async fn silence_ends_with_the_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let error = get(&authority, "/", Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn nobody_and_nonsense_are_errors() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = get(&authority, "/", LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);

        let (authority, _served) = serve_once(b"SSH-2.0-x\r\n".to_vec()).await;
        assert!(get(&authority, "/", LIMIT).await.is_err());

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        assert!(get(&authority, "not a path", LIMIT).await.is_err());
    }
}
