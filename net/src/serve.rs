//! What stands behind a listener.

use crate::body::{Body, BoxError};
use crate::conn::ConnIo;
use crate::mock::BoxFuture;
use crate::peer::Peer;
use bytes::Bytes;
use http::{Request, Response};
use rustls::ServerConfig;
use std::future::Future;
use std::sync::Arc;

/// One HTTP handler on a listener: the proxy, the mock daemon, the admin API.
///
/// Futures are `Send` (see `docs/decisions/0001-send-futures.md`). A failure is an answer: there is
/// no error type. Dropping the future means that the caller went away.
pub trait Serve: Send + Sync + 'static {
    /// The answer's body. A type of its own, so that a handler can see when it ends or is dropped
    /// without boxing.
    type Body: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static;

    /// Answers one request. What the future needs of the handler it has to clone: most answers need
    /// nothing.
    fn serve(
        &self,
        request: Request<Body>,
        peer: Arc<Peer>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + use<Self>;

    /// Whether anything is done with clients that begin TLS; otherwise they are told at once that
    /// this is no HTTP.
    fn speaks_tls(&self) -> bool {
        false
    }

    /// Says what is done with a client that begins TLS and asks for this name.
    fn greet(&self, _sni: Option<&str>) -> Greeting {
        Greeting::Refuse
    }

    /// Whether clients have to speak TLS.
    fn requires_tls(&self) -> bool {
        false
    }
}

/// What is done with a client that begins TLS.
pub enum Greeting {
    /// TLS ends here; what is inside is HTTP.
    Terminate(Arc<ServerConfig>),
    /// Somebody else gets the connection as it came.
    HandOver(HandOver),
    /// Nothing here speaks TLS.
    Refuse,
}

/// Takes a whole connection, what was read of it ahead included.
pub type HandOver = Box<dyn FnOnce(ConnIo, Peer) -> BoxFuture<()> + Send>;
