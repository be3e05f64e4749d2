//! Where a command is asked whether it is up: connected to as the proxy will connect to it.

use std::borrow::Cow;
use std::io;
use stitch_config::model::{Scheme, Service, Upstream, UpstreamAddress};
use stitch_net::tls::{ClientFiles, ClientTls, explain_connect};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// One real endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    scheme: Scheme,
    address: UpstreamAddress,
    /// What TLS needs; read at each connection, since files may be renewed while a command starts.
    tls: ClientFiles,
    /// For the Host header.
    authority: String,
}

/// Why a command is not up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// In words.
    pub(super) why: Cow<'static, str>,
    /// Whether somebody has to do something about it, rather than wait.
    pub(super) tell: bool,
}

impl Trouble {
    /// Waiting may help.
    pub(super) fn not_yet(why: impl Into<Cow<'static, str>>) -> Self {
        Self { why: why.into(), tell: false }
    }

    /// Waiting will hardly help.
    pub(super) fn told(why: impl Into<Cow<'static, str>>) -> Self {
        Self { why: why.into(), tell: true }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::not_yet(error.to_string())
    }
}

/// What is spoken over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection, on which requests can be sent.
pub(super) struct Open {
    pub(super) stream: Box<dyn Stream>,
    pub(super) http2: bool,
}

impl Target {
    pub(super) fn of(service: &Service, upstream: &Upstream) -> Self {
        Self {
            scheme: upstream.scheme,
            address: upstream.address.clone(),
            tls: stitch_proxy::client_files(service),
            authority: upstream.authority(),
        }
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// `http` or `https`, which is all that HTTP/2 knows.
    pub(super) fn http_scheme(&self) -> &'static str {
        if self.scheme.is_tls() { "https" } else { "http" }
    }

    /// Connects, says nothing, and hangs up.
    pub(super) async fn accepts(&self) -> Result<(), Trouble> {
        self.connect().await?;
        Ok(())
    }

    /// Connects, TLS included.
    pub(super) async fn open(&self) -> Result<Open, Trouble> {
        let stream = self.connect().await?;
        match &self.address {
            UpstreamAddress::Host { host, .. } if self.scheme.is_tls() => {
                self.secure(stream, host).await
            }
            _ => Ok(Open { stream, http2: self.scheme == Scheme::H2c }),
        }
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.address {
            UpstreamAddress::Host { host, port } => {
                Box::new(TcpStream::connect((host.as_str(), *port)).await?)
            }
            UpstreamAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }

    async fn secure(&self, stream: Box<dyn Stream>, host: &str) -> Result<Open, Trouble> {
        let wrong = |error: stitch_net::tls::TlsError| Trouble::told(error.to_string());
        let tls = ClientTls::load(&self.tls).map_err(wrong)?;
        let name = tls.server_name(host).map_err(wrong)?;
        let connector = TlsConnector::from(tls.http);
        let stream = connector.connect(name, stream).await.map_err(|error| {
            // Anything else is about the connection, which a server that starts may well break.
            let tell = error.kind() == io::ErrorKind::InvalidData;
            Trouble { why: format!("TLS: {}", explain_connect(&error)).into(), tell }
        })?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Open { stream: Box::new(stream), http2 })
    }
}
