//! From the command line to the exit code: read settings, bind, serve, stop.
//!
//! `run` is the whole `main` of a service. With `--health` the binary asks a running copy of itself instead,
//! so that a container image needs no `curl` for its health check.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use axum::Router;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::timeout,
};

use crate::{
    log,
    setting::{SettingError, setting},
};

/// How long open requests may go on after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long a health check may take; container runtimes give up at about 30 s.
const PATIENCE: Duration = Duration::from_secs(2);

/// A setting was wrong, as opposed to something that failed while running (1).
const USAGE: u8 = 2;

/// Runs the service `name` until SIGTERM or SIGINT, at `HOST` (127.0.0.1) and `PORT` (`port`; 0 picks one).
pub fn run(
    name: &'static str,
    port: u16,
    build: impl FnOnce() -> Result<Router, SettingError>,
) -> ExitCode {
    log::init();
    let address = match address(port) {
        Ok(address) => address,
        Err(error) => return failed(name, USAGE, &error),
    };
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--health") => {
            return match health(address) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(name, 1, &error),
            };
        }
        Some(other) => {
            let error = format!(
                "unknown argument `{other}`; the only one is --health, the rest is environment"
            );
            return failed(name, USAGE, &error);
        }
    }
    let router = match build() {
        Ok(router) => router,
        Err(error) => return failed(name, USAGE, &error),
    };
    match serve(name, address, router) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(name, 1, &format_args!("{address}: {error}")),
    }
}

fn failed(name: &str, code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    tracing::error!(service = name, %error, "Service failed");
    ExitCode::from(code)
}

fn address(port: u16) -> Result<SocketAddr, SettingError> {
    let host = setting::<IpAddr>(
        "HOST",
        Ipv4Addr::LOCALHOST.into(),
        "give an address such as 127.0.0.1 or 0.0.0.0",
    )?;
    let port = setting("PORT", port, "give a number from 0 (any free port) to 65535")?;
    Ok((host, port).into())
}

#[tokio::main]
async fn serve(name: &'static str, address: SocketAddr, router: Router) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let address = listener.local_addr()?.to_string();
    tracing::info!(service = name, address, "Listening");

    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        // A dropped sender means the same.
        let _ = stopped.await;
    });
    let mut server = pin!(server.into_future());
    tokio::select! {
        result = &mut server => return result,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(service = name, "Stopping");
    drop(stop);
    if let Ok(result) = timeout(GRACE, server).await {
        return result;
    }
    tracing::warn!(service = name, "Requests were still open when the grace time ended");
    Ok(())
}

/// Asks the service at `address` whether it lives. Plain std: the check runs every few seconds.
fn health(mut address: SocketAddr) -> io::Result<()> {
    // A service on every address is asked on the local one.
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one write: a server may answer and close as soon as it has seen a part.
    let request =
        format!("GET /health/live HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if &answer == b"HTTP/1.1 200" {
        Ok(())
    } else {
        let answer = String::from_utf8_lossy(&answer);
        Err(io::Error::other(format!("{address} answered `{answer}`")))
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// A server that answers one connection with `answer`, and the address that reaches it.
    fn answering(answer: &'static [u8]) -> (SocketAddr, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            assert!(stream.read(&mut asked).unwrap() > 0);
            stream.write_all(answer).unwrap();
        });
        ((Ipv4Addr::UNSPECIFIED, port).into(), server)
    }

    #[test]
    fn health_is_a_200() {
        let (address, server) = answering(b"HTTP/1.1 200 OK\r\n\r\n");
        health(address).unwrap();
        server.join().unwrap();

        let (address, server) = answering(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
        assert!(health(address).unwrap_err().to_string().ends_with("answered `HTTP/1.1 503`"));
        server.join().unwrap();
    }
}
