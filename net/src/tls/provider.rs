//! The one crypto provider, and rustls builders that start from it.
//!
//! The provider is always passed on: rustls's process-wide default belongs to whoever sets it first.

use rustls::client::WantsClientCert;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ConfigBuilder, ServerConfig, WantsVerifier};
use std::sync::{Arc, OnceLock};

const SUITES: &str = "aws-lc-rs has suites of TLS 1.2 and 1.3";

/// aws-lc-rs, built once.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(provider)
}

pub(super) fn server() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect(SUITES)
}

pub(super) fn client(
    verifier: Arc<dyn rustls::client::danger::ServerCertVerifier>,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect(SUITES)
        .dangerous()
        .with_custom_certificate_verifier(verifier)
}
