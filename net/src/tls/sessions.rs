//! Resumption of sessions: how much each side remembers.

use super::TlsError;
use rustls::ServerConfig;
use rustls::client::Resumption;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use std::sync::Arc;

/// Sessions that a server remembers for clients without tickets, which is few of them.
const SERVER_SESSIONS: usize = 256;

/// Tickets that a client keeps: eight for each of 64 servers.
const CLIENT_SESSIONS: usize = 8 * 64;

/// What a server resumes from: tickets that hold their session themselves, and a small memory.
/// Keys of tickets change every six hours and end with the process.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    tickets: Arc<dyn ProducesTickets>,
    memory: Arc<dyn StoresServerSessions>,
}

impl Sessions {
    pub(super) fn new() -> Result<Self, TlsError> {
        Ok(Self {
            tickets: rustls::crypto::aws_lc_rs::Ticketer::new()?,
            memory: ServerSessionMemoryCache::new(SERVER_SESSIONS),
        })
    }

    pub(super) fn serve(&self, config: &mut ServerConfig) {
        config.ticketer = Arc::clone(&self.tickets);
        config.session_storage = Arc::clone(&self.memory);
    }
}

/// What a client resumes with. One per configuration: a session holds what was verified and
/// agreed under it.
pub(super) fn client() -> Resumption {
    Resumption::in_memory_sessions(CLIENT_SESSIONS)
}
