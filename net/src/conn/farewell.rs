//! The end of a connection whose client may still be sending.
//!
//! A socket that is closed with bytes unread, or that hears of more, answers with a reset, and a
//! reset throws away what the client has received and not yet read: our last answer.

use super::handle::Handle;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// How long last bytes may take to leave.
const WRITE: Duration = Duration::from_secs(1);
/// How long a client may go on sending what nobody wants; nginx's `lingering_time`.
const LINGER: Duration = Duration::from_secs(30);
/// How long it may be silent meanwhile; nginx's `lingering_timeout`.
const SILENCE: Duration = Duration::from_secs(5);
/// Bytes that are thrown away at a time.
const PIECE: usize = 16 * 1024;

/// Writes the last bytes of a connection whose client has had its time.
pub(crate) async fn dismiss<Io: AsyncWrite + Unpin>(mut stream: Io, bytes: &[u8]) {
    // The peer may be gone or not reading; either way the connection is over.
    let _ = timeout(WRITE, stream.write_all(bytes)).await;
}

/// Writes the last bytes of a connection, if there are any, and lets the client hear them and what
/// went before.
pub(crate) async fn finish<Io>(mut stream: Io, bytes: &[u8], handle: &Handle)
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    if let Ok(Ok(())) = timeout(WRITE, stream.write_all(bytes)).await {
        linger(stream, handle).await;
    }
}

/// Says that nothing more will come, and throws away what does, until the client has closed too or
/// had its time.
async fn linger<Io>(mut stream: Io, handle: &Handle)
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    // The stream of an unoccupied connection ends with its drop alone; see `ConnIo::poll_shutdown`.
    let _occupied = handle.occupy();
    let listen = async {
        timeout(WRITE, stream.shutdown()).await??;
        let mut unwanted = vec![0; PIECE];
        while timeout(SILENCE, stream.read(&mut unwanted)).await?? > 0 {}
        io::Result::Ok(())
    };
    // However it ends, it is over.
    let _ = timeout(LINGER, listen).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;
    use tokio::time::Instant;

    /// How long a client is lingered with that sends a byte this often.
    async fn lingered(every: Duration) -> Duration {
        let (ours, mut theirs) = duplex(64);
        let started = Instant::now();
        let handle = Handle::default();
        let client = async {
            loop {
                tokio::time::sleep(every).await;
                if theirs.write_all(b"x").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = finish(ours, b"answer", &handle) => {}
            () = client => {}
        }
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_on_has_its_time() {
        assert_eq!(lingered(Duration::from_secs(1)).await, LINGER);
        assert_eq!(lingered(Duration::from_secs(60)).await, SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_not_waited_for() {
        let (ours, _theirs) = duplex(4);
        let started = Instant::now();
        finish(ours, b"a long answer", &Handle::default()).await;
        assert_eq!(started.elapsed(), WRITE);
    }

    #[tokio::test]
    async fn it_is_over_when_the_client_closes() {
        let (ours, mut theirs) = duplex(64);
        let client = async {
            theirs.write_all(b"the rest of an upload").await.unwrap();
            let mut heard = String::new();
            theirs.read_to_string(&mut heard).await.unwrap();
            drop(theirs);
            heard
        };
        let handle = Handle::default();
        let ((), heard) = tokio::join!(finish(ours, b"answer", &handle), client);
        assert_eq!(heard, "answer");
    }
}
