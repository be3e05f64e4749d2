//! What the tests share: a small public key infrastructure, and handshakes in memory.

use super::{ClientFiles, ClientTls, ServerFiles, ServerTls, pem};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, CommonState, HandshakeKind, ServerConfig};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A folder of one test, removed at its end.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("stitch-tls-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that cannot be removed is the system's to clear.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A CA with its key.
#[derive(Debug)]
pub(super) struct Ca {
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) der: CertificateDer<'static>,
    pub(super) key: KeyPair,
}

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { der, issuer: Issuer::new(params, key) }
    }

    pub(super) fn pem(&self) -> String {
        pem::encode([&self.der])
    }

    /// A certificate for these hosts, changed to taste.
    pub(super) fn issue(
        &self,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let params = params(hosts, change);
        let key = KeyPair::generate().unwrap();
        Issued { der: params.signed_by(&key, &self.issuer).unwrap().der().clone(), key }
    }

    pub(super) fn server(&self, hosts: &[&str]) -> Issued {
        self.issue(hosts, |_| ())
    }

    pub(super) fn client(&self, uri: &str) -> Issued {
        self.issue(&[], |params| {
            params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }
}

fn params(hosts: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, "a test's");
    change(&mut params);
    params
}

/// A certificate that is its own issuer.
pub(super) fn self_signed(hosts: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
    let key = KeyPair::generate().unwrap();
    Issued { der: params(hosts, change).self_signed(&key).unwrap().der().clone(), key }
}

impl Issued {
    pub(super) fn pem(&self) -> String {
        pem::encode([&self.der])
    }

    pub(super) fn key_pem(&self) -> String {
        pem::encode_key(self.key.serialized_der())
    }

    /// Its two files.
    pub(super) fn write(&self, scratch: &Scratch, name: &str) -> (PathBuf, PathBuf) {
        let chain = scratch.write(&format!("{name}.crt"), self.pem());
        (chain, scratch.write(&format!("{name}.key"), self.key_pem()))
    }
}

/// A server with these certificates.
pub(super) fn server(scratch: &Scratch, certificates: &[Issued]) -> ServerTls {
    let files = certificates.iter().enumerate();
    let certificates = files.map(|(at, issued)| issued.write(scratch, &format!("server-{at}")));
    let files = ServerFiles { certificates: certificates.collect(), client_ca: None };
    ServerTls::load(&files).unwrap()
}

/// A client that trusts what this PEM text holds.
pub(super) fn client(scratch: &Scratch, ca: &str) -> ClientTls {
    let ca = Some(scratch.write("trusted.pem", ca));
    ClientTls::load(&ClientFiles { ca, ..ClientFiles::default() }).unwrap()
}

/// What one side knows after a handshake.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) alpn: Option<Vec<u8>>,
    pub(super) resumed: bool,
    pub(super) peer: Option<CertificateDer<'static>>,
}

impl Facts {
    fn of(state: &CommonState) -> Self {
        Self {
            alpn: state.alpn_protocol().map(<[u8]>::to_vec),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
            peer: state.peer_certificates().and_then(|chain| chain.first().cloned()),
        }
    }

    pub(super) fn alpn(&self) -> Option<&str> {
        self.alpn.as_deref().map(|name| std::str::from_utf8(name).unwrap())
    }
}

/// A handshake and a byte each way, so that tickets and late refusals arrive: the server's outcome
/// and the client's.
pub(super) async fn meet(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> (io::Result<Facts>, io::Result<Facts>) {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let accept = async {
        let mut stream = TlsAcceptor::from(Arc::clone(server)).accept(far).await?;
        exchange(&mut stream).await?;
        Ok(Facts::of(stream.get_ref().1))
    };
    let connect = async {
        let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, near).await?;
        exchange(&mut stream).await?;
        Ok(Facts::of(stream.get_ref().1))
    };
    tokio::join!(accept, connect)
}

/// The same where both sides agree.
pub(super) async fn agree(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> (Facts, Facts) {
    let (server, client) = meet(server, client, name).await;
    (server.unwrap(), client.unwrap())
}

async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(b"x").await?;
    stream.flush().await?;
    stream.read_u8().await.map(drop)
}
