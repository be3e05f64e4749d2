//! Certificates, keys and who may come in: read from files before a configuration is put in force, so
//! that a wrong file is one of its problems. What did not change is taken over, and with it TLS sessions that can
//! be resumed.

use crate::auth::AuthFiles;
use crate::upstream::Tls;
use hashbrown::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stitch_config::model::{Certificate, PemFile, Service, Upstream};
use stitch_config::{Config, Place, Problem, Report};
use stitch_net::tls::{Authority, ClientFiles, ClientTls, ServerFiles, ServerTls, TlsError};

/// What TLS and `auth` need besides the configuration.
#[derive(Clone, Default)]
pub struct Credentials {
    /// For clients that begin TLS with us.
    pub(crate) server: Option<Server>,
    /// Mints certificates for tunnels that are looked into.
    pub(crate) authority: Option<Arc<Authority>>,
    clients: HashMap<Arc<str>, Client>,
    /// Key sets and users.
    pub(crate) auth: AuthFiles,
}

/// Contents of the files that something was made from.
type Inputs = Arc<[Vec<u8>]>;

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) tls: ServerTls,
    inputs: Inputs,
}

#[derive(Clone)]
struct Client {
    tls: Arc<ClientTls>,
    inputs: Inputs,
}

impl Credentials {
    /// Reads every file that a configuration names; what is wrong with them goes into the report.
    pub fn load(config: &Config, previous: Option<&Self>, report: &mut Report) -> Self {
        let server = config.proxy.tls.as_ref().map(|tls| {
            let files = ServerFiles {
                certificates: tls.certificates.iter().map(pair).collect(),
                client_ca: tls.client_ca.as_ref().map(path),
            };
            let before = previous.and_then(|previous| previous.server.as_ref());
            let named = files.certificates.iter().flat_map(|(cert, key)| [cert, key]);
            let inputs = read(named.chain(&files.client_ca));
            match before.filter(|before| before.inputs == inputs) {
                Some(before) => Ok(before.clone()),
                None => ServerTls::load(&files).map(|tls| Server { tls, inputs }),
            }
        });
        let server = server.and_then(|loaded| told(loaded, config, report));
        let mut clients = HashMap::new();
        let secured = config.services.iter().filter(|service| uses_tls(service));
        for service in secured {
            let before = previous.and_then(|previous| previous.clients.get(&service.name));
            if let Some(client) = told(load_client(service, before), config, report) {
                clients.insert(service.name.clone(), client);
            }
        }
        let auth = AuthFiles::load(config, report);
        Self { server, authority: None, clients, auth }
    }

    /// The authority for tunnels that are looked into.
    pub fn authority(&self) -> Option<Arc<Authority>> {
        self.authority.clone()
    }

    /// With an authority for tunnels that are looked into.
    #[must_use]
    pub fn with_authority(mut self, authority: Option<Arc<Authority>>) -> Self {
        self.authority = authority;
        self
    }

    /// How TLS is begun with one endpoint of a service; `None` for those that do not speak it.
    pub(crate) fn of(&self, service: &Service, upstream: &Upstream) -> Option<Tls> {
        if !upstream.scheme.is_tls() {
            return None;
        }
        let Client { tls, inputs } = self.clients.get(&service.name)?;
        let (host, _) = upstream.host_port()?;
        let name = tls.server_name(host).ok()?;
        Some(Tls { client: tls.clone(), name, inputs: inputs.clone() })
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

fn uses_tls(service: &Service) -> bool {
    service.upstreams.iter().any(|upstream| upstream.scheme.is_tls())
}

/// The files and settings that TLS with a service begins with.
#[must_use]
pub fn client_files(service: &Service) -> ClientFiles {
    let wanted = &service.tls;
    ClientFiles {
        ca: wanted.ca.as_ref().map(path),
        certificate: wanted.certificate.as_ref().map(pair),
        sni: wanted.sni.clone(),
        insecure: wanted.insecure,
    }
}

fn load_client(service: &Service, before: Option<&Client>) -> Result<Client, TlsError> {
    let files = client_files(service);
    let pairs = files.certificate.iter().flat_map(|(cert, key)| [cert, key]);
    let mut inputs = read(files.ca.iter().chain(pairs)).to_vec();
    inputs.push(format!("{:?} {}", files.sni, files.insecure).into_bytes());
    let inputs = inputs.into();
    match before.filter(|before| before.inputs == inputs) {
        Some(before) => Ok(before.clone()),
        None => ClientTls::load(&files).map(|tls| Client { tls: Arc::new(tls), inputs }),
    }
}

/// The contents of files; one that cannot be read counts as empty, and is complained about by who
/// needs it.
fn read<'p>(paths: impl Iterator<Item = &'p PathBuf>) -> Inputs {
    paths.map(|path| fs::read(path).unwrap_or_default()).collect()
}

fn path(file: &PemFile) -> PathBuf {
    file.path.clone()
}

fn pair(certificate: &Certificate) -> (PathBuf, PathBuf) {
    (path(&certificate.cert), path(&certificate.key))
}

/// Puts an error into the report, at the place that names the file.
fn told<T>(loaded: Result<T, TlsError>, config: &Config, report: &mut Report) -> Option<T> {
    loaded
        .map_err(|error| {
            let place = error.path().map_or_else(Place::default, |path| place_of(config, path));
            report.push(Problem::error(place, "tls", error.to_string()));
        })
        .ok()
}

fn place_of(config: &Config, path: &Path) -> Place {
    let mut files = config.pem_files();
    files.find(|file| file.path == path).map_or_else(Place::default, |file| file.place)
}
