//! Where a command is asked whether it is up: connected to as the proxy will connect to it.

use std::io;
use stitch_config::model::{Scheme, Service, Upstream, UpstreamAddress};
use stitch_net::tls::{ClientFiles, ClientTls, explain_connect};
use stitch_proxy::health::ask::{Line, Stream, Trouble};
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
    pub(super) authority: String,
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

    /// Connects, says nothing, and hangs up.
    pub(super) async fn accepts(&self) -> Result<(), Trouble> {
        self.connect().await?;
        Ok(())
    }

    /// Connects, TLS included.
    pub(super) async fn open(&self) -> Result<Line, Trouble> {
        let stream = self.connect().await?;
        let (stream, http2) = match &self.address {
            UpstreamAddress::Host { host, .. } if self.scheme.is_tls() => {
                self.secure(stream, host).await?
            }
            _ => (stream, self.scheme == Scheme::H2c),
        };
        let authority = self.authority.clone();
        Ok(Line { stream, http2, secure: self.scheme.is_tls(), authority })
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.address {
            UpstreamAddress::Host { host, port } => {
                Box::new(TcpStream::connect((host.as_str(), *port)).await?)
            }
            UpstreamAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }

    /// Begins TLS, and says whether HTTP/2 is spoken inside.
    async fn secure(
        &self,
        stream: Box<dyn Stream>,
        host: &str,
    ) -> Result<(Box<dyn Stream>, bool), Trouble> {
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
        Ok((Box::new(stream), http2))
    }
}
