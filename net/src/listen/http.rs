//! A listener for HTTP: with or without TLS, in whichever version the client speaks.

use super::accept::Handler;
use crate::conn::{
    ConnIo, HEADER_TIMEOUT, Opening, ReadAhead as _, Stream, Unopened, chose_h2,
    count_header_timeout, dismiss, drive, drive_h1, finish, read_hello, read_until, terminate,
};
use crate::peer::Peer;
use crate::serve::{Greeting, Serve};
use crate::tls::{Sniffed, forwarded_certificate, identity};
use std::sync::Arc;
use tokio_rustls::server::TlsStream;

/// What a client hears that does not speak TLS where it has to.
const TLS_ONLY: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
    x-stitch-reason: bad_request\r\ncontent-type: text/plain\r\ncontent-length: 36\r\n\r\n\
    this port takes TLS only: use https\n";

/// Serves HTTP/1 and HTTP/2, inside TLS or not, told apart by their first bytes.
#[derive(Debug)]
pub struct HttpPort<S> {
    serve: Arc<S>,
    header_bytes: usize,
}

impl<S> HttpPort<S> {
    /// A port with this handler behind it. A header section larger than `header_bytes` is refused.
    pub fn new(serve: Arc<S>, header_bytes: usize) -> Self {
        Self { serve, header_bytes }
    }
}

impl<S: Serve> Handler for HttpPort<S>
where
    S::Body: Unpin,
{
    async fn handle(self: Arc<Self>, mut io: ConnIo, peer: Peer) {
        match read_until(&mut io, &peer.connection, Opening::of_http).await {
            Ok(Opening::Tls) if self.serve.speaks_tls() => Box::pin(self.greet(io, peer)).await,
            Ok(_) if self.serve.requires_tls() => {
                Box::pin(finish(io, TLS_ONLY, &peer.connection)).await;
            }
            Ok(Opening::Http2) => Box::pin(self.drive(Stream::Plain(io), peer, true)).await,
            // The usual case stands here itself: each future within a future costs every request.
            Ok(Opening::Http1 | Opening::Tls | Opening::Opaque) => {
                let (serve, peer) = (self.serve.clone(), Arc::new(peer));
                drive_h1(Stream::Plain(io), peer, serve, self.header_bytes).await;
            }
            Err(Unopened::HeaderTimeout) => {
                count_header_timeout(&peer);
                Box::pin(dismiss(io, HEADER_TIMEOUT)).await;
            }
            // Too little to tell, and no more will come: HTTP/1 says what is wrong with it.
            Err(Unopened::Closed) if !io.ahead().is_empty() => {
                Box::pin(self.drive(Stream::Plain(io), peer, false)).await;
            }
            Err(Unopened::Closed | Unopened::Told) => {}
        }
    }
}

impl<S: Serve> HttpPort<S>
where
    S::Body: Unpin,
{
    async fn drive(&self, stream: Stream, peer: Peer, h2: bool) {
        drive(stream, h2, Arc::new(peer), self.serve.clone(), self.header_bytes).await;
    }

    /// A client that begins TLS.
    async fn greet(&self, mut io: ConnIo, mut peer: Peer) {
        let hello = match read_hello(&mut io, &peer.connection).await {
            Ok(Sniffed::Hello(hello)) => hello,
            // Only its first bytes looked like TLS, or it is over already.
            Ok(_) | Err(Unopened::Closed) => {
                return self.drive(Stream::Plain(io), peer, false).await;
            }
            Err(Unopened::HeaderTimeout) => {
                return refuse(&peer, "the client's hello was not finished in time");
            }
            Err(Unopened::Told) => return,
        };
        match self.serve.greet(hello.sni.as_deref()) {
            Greeting::HandOver(take) => take(io, peer).await,
            // What HTTP/1 makes of it is a 400.
            Greeting::Refuse => self.drive(Stream::Plain(io), peer, false).await,
            Greeting::Terminate(config) => match terminate(io, &peer.connection, config).await {
                Ok(stream) => {
                    introduce(&stream, &mut peer);
                    let h2 = chose_h2(&stream);
                    self.drive(Stream::Tls(Box::new(stream)), peer, h2).await;
                }
                Err(why) => refuse(&peer, &why),
            },
        }
    }
}

/// Learns from the handshake who the client is.
fn introduce(stream: &TlsStream<ConnIo>, peer: &mut Peer) {
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    peer.tls_identity = certificate.and_then(|der| identity(der)).map(Into::into);
    peer.tls_certificate = certificate.and_then(|der| forwarded_certificate(der)).map(Into::into);
    peer.secure = true;
}

/// Counts and tells of a client that did not get as far as HTTP.
fn refuse(peer: &Peer, why: &str) {
    metrics::counter!("stitch_bad_requests_total", "reason" => "tls").increment(1);
    tracing::debug!(peer = %peer.remote, "TLS with a client failed: {why}");
}
