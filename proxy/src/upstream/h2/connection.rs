//! One connection: its handshake, its limits, and the task that drives it.

use crate::upstream::{ExchangeError, Wire};
use bytes::Bytes;
use h2::client::{Builder, SendRequest};

/// Bytes of one answer that may wait for its reader.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all answers of a connection. Many times the other one, so that an answer that nobody
/// reads does not hold up its neighbours.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// Bytes of one request that may wait for the endpoint.
const SEND_BUFFER: usize = 256 * 1024;
/// Largest header section of an answer, in bytes, as with HTTP/1.
const HEADERS: u32 = 64 * 1024;

/// Opens HTTP/2 on a wire. The connection lives as long as anybody holds what is returned, or an
/// exchange on it.
///
/// # Errors
/// When the wire fails before the preface is written.
pub(in crate::upstream) async fn open(wire: Wire) -> Result<SendRequest<Bytes>, ExchangeError> {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEADERS);
    let (send, connection) = builder.handshake(wire).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            // Its exchanges tell whoever waits for them.
            tracing::debug!(%error, "An HTTP/2 connection to an endpoint ended");
        }
    });
    Ok(send)
}
