//! The PROXY protocol: a balancer in front says who is really calling, and we say so to others.
//!
//! Reading is strict: a listener that expects a header gets one, or closes the connection. Otherwise
//! whoever reaches it directly could choose their own address.

use super::accept::Handler;
use crate::conn::{ConnIo, Phase, ReadAhead as _, Unopened, read_until};
use crate::peer::Peer;
use futures_util::future::Either;
use proxy_header::{Error, ParseConfig, Protocol, ProxiedAddress, ProxyHeader};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";
/// The longest header of version 1, in bytes, its line end included.
const LONGEST_V1: usize = 107;
/// What version 2 begins with: its signature, and where the length of the rest is told.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED: usize = 16;
/// The longest header of version 2 that is read; addresses take 52 bytes of it, the rest are fields
/// that nobody here looks at.
const LONGEST_V2: usize = 1024;

/// A handler whose connections begin with a PROXY header, if they have to.
#[derive(Debug)]
pub struct Proxied<H> {
    inner: Arc<H>,
    required: bool,
}

impl<H> Proxied<H> {
    /// In front of a handler; without `required` it is as if it were not there.
    pub fn new(inner: Arc<H>, required: bool) -> Self {
        Self { inner, required }
    }
}

impl<H: Handler> Handler for Proxied<H> {
    fn handle(self: Arc<Self>, io: ConnIo, peer: Peer) -> impl Future<Output = ()> + Send {
        let inner = self.inner.clone();
        if self.required {
            Either::Left(handle_introduced(inner, io, peer))
        } else {
            // As it is: a future around it would cost every request.
            Either::Right(inner.handle(io, peer))
        }
    }
}

async fn handle_introduced<H: Handler>(inner: Arc<H>, mut io: ConnIo, mut peer: Peer) {
    match introduce(&mut io, &mut peer).await {
        // Boxed: the room for what is not required here would cost every connection.
        Ok(true) => Box::pin(inner.handle(io, peer)).await,
        // Balancers connect and close to see whether somebody is here, and a drain is nobody's fault.
        Err(Unopened::Told) => {}
        Err(Unopened::Closed) if io.ahead().is_empty() => {}
        Ok(false) | Err(Unopened::Closed | Unopened::HeaderTimeout) => {
            metrics::counter!("stitch_bad_requests_total", "reason" => "proxy_protocol")
                .increment(1);
            tracing::debug!(peer = %peer.remote, "Closed what did not begin with a PROXY header");
        }
    }
}

/// Learns from the header who is calling; false when there is none.
async fn introduce(io: &mut ConnIo, peer: &mut Peer) -> Result<bool, Unopened> {
    // Whoever has to say something first gets as long for it as for the head of a request.
    peer.connection.enter(Phase::Header);
    let Looked::Header(address, length) = read_until(io, &peer.connection, look).await? else {
        return Ok(false);
    };
    io.consume(length);
    if let Some((source, destination)) = address {
        (peer.remote, peer.local) = (source, destination);
    }
    peer.connection.enter(Phase::Idle);
    Ok(true)
}

/// What the first bytes are.
#[derive(Debug, PartialEq, Eq)]
enum Looked {
    /// Source and destination, unless they are the connection's own; and the length of it all.
    Header(Option<(SocketAddr, SocketAddr)>, usize),
    NoHeader,
}

fn look(bytes: &[u8]) -> Option<Looked> {
    let text = bytes.first() == Some(&b'P');
    if text && !may_be_line(bytes) {
        return Some(Looked::NoHeader);
    }
    if stated_length(bytes).is_some_and(|length| length > LONGEST_V2) {
        return Some(Looked::NoHeader);
    }
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    match ProxyHeader::parse(bytes, config) {
        Ok((_, length)) if text && length > LONGEST_V1 => Some(Looked::NoHeader),
        Ok((header, length)) => {
            let streamed = header
                .proxied_address()
                .filter(|address| address.protocol == Protocol::Stream)
                .map(|address| (address.source, address.destination));
            Some(Looked::Header(streamed, length))
        }
        Err(Error::BufferTooShort) => {
            // More of it cannot make up for what is missing in the middle.
            let whole = match text {
                true => bytes.contains(&b'\n'),
                false => stated_length(bytes).is_some_and(|length| bytes.len() >= length),
            };
            whole.then_some(Looked::NoHeader)
        }
        Err(_) => Some(Looked::NoHeader),
    }
}

/// Whether this can be a header of version 1 or its beginning, as far as its parser does not look: it
/// takes any byte for the first space, and passes over single line feeds.
fn may_be_line(bytes: &[u8]) -> bool {
    let ends = bytes.iter().position(|byte| *byte == b'\n');
    let in_order = ends.is_none_or(|end| bytes[..end].ends_with(b"\r"));
    in_order && bytes.iter().zip(WORD).all(|(there, expected)| there == expected)
}

/// How long a header of version 2 says it is.
fn stated_length(bytes: &[u8]) -> Option<usize> {
    let rest = bytes.get(FIXED - 2..FIXED).filter(|_| bytes.starts_with(SIGNATURE))?;
    Some(FIXED + usize::from(u16::from_be_bytes([rest[0], rest[1]])))
}

/// The header that tells somebody else who this peer is; `binary` is version 2.
pub fn introduction(peer: &Peer, binary: bool) -> Vec<u8> {
    let destination = peer.original_destination.unwrap_or(peer.local);
    let header = match same_family(peer.remote, destination) {
        // Nobody has an address on a unix socket.
        _ if peer.remote.port() == 0 => ProxyHeader::with_local(),
        (source, destination) => {
            ProxyHeader::with_address(ProxiedAddress::stream(source, destination))
        }
    };
    let mut bytes = Vec::with_capacity(LONGEST_V1);
    let encoded = match binary {
        true => header.encode_v2(&mut bytes),
        false => header.encode_v1(&mut bytes),
    };
    debug_assert!(encoded.is_ok(), "two addresses of one family, and nothing besides");
    bytes
}

/// Both addresses as IPv4, or both as IPv6.
fn same_family(one: SocketAddr, other: SocketAddr) -> (SocketAddr, SocketAddr) {
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    match (canonical(one), canonical(other)) {
        (one, other) if one.is_ipv4() == other.is_ipv4() => (one, other),
        (one, other) => (mapped(one), mapped(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::{Handle, Timers, Watch};
    use proptest::prelude::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn peer(remote: &str, local: &str) -> Peer {
        Peer::new(address(remote), address(local), Handle::default())
    }

    /// What is told from the whole, once every beginning was found too short.
    fn told(bytes: &[u8]) -> Option<Looked> {
        let early = (0..bytes.len()).find(|length| look(&bytes[..*length]).is_some());
        assert_eq!(early, None, "told too early");
        look(bytes)
    }

    #[test]
    fn what_we_write_is_what_we_read() {
        for (remote, local, read_remote, read_local) in [
            ("192.0.2.1:4000", "127.0.0.1:80", "192.0.2.1:4000", "127.0.0.1:80"),
            ("[2001:db8::1]:1", "[::1]:443", "[2001:db8::1]:1", "[::1]:443"),
            ("[::ffff:192.0.2.1]:1", "10.0.0.1:2", "192.0.2.1:1", "10.0.0.1:2"),
            ("192.0.2.1:1", "[::1]:2", "[::ffff:192.0.2.1]:1", "[::1]:2"),
        ] {
            let addresses = Some((address(read_remote), address(read_local)));
            for binary in [false, true] {
                let header = introduction(&peer(remote, local), binary);
                assert_eq!(told(&header), Some(Looked::Header(addresses, header.len())));
                let more = [&header[..], b"GET /"].concat();
                assert_eq!(look(&more), Some(Looked::Header(addresses, header.len())));
            }
        }
        assert_eq!(introduction(&peer("127.0.0.1:0", "127.0.0.1:0"), false), b"PROXY UNKNOWN\r\n");
        let nobody = introduction(&peer("127.0.0.1:0", "127.0.0.1:0"), true);
        assert_eq!(told(&nobody), Some(Looked::Header(None, 16)));
        let redirected = Peer {
            original_destination: Some(address("192.0.2.9:5432")),
            ..peer("192.0.2.1:1", "127.0.0.1:2")
        };
        assert_eq!(introduction(&redirected, false), b"PROXY TCP4 192.0.2.1 192.0.2.9 1 5432\r\n");
    }

    #[test]
    fn anything_else_is_none() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"POST / HTTP/1.1\r\n",
            b"\x16\x03\x01",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
            b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rx",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            // Lines that end early, for some.
            b"PROXY\nUNKNOWN\r\n",
            b"PROXY UNKNOWN\nPROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c123456789012",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x02ab",
        ] {
            let whole = look(bytes);
            assert!(
                whole == Some(Looked::NoHeader),
                "{:?}: {whole:?}",
                bytes.escape_ascii().to_string()
            );
        }
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 100], b"\r\n"].concat();
        assert_eq!(look(&long), Some(Looked::NoHeader));
        assert_eq!(look(&long[..107]), Some(Looked::NoHeader), "nothing longer is waited for");
    }

    #[test]
    fn fields_are_skipped_as_far_as_they_are_bounded() {
        let header = |fields: u16| {
            let mut bytes = [SIGNATURE, b"\x21\x11"].concat();
            bytes.extend((12 + fields).to_be_bytes());
            bytes.extend([192, 0, 2, 1, 10, 0, 0, 1, 0, 1, 0, 2]);
            bytes.extend(std::iter::repeat_n(0, usize::from(fields)));
            bytes
        };
        let addresses = Some((address("192.0.2.1:1"), address("10.0.0.1:2")));
        assert_eq!(told(&header(996)), Some(Looked::Header(addresses, LONGEST_V2)));
        assert_eq!(look(&header(997)[..FIXED]), Some(Looked::NoHeader));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut state = 1_u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        for start in [&b"PROXY "[..], b"PROXY TCP4 ", b"PROXY TCP6 ::", SIGNATURE, b"P", b"\r"] {
            for length in 0..300 {
                let bytes: Vec<u8> =
                    start.iter().copied().chain((0..length % 64).map(|_| random())).collect();
                let _ = look(&bytes);
            }
        }
    }

    /// Tells whom it got, and says back what it reads.
    struct Echo(std::sync::Mutex<Option<Peer>>);

    impl Handler for Echo {
        async fn handle(self: Arc<Self>, mut io: ConnIo, peer: Peer) {
            *self.0.lock().unwrap() = Some(peer);
            let mut bytes = [0; 5];
            if io.read_exact(&mut bytes).await.is_ok() {
                let _ = io.write_all(&bytes).await;
            }
        }
    }

    async fn connected(required: bool) -> (TcpStream, Arc<Echo>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let local = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(local), listener.accept());
        let (header, long) = (Duration::from_millis(300), Duration::from_secs(60));
        let watch = Watch::new(Timers { header, idle: long, stream: long });
        tokio::spawn(watch.clone().keep());
        let (stream, remote) = accepted.unwrap();
        let peer = Peer::new(remote, local, watch.open(None));
        let echo = Arc::new(Echo(Default::default()));
        let proxied = Arc::new(Proxied::new(echo.clone(), required));
        tokio::spawn(proxied.handle(ConnIo::new(stream, peer.connection.clone()), peer));
        (client.unwrap(), echo)
    }

    async fn answer(mut client: TcpStream, bytes: &[u8]) -> Vec<u8> {
        client.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset is as good as an end: what was sent was not read.
        let _ = client.read_to_end(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn a_peer_is_who_the_header_says() {
        let (client, echo) = connected(true).await;
        let bytes = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello";
        assert_eq!(answer(client, bytes).await, b"hello");
        let peer = echo.0.lock().unwrap().take().unwrap();
        assert_eq!((peer.remote, peer.local), (address("192.0.2.1:1"), address("192.0.2.2:2")));

        let (client, echo) = connected(true).await;
        let own = client.local_addr().unwrap();
        assert_eq!(answer(client, b"PROXY UNKNOWN\r\nhello").await, b"hello");
        assert_eq!(echo.0.lock().unwrap().take().unwrap().remote, own);
    }

    #[tokio::test]
    async fn without_a_header_it_is_closed() {
        let (client, echo) = connected(true).await;
        assert_eq!(answer(client, b"hello").await, b"");
        let (client, _) = connected(true).await;
        assert_eq!(answer(client, b"PROXY").await, b"", "it was waited for, but not for ever");
        assert!(echo.0.lock().unwrap().is_none());
        let (client, _) = connected(false).await;
        assert_eq!(answer(client, b"hello").await, b"hello");
    }

    /// Headers of both versions, changed here and there, and what follows them.
    fn headers() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(vec![
            b"PROXY TCP4 192.0.2.1 198.51.100.1 4000 443\r\n".to_vec(),
            b"PROXY TCP6 2001:db8::1 2001:db8::2 4000 443\r\n".to_vec(),
            b"PROXY UNKNOWN\r\n".to_vec(),
            [SIGNATURE, b"\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\x0f\xa0\x01\xbb"].concat(),
            [SIGNATURE, b"\x20\0\0\0"].concat(),
            Vec::new(),
        ]);
        let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        let more = prop::collection::vec(any::<u8>(), 0..40);
        (known, changes, more).prop_map(|(mut bytes, changes, more)| {
            for (at, byte) in changes {
                // Nothing of nothing can be changed.
                let at = at.index(bytes.len().max(1));
                bytes.get_mut(at).into_iter().for_each(|there| *there = byte);
            }
            [bytes, more].concat()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..<_>::default() })]

        /// However a header is cut, what is told once is told of all that follows; nothing panics.
        #[test]
        fn what_is_told_does_not_depend_on_how_bytes_arrive(bytes in headers()) {
            let told: Vec<_> = (0..=bytes.len()).map(|end| look(&bytes[..end])).collect();
            let mut after = told.iter().skip_while(|told| told.is_none());
            let first = after.clone().next();
            prop_assert!(after.all(|told| Some(told) == first), "{:?}", told);
        }

        #[test]
        fn nothing_is_waited_for_without_end(
            bytes in headers(),
            piece in prop::collection::vec(any::<u8>(), 1..8),
        ) {
            let more = piece.iter().copied().cycle();
            let long: Vec<u8> = bytes.into_iter().chain(more).take(2 * LONGEST_V2).collect();
            prop_assert!(look(&long).is_some());
        }
    }
}
