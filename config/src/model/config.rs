//! The whole: what one file and its includes come to.

use super::{Auth, Certificate, PemFile, Proxy, Route, Service, Setting};
use crate::data::Data;
use std::path::PathBuf;
use std::sync::Arc;

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file given on the command line.
    pub file: PathBuf,
    /// `seed:`; absent means that one is drawn at start.
    pub seed: Option<u64>,
    /// `vars:` for templates, in file order.
    pub vars: Vec<(String, Data)>,
    /// `proxy:`.
    pub proxy: Proxy,
    /// `events:`.
    pub events: Events,
    /// `services:`, in file order (includes follow the including file).
    pub services: Vec<Arc<Service>>,
    /// `routes:`, in file order.
    pub routes: Vec<Arc<Route>>,
}

impl Config {
    /// The service of that name.
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.iter().find(|service| &*service.name == name)
    }

    /// Every `auth` that is in force somewhere.
    pub fn auths(&self) -> impl Iterator<Item = &Auth> {
        let services = self.services.iter().map(|service| &service.policies.auth);
        let routes = self.routes.iter().map(|route| &route.policies.auth);
        services.chain(routes).filter_map(Setting::get)
    }

    /// Every certificate, key, list of authorities, key set and list of users that is named
    /// somewhere.
    pub fn pem_files(&self) -> impl Iterator<Item = &PemFile> {
        let server = self.proxy.tls.iter().flat_map(|tls| {
            let pairs = tls.certificates.iter().flat_map(Certificate::files);
            pairs.chain(&tls.client_ca)
        });
        let client = self.services.iter().flat_map(|service| {
            let pair = service.tls.certificate.iter().flat_map(Certificate::files);
            pair.chain(&service.tls.ca)
        });
        server.chain(client).chain(self.auths().flat_map(Auth::files))
    }
}

/// Where events travel.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Events {
    /// The declared NATS infra service if it answers within a second of start, else in-process.
    #[default]
    Auto,
    /// The broker inside the process.
    InProcess,
    /// A NATS server at this URL.
    Nats(String),
}
