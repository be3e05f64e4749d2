//! TLS: from certificate files to configurations of rustls, and what both sides of it need.
//!
//! Everything here is a building block without sockets: servers' and clients' configurations,
//! identities of peers, the authority that interception mints with, a look at a first flight, and
//! words for what goes wrong. Who listens or connects with them is decided elsewhere.

mod authority;
mod client;
mod error;
mod explain;
mod forwarded;
mod hello;
mod identity;
mod install;
mod leaves;
mod pem;
mod provider;
mod replace;
mod roots;
mod server;
mod sessions;
#[cfg(test)]
mod testing;
mod verify;

pub use authority::Authority;
pub use client::{ClientFiles, ClientTls};
pub use error::TlsError;
pub use explain::{explain_accept, explain_connect};
pub use forwarded::forwarded_certificate;
pub use hello::{ClientHello, Sniffed, sniff};
pub use identity::identity;
pub use install::{CA_CERTIFICATE, CA_KEY, default_dir};
pub use provider::provider;
pub use replace::replace_file;
pub use roots::{SystemRoots, system_roots};
pub use server::{ServerFiles, ServerTls};
