//! One connection: its handshake, its limits, and the task that drives it.

use super::health::Health;
use crate::upstream::{ExchangeError, Wire};
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use std::sync::Arc;
use tokio_util::io::InspectReader;

/// Most exchanges on one connection, whatever the endpoint allows.
pub(super) const EXCHANGES: u32 = 256;
/// Bytes of one answer that may wait for its reader.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all answers of a connection: room for each, so that those that nobody reads, however
/// many, do not hold up those of other clients.
const CONNECTION_WINDOW: u32 = EXCHANGES * STREAM_WINDOW;
/// What small pieces of answers that nobody reads may cost: each counts as 256 bytes less its own. It
/// is the connection that ends when they cost more, so there is room for many clients who leave
/// messages of a few bytes unread.
const PIECES: usize = 4 * CONNECTION_WINDOW as usize;
/// Bytes of one request that may wait for the endpoint.
const SEND_BUFFER: usize = 256 * 1024;
/// Largest header section of an answer, in bytes, as with HTTP/1.
const HEADERS: u32 = 64 * 1024;

/// A connection that was just opened, and what is known of it.
pub(in crate::upstream) struct Opened {
    pub(super) send: SendRequest<Bytes>,
    pub(super) health: Arc<Health>,
}

/// Opens HTTP/2 on a wire. The connection lives as long as anybody holds what is returned, or an
/// exchange on it.
///
/// # Errors
/// When the wire fails before the preface is written.
pub(in crate::upstream) async fn open(wire: Wire) -> Result<Opened, ExchangeError> {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(PIECES)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEADERS);
    let health = Arc::new(Health::default());
    let hearing = health.clone();
    let wire = InspectReader::new(wire, move |_: &[u8]| hearing.hear());
    let (send, mut connection) = builder.handshake(wire).await?;
    let (questions, asking) = (connection.ping_pong(), health.clone());
    tokio::spawn(async move {
        tokio::select! {
            biased;
            ended = connection => if let Err(error) = ended {
                // Its exchanges tell whoever waits for them.
                tracing::debug!(%error, "An HTTP/2 connection to an endpoint ended");
            },
            () = asking.ask(questions) => {}
        }
    });
    Ok(Opened { send, health })
}
