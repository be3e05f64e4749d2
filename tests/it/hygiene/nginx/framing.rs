//! Bodies in front of nginx: which arrive, in which framing, and which never look whole.

use super::super::rows;
use super::behind::{Behind, PATIENCE, SCHEMES};
use stitch_kit::h2;
use stitch_kit::http::Connection;

#[test]
fn nothing_is_smuggled() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        let both = rows::BOTH.iter().map(|lines| rows::post(lines));
        let chunks = rows::CHUNKS.iter().map(|chunks| rows::broken(chunks));
        for text in both.chain(chunks) {
            let (mut connection, _) = behind.send(&text);
            connection.read_to_close();
        }
        let seen = behind.seen();
        assert!(!seen.iter().any(|line| line.contains("smuggled")), "{seen:?}");
    }
}

#[test]
fn bodies_are_kept_as_they_were_sent_or_not_at_all() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        behind.keep();
        let put =
            |name: &str, rest: &str| format!("PUT /kept/{name} HTTP/1.1\r\nhost: users\r\n{rest}");
        for (name, rest) in [
            ("length", "content-length: 5\r\n\r\nhello"),
            ("chunked", "transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            ("trailers", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n"),
            ("extended", "transfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n"),
            ("twice", "content-length: 5\r\ncontent-length: 5\r\n\r\nhello"),
        ] {
            // nginx takes trailers of a request for a breach of HTTP/2.
            if (scheme, name) == ("h2c", "trailers") {
                continue;
            }
            let (_, answer) = behind.send(&put(name, rest));
            // Lengths that agree may be refused too.
            if answer.status == 201 {
                assert_eq!(behind.kept(name).as_deref(), Some("hello"), "{name}");
            } else {
                assert_eq!((answer.status, name), (400, "twice"));
            }
        }
        let mut client = h2::Connection::open(behind.stitch.proxy());
        let stream = client.request(&h2::request("PUT", "users", "/kept/h2"), false);
        client.data(stream, "hello", true);
        assert_eq!(client.finish(stream).status, Some(201));
        assert_eq!(behind.kept("h2").as_deref(), Some("hello"));
        // Broken off, each in its way.
        for (name, rest) in [
            ("short", "content-length: 9\r\n\r\nhello"),
            ("open", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
            ("cut", "transfer-encoding: chunked\r\n\r\n9\r\nhello"),
            ("bad", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n\r\n"),
        ] {
            let mut connection = Connection::open(behind.stitch.proxy());
            connection.send(put(name, rest));
            connection.finish_sending();
            connection.read_to_close();
        }
        let stream = client.request(&h2::request("PUT", "users", "/kept/reset"), false);
        client.data(stream, "hello", false);
        client.send(&h2::Frame::reset(stream, 8));
        let seen = behind.seen();
        for name in ["short", "open", "cut", "bad", "reset"] {
            assert_eq!(behind.kept(name), None, "{name} looked whole: {seen:?}");
        }
    }
}

#[test]
fn two_framings_never_arrive_together() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        let mut arrived = 0;
        for lines in rows::BOTH {
            let (mut connection, answer) = behind.send(&rows::post(lines));
            assert!(connection.closes_within(PATIENCE), "still open after {lines:?}");
            if answer.status == 200 {
                arrived += 1;
                let one = if scheme == "h2c" { "" } else { "chunked" };
                assert_eq!(answer.json()["framing"], one, "{lines:?} over {scheme}");
            } else {
                assert_eq!(answer.status, 400, "{lines:?}");
            }
            // nginx would have refused two by itself, and noted that.
            assert_eq!(behind.seen().len(), arrived, "{lines:?} over {scheme}");
        }
    }
}

#[test]
fn codings_before_chunked_do_not_arrive() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        for coding in ["gzip, chunked", "deflate,gzip,chunked"] {
            let (_, answer) = behind.send(&rows::post(&format!("transfer-encoding: {coding}")));
            assert!(matches!(answer.status, 400 | 501), "{coding}: {}", answer.status);
            let seen = behind.seen();
            assert!(!seen.iter().any(|line| line.contains("/a")), "{coding}: {seen:?}");
        }
    }
}

#[test]
fn a_length_that_is_said_twice_arrives_once_or_not_at_all() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        for lines in ["content-length: 3, 3", "content-length: 3\r\ncontent-length: 3"] {
            let before = behind.seen().len();
            let text = format!("POST /a HTTP/1.1\r\nhost: users\r\n{lines}\r\n\r\nabc");
            let (_, answer) = behind.send(&text);
            let arrived = behind.seen().len() - before;
            assert!(matches!((answer.status, arrived), (400, 0) | (200, 1)), "{lines}: {answer:?}");
            if answer.status == 200 {
                assert_eq!(answer.json()["framing"], "3", "{lines} over {scheme}");
            }
        }
    }
}
