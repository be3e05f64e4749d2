//! A look at the first bytes of a connection: is it TLS, and what does the client ask for?
//!
//! A pure function of the bytes read so far, which stay where they are: whoever takes the connection
//! on, or passes it through, gets all of them.

use rustls::server::Acceptor;
use std::borrow::Cow;

/// The largest hello that is waited for.
const MAX_BYTES: usize = 64 * 1024;

/// What a record begins with: its type, two bytes of version, two of length.
const HEADER: usize = 5;

/// The record type of handshakes, and so the first byte of every TLS connection.
const HANDSHAKE: u8 = 0x16;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// The beginning of a hello.
    NeedMore,
    /// A whole hello.
    Hello(ClientHello),
    /// Something else, or a hello that cannot be worked with; the text says what is wrong with it.
    NotTls(Cow<'static, str>),
}

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The name it wants, in lower case and without a dot at its end.
    pub sni: Option<String>,
}

/// Looks at everything that a client has sent so far.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Sniffed {
    match bytes {
        [] => Sniffed::NeedMore,
        [HANDSHAKE] => Sniffed::NeedMore,
        // Every version since SSL 3.0 says 3 here.
        [HANDSHAKE, 3, rest @ ..] => match rest {
            [_, high, low, ..] => {
                let record = HEADER + usize::from(u16::from_be_bytes([*high, *low]));
                // Parsing starts when the first record is here, which nearly always holds it all.
                if bytes.len() < record { Sniffed::NeedMore } else { parse(bytes) }
            }
            _ => Sniffed::NeedMore,
        },
        _ => Sniffed::NotTls(Cow::Borrowed("does not begin like TLS")),
    }
}

fn parse(bytes: &[u8]) -> Sniffed {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    loop {
        match acceptor.accept() {
            Ok(Some(accepted)) => return Sniffed::Hello(wanted(&accepted.client_hello())),
            Ok(None) if rest.is_empty() => break,
            Ok(None) => {}
            Err((error, _)) => return Sniffed::NotTls(Cow::Owned(error.to_string())),
        }
        // Reads a part at a time, and errs when its buffer is full.
        if !matches!(acceptor.read_tls(&mut rest), Ok(1..)) {
            return too_large();
        }
    }
    if bytes.len() > MAX_BYTES { too_large() } else { Sniffed::NeedMore }
}

fn too_large() -> Sniffed {
    Sniffed::NotTls(Cow::Borrowed("the hello is larger than 64 KiB"))
}

fn wanted(hello: &rustls::server::ClientHello<'_>) -> ClientHello {
    let name = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    ClientHello { sni: hello.server_name().map(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{ClientFiles, ClientTls};
    use proptest::prelude::*;
    use rustls::ClientConnection;

    fn hello(host: &str) -> Vec<u8> {
        let files = ClientFiles { insecure: true, ..ClientFiles::default() };
        let tls = ClientTls::load(&files).unwrap();
        let name = tls.server_name(host).unwrap();
        let mut bytes = Vec::new();
        let mut client = ClientConnection::new(tls.http, name).unwrap();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    /// The same handshake message in records of a few bytes each.
    fn in_pieces(hello: &[u8], size: usize) -> Vec<u8> {
        let records = hello[HEADER..].chunks(size).flat_map(|piece| {
            let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
            [&[HANDSHAKE, 3, 1], &length[..], piece].concat()
        });
        records.collect()
    }

    fn web(sni: Option<&str>) -> Sniffed {
        Sniffed::Hello(ClientHello { sni: sni.map(str::to_owned) })
    }

    fn refused(bytes: &[u8]) -> String {
        match sniff(bytes) {
            Sniffed::NotTls(why) => why.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_hello_is_known_at_its_last_byte() {
        let hello = hello("Users.Example");
        for end in 0..hello.len() {
            assert_eq!(sniff(&hello[..end]), Sniffed::NeedMore, "{end}");
        }
        assert_eq!(sniff(&hello), web(Some("users.example")));
        // What follows it does not matter.
        assert_eq!(sniff(&[&hello[..], b"more"].concat()), web(Some("users.example")));
    }

    #[test]
    fn a_hello_in_many_records_is_put_together() {
        let hello = in_pieces(&hello("users.example"), 50);
        for end in 0..hello.len() {
            assert_eq!(sniff(&hello[..end]), Sniffed::NeedMore, "{end}");
        }
        assert_eq!(sniff(&hello), web(Some("users.example")));
    }

    #[test]
    fn addresses_send_no_name() {
        assert_eq!(sniff(&hello("127.0.0.1")), web(None));
        assert_eq!(sniff(&hello("[::1]")), web(None));
    }

    #[test]
    fn other_protocols_are_told_at_once() {
        for other in [&b"G"[..], b"GET / HTTP/1.1\r\n\r\n", b"\x16\x02", b"\0", b"PRI * HTTP/2.0"] {
            assert_eq!(refused(other), "does not begin like TLS");
        }
    }

    #[test]
    fn damaged_hellos_are_refused_in_words() {
        let whole = hello("users.example");
        // The type of the message, and the length of the session id.
        for at in [5, 43] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            assert!(!matches!(sniff(&damaged), Sniffed::Hello(_)), "{at}");
        }
        assert!(!refused(b"\x16\x03\x01\x00\x04\x02\x00\x00\x00").is_empty());
    }

    #[test]
    fn nothing_that_begins_like_a_hello_panics() {
        let whole = hello("users.example");
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, whole[at] ^ 1] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let _ = sniff(&damaged);
            }
        }
    }

    #[test]
    fn a_hello_has_an_end() {
        // Announces 65 535 bytes, and sends them in small records.
        let message = [&[1, 0, 0xff, 0xff][..], &vec![0; 0xffff]].concat();
        let long = in_pieces(&[&[0; HEADER][..], &message].concat(), 1000);
        assert_eq!(sniff(&long[..60_000]), Sniffed::NeedMore);
        assert_eq!(refused(&long[..MAX_BYTES + 1]), "the hello is larger than 64 KiB");
        // Announces more than that.
        let huge =
            in_pieces(&[&[0; HEADER][..], &[1, 0xff, 0xff, 0xff][..], &[0; 100]].concat(), 1000);
        assert!(!refused(&huge).is_empty());
    }

    /// A hello that was changed here and there, and what follows it.
    fn hellos() -> impl Strategy<Value = Vec<u8>> {
        let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
        let size = prop::sample::select(vec![usize::from(u16::MAX), 50, 7]);
        let more = prop::collection::vec(any::<u8>(), 0..50);
        (Just(hello("users.example")), changes, size, more).prop_map(
            |(hello, changes, size, more)| {
                let mut bytes = in_pieces(&hello, size);
                for (at, byte) in changes {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                [bytes, more].concat()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..<_>::default() })]

        /// However a hello is cut, what is told once is told of all that follows; nothing panics.
        #[test]
        fn what_is_told_does_not_depend_on_how_bytes_arrive(bytes in hellos()) {
            let mut told = None;
            for end in 0..=bytes.len() {
                match (sniff(&bytes[..end]), &told) {
                    (Sniffed::NeedMore, None) => {}
                    (now, None) => told = Some(now),
                    (Sniffed::Hello(now), Some(Sniffed::Hello(before))) => {
                        prop_assert_eq!(&now, before);
                    }
                    // Why it is none may become clearer.
                    (Sniffed::NotTls(_), Some(Sniffed::NotTls(_))) => {}
                    (now, Some(before)) => prop_assert!(false, "{now:?} after {before:?}"),
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = sniff(&bytes);
            let _ = sniff(&[&[HANDSHAKE, 3, 1, 0, 0x40], &bytes[..]].concat());
        }
    }
}
