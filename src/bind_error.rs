//! What to say when an address cannot be listened on: for what it was wanted, and, on Linux, which
//! process has it.
//!
//! The holder is found through `/proc`: the listening socket's inode in `/proc/net/tcp{,6}`, then
//! the process that has it open. Whatever cannot be read is left out; this never fails.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use stitch_net::{Address, BindError};

/// What an address was wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `proxy.listen`.
    Proxy,
    /// `proxy.transparent`.
    Transparent,
    /// `proxy.admin`.
    Admin,
    /// The mock daemon.
    Mockd,
    /// `port` of this service.
    Service(String),
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxy => f.write_str("the proxy"),
            Self::Transparent => f.write_str("redirected connections"),
            Self::Admin => f.write_str("the admin API"),
            Self::Mockd => f.write_str("the mock daemon"),
            Self::Service(name) => write!(f, "service \"{name}\""),
        }
    }
}

impl Purpose {
    /// How to ask for another address.
    fn way_out(&self) -> &'static str {
        match self {
            Self::Proxy | Self::Mockd => "stop it, or pass --listen with another address",
            Self::Transparent => "stop it, or give proxy.transparent another port",
            Self::Admin => "stop it, or pass --admin with another address",
            Self::Service(_) => "stop it, or give the service another `port` (0 picks a free one)",
        }
    }
}

/// The whole story of a listener that could not be had, in one line.
pub(crate) fn explain(error: &BindError, purpose: &Purpose) -> String {
    let start = format!("cannot listen on {} for {purpose}", error.address);
    let address = match &error.address {
        Address::Tcp(address) => address,
        Address::Unix(_) => return explain_unix(&start, &error.source, purpose),
    };
    match error.source.kind() {
        ErrorKind::AddrInUse => {
            let holder = holder(Path::new("/proc"), *address);
            let holder = holder.map_or_else(|| "another process".to_owned(), |by| by.to_string());
            format!("{start}: port {} is in use by {holder}; {}", address.port(), purpose.way_out())
        }
        ErrorKind::PermissionDenied if address.port() < 1024 => {
            format!("{start}: ports below 1024 need privileges; use a higher one")
        }
        ErrorKind::AddrNotAvailable => {
            format!("{start}: {} is no address of this machine", address.ip())
        }
        _ => format!("{start}: {}", error.source),
    }
}

fn explain_unix(start: &str, source: &io::Error, purpose: &Purpose) -> String {
    match source.kind() {
        ErrorKind::AddrInUse => {
            format!("{start}: somebody listens on it, or it is no socket; {}", purpose.way_out())
        }
        ErrorKind::NotFound => format!("{start}: its directory does not exist"),
        _ => format!("{start}: {source}"),
    }
}

/// A process that has a socket open.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    pid: u32,
    name: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} (pid {})", self.pid),
            None => write!(f, "pid {}", self.pid),
        }
    }
}

/// Who listens on the address, as far as `/proc` tells us.
fn holder(proc: &Path, address: SocketAddr) -> Option<Holder> {
    let tables = ["net/tcp", "net/tcp6"];
    let tables = tables.iter().filter_map(|table| fs::read_to_string(proc.join(table)).ok());
    let inodes: Vec<u64> = tables.flat_map(|table| listening(&table, address.port())).collect();
    if inodes.is_empty() {
        return None;
    }
    let wanted: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let pid = fs::read_dir(proc).ok()?.filter_map(Result::ok).find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        has_open(&process.path(), &wanted).then_some(pid)
    })?;
    let name = fs::read_to_string(proc.join(pid.to_string()).join("comm")).ok();
    Some(Holder { pid, name: name.map(|name| name.trim().to_owned()) })
}

fn has_open(process: &Path, wanted: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors
        .filter_map(Result::ok)
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| wanted.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

/// The inodes of the sockets that listen on a port, from the text of `/proc/net/tcp` or `tcp6`.
///
/// The columns are `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …`;
/// addresses are hexadecimal `ADDRESS:PORT`, state `0A` is LISTEN.
fn listening(table: &str, port: u16) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let inode_of = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = columns.get(1)?.rsplit_once(':')?;
        let matches = u16::from_str_radix(local, 16).ok()? == port && *columns.get(3)? == LISTEN;
        columns.get(9)?.parse().ok().filter(|_| matches)
    };
    table.lines().skip(1).filter_map(inode_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stitch_net::Listener;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1001 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 1002 1 0000000000000000 20 4 30 10 -1
   2: 00000000:26AC 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1003 1 0000000000000000 100 0 0 10 0
   3: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1004 1
   4: broken
   5: 0100007F:zzzz 0 0A 0 0 0 0 0 0 0 0
";

    fn refused(kind: io::ErrorKind, address: &str) -> BindError {
        BindError { address: Address::Tcp(address.parse().unwrap()), source: kind.into() }
    }

    #[test]
    fn only_listeners_on_the_port_are_found() {
        assert_eq!(listening(TABLE, 8080), [1001, 1004]);
        assert_eq!(listening(TABLE, 9900), [1003]);
        assert_eq!(listening(TABLE, 1), [0; 0]);
        assert_eq!(listening("", 8080), [0; 0]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_that_has_the_port_is_named() {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let error = Listener::bind(listener.address.clone()).unwrap_err();
        let told = explain(&error, &Purpose::Service("users".into()));
        let port = listener.address.tcp().unwrap().port();
        let start = format!(
            "cannot listen on 127.0.0.1:{port} for service \"users\": port {port} is in use by "
        );
        assert!(told.starts_with(&start), "{told}");
        assert!(told.contains(&format!("(pid {})", std::process::id())), "{told}");
    }

    #[test]
    fn an_unknown_holder_is_another_process() {
        assert_eq!(holder(Path::new("/no/such/proc"), "127.0.0.1:1".parse().unwrap()), None);
        assert_eq!(Holder { pid: 7, name: None }.to_string(), "pid 7");
    }

    #[test]
    fn each_kind_of_refusal_has_its_advice() {
        let told = |kind, address, purpose| explain(&refused(kind, address), &purpose);
        let low = told(io::ErrorKind::PermissionDenied, "127.0.0.1:80", Purpose::Proxy);
        assert!(low.contains("127.0.0.1:80 for the proxy: ports below 1024"), "{low}");
        let foreign = told(io::ErrorKind::AddrNotAvailable, "192.0.2.1:80", Purpose::Admin);
        assert!(foreign.contains("for the admin API: 192.0.2.1 is no address"), "{foreign}");
        let other = told(io::ErrorKind::OutOfMemory, "127.0.0.1:8001", Purpose::Mockd);
        assert!(other.starts_with("cannot listen on 127.0.0.1:8001 for the mock daemon: "));
    }

    #[test]
    fn the_way_out_fits_the_purpose() {
        assert!(Purpose::Admin.way_out().contains("--admin"));
        assert!(Purpose::Mockd.way_out().contains("--listen"));
        assert!(Purpose::Service("a".into()).way_out().contains("`port`"));
    }
}
