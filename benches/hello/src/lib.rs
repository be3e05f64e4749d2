//! What the servers of the benchmarks have in common: they bind, say where, and take connections.

use std::io::Write;
use tokio::net::{TcpListener, TcpStream};

/// Binds `address`, prints `ready ADDRESS` and gives each connection a task, until the process is
/// ended.
///
/// # Errors
/// When the address cannot be bound.
pub async fn accept<F>(address: &str, serve: impl Fn(TcpStream) -> F) -> std::io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address).await?;
    writeln!(std::io::stdout(), "ready {}", listener.local_addr()?)?;
    loop {
        // A failed accept (out of descriptors, peer gone) must not end a measurement.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

/// The first argument, else any free port.
pub fn address() -> String {
    std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned())
}
