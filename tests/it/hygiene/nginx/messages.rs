//! Messages of HTTP/2 in front of nginx: nothing of those that are malformed arrives.

use super::super::h2_rows as rows;
use super::behind::{Behind, SCHEMES};
use stitch_kit::h2::{Connection, End, Frame, Stream, block, flag, kind, request};

#[test]
fn nothing_of_a_malformed_message_arrives() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        for fields in rows::refused() {
            let mut client = Connection::open(behind.stitch.proxy());
            let stream = client.request(&fields, true);
            let answer = client.finish(stream);
            let refused = answer.status == Some(400)
                || matches!(answer.end, Some(End::Reset(_) | End::Closed));
            assert!(refused, "{fields:?}: {answer:?}");
        }
        assert_eq!(behind.seen(), Vec::<String>::new(), "{scheme}");
    }
}

/// PUTs these pieces as a file of that name.
fn put(behind: &Behind, name: &str, length: &str, pieces: &[&str]) -> Stream {
    let mut client = Connection::open(behind.stitch.proxy());
    let path = format!("/kept/{name}");
    let fields = [&request("PUT", "users", &path)[..], &[("content-length", length)]].concat();
    let stream = client.request(&fields, pieces.is_empty());
    for (number, piece) in pieces.iter().enumerate() {
        client.data(stream, *piece, number + 1 == pieces.len());
    }
    client.finish(stream)
}

#[test]
fn a_body_of_another_length_is_not_kept() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        behind.keep();
        for (number, (length, pieces)) in rows::LENGTHS.iter().enumerate() {
            let answer = put(&behind, &number.to_string(), length, pieces);
            assert_ne!(answer.status, Some(201), "{length} for {pieces:?} over {scheme}");
        }
        assert_eq!(put(&behind, "fits", "3", &["a", "bc"]).status, Some(201), "{scheme}");
        let seen = behind.seen();
        assert_eq!(behind.kept("fits").as_deref(), Some("abc"));
        for (number, row) in rows::LENGTHS.iter().enumerate() {
            assert_eq!(behind.kept(&number.to_string()), None, "{row:?} looked whole: {seen:?}");
        }
    }
}

#[test]
fn trailers_are_no_headers_there_either() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        for &trailer in rows::TRAILERS {
            let mut client = Connection::open(behind.stitch.proxy());
            let stream = client.request(&request("POST", "users", "/a"), false);
            client.data(stream, "abc", false);
            let flags = flag::END_HEADERS | flag::END_STREAM;
            client.send(&Frame::new(kind::HEADERS, flags, stream, block(&[trailer])));
            let answer = client.finish(stream);
            // Forbidden ones are left out, or the message is malformed.
            if answer.status.is_some() {
                let made: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                assert_eq!(
                    (&made["for"], &made["authorization"]),
                    (&"127.0.0.1".into(), &"".into())
                );
                assert_eq!(made["host"], behind.nginx.addr().to_string(), "{trailer:?}");
            }
        }
        let seen = behind.seen();
        let expected = format!("POST /a {}", super::behind::version(scheme));
        assert!(seen.iter().all(|line| *line == expected), "{seen:?}");
    }
}
