//! What the tests share: a server that answers as it is told to, and endpoints that lead to it.

use crate::upstream::{Endpoint, Tls};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use stitch_config::model::{Scheme, Upstream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Answers every request with the status of the moment.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    status: Arc<AtomicU16>,
    /// The heads of requests.
    heads: UnboundedReceiver<String>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let status = Arc::new(AtomicU16::new(200));
        let (told, heads) = unbounded_channel();
        let answered = status.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, answered.clone(), told.clone()));
            }
        });
        Self { address, status, heads }
    }

    /// Answers with this status from the next request on.
    pub(super) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The head of the next request.
    pub(super) async fn head(&mut self) -> String {
        self.heads.recv().await.unwrap()
    }

    /// Forgets what came so far, then waits until the results of `count` further requests of one
    /// checker are known to it: it has begun with the one after.
    pub(super) async fn after(&mut self, count: usize) {
        while self.heads.try_recv().is_ok() {}
        // One may have been under way with the old status.
        for _ in 0..count + 2 {
            self.head().await;
        }
    }
}

/// Reads a head, tells of it, and answers.
pub(super) async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    status: Arc<AtomicU16>,
    told: UnboundedSender<String>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    // What is told of is answered with the status of then.
    let status = status.load(Ordering::SeqCst);
    let _ = told.send(String::from_utf8(head).unwrap());
    let answer =
        format!("HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\ncontent-length: 2\r\n\r\nok");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// An endpoint of 127.0.0.1, or of `localhost` inside TLS.
pub(super) fn endpoint(scheme: Scheme, port: u16, tls: Option<Tls>) -> Endpoint {
    let host = if tls.is_some() { "localhost" } else { "127.0.0.1" };
    Endpoint::declared(&Upstream { scheme, ..Upstream::http(host, port) }, tls)
}
