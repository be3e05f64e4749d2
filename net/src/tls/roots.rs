//! Whom this machine trusts: the system's roots, or Mozilla's where the system has none.
//!
//! Slim container images have no roots at all; TLS to the outside should work in them too. The
//! bundled certificates are whole, so that they can be written out for other programs.

use super::provider;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;
use std::sync::{Arc, OnceLock};

/// The roots that are trusted when nothing else is said.
#[derive(Debug)]
pub struct SystemRoots {
    certificates: Vec<CertificateDer<'static>>,
    bundled: bool,
    verifier: Arc<WebPkiServerVerifier>,
}

impl SystemRoots {
    /// The certificates as they were found.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Whether they are Mozilla's, because the system has none.
    #[must_use]
    pub fn bundled(&self) -> bool {
        self.bundled
    }

    pub(super) fn verifier(&self) -> Arc<WebPkiServerVerifier> {
        Arc::clone(&self.verifier)
    }

    fn load() -> Self {
        let found = rustls_native_certs::load_native_certs();
        if let Some(store) = usable(&found.certs) {
            return Self::of(found.certs, store, false);
        }
        for error in &found.errors {
            tracing::warn!(%error, "cannot read the system's root certificates");
        }
        tracing::info!("this system has no root certificates: Mozilla's are used");
        let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec();
        let store = usable(&bundled).expect("Mozilla's roots are well-formed");
        Self::of(bundled, store, true)
    }

    fn of(certificates: Vec<CertificateDer<'static>>, store: RootCertStore, bundled: bool) -> Self {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider())
            .build()
            .expect("there are roots, and no revocation lists that could be malformed");
        Self { certificates, bundled, verifier }
    }
}

/// The system's roots, read at the first call and kept for the process.
pub fn system_roots() -> &'static SystemRoots {
    static ROOTS: OnceLock<SystemRoots> = OnceLock::new();
    ROOTS.get_or_init(SystemRoots::load)
}

/// Systems hold certificates that rustls refuses; the others still count.
fn usable(certificates: &[CertificateDer<'static>]) -> Option<RootCertStore> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates.iter().cloned());
    (!store.is_empty()).then_some(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_always_roots() {
        let roots = system_roots();
        assert!(!roots.certificates().is_empty());
        assert!(std::ptr::eq(roots, system_roots()));
    }

    #[test]
    fn the_bundled_roots_all_serve() {
        let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec();
        let count = bundled.len();
        assert!(count > 50, "{count}");
        assert_eq!(usable(&bundled).unwrap().len(), count);
        assert!(usable(&[]).is_none());
        assert!(usable(&[CertificateDer::from(vec![1, 2, 3])]).is_none());
    }
}
