//! The floor: a TCP relay on one thread that knows no HTTP at all.
//!
//! `relay ADDRESS UPSTREAM` binds, prints `ready ADDRESS` and copies bytes both ways between each
//! client connection and an upstream connection of its own. No proxy can cost less CPU than the
//! system calls that remain here.

use bench_hello::accept;
use std::io::Error;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::TcpStream;

/// Enough that more would save no system calls: what loopback hands over at once.
const BUFFER: usize = 64 << 10;

async fn relay(mut client: TcpStream, upstream: String) -> std::io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(upstream)) = (args.next(), args.next()) else {
        return Err(Error::other("usage: relay ADDRESS UPSTREAM"));
    };
    accept(&address, |client| {
        let upstream = upstream.clone();
        // Either side breaking off ends the pair and nothing else.
        async { drop(relay(client, upstream).await) }
    })
    .await
}
