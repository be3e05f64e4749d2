//! nginx dies in the middle of a body: what comes of it never looks whole.

use super::behind::{Behind, PATIENCE, SCHEMES};
use std::io::ErrorKind;
use stitch_kit::h2::{self, End};
use stitch_kit::http::Connection;
use stitch_kit::wait_until;

/// Files at a slow pace, with a length and in pieces without one.
const SLOWLY: &str = "
    location /kept/slow { root .; limit_rate 64k; }
    location /kept/pieces { root .; limit_rate 64k; ssi on; ssi_types *; }
";

#[test]
fn an_answer_that_dies_with_nginx_is_never_whole() {
    for scheme in SCHEMES {
        let behind = Behind::serving(scheme, SLOWLY, "", "");
        let large = "x".repeat(4 << 20);
        let paths = ["/kept/slow", "/kept/pieces"];
        for path in paths {
            behind.nginx.folder().write(&path[1..], &large);
        }
        let mut plain = paths.map(|path| {
            let mut client = Connection::open(behind.stitch.proxy());
            client.send(format!("GET {path} HTTP/1.1\r\nhost: users\r\n\r\n"));
            client
        });
        let mut framed = h2::Connection::open(behind.stitch.proxy());
        let streams = paths.map(|path| framed.get("users", path));
        for client in &plain {
            assert!(client.stream().peek(&mut [0]).is_ok_and(|count| count > 0));
        }
        for stream in streams {
            assert!(framed.until(|client| !client.stream(stream).body.is_empty()));
        }
        behind.nginx.kill();
        for (client, path) in plain.iter_mut().zip(paths) {
            let error = client.try_read_response_to("GET").expect_err("a whole answer");
            let broken =
                matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
            assert!(broken, "{path} over {scheme}: {error}");
            assert!(!client.read_to_close().ends_with(b"0\r\n\r\n"), "{path} over {scheme}");
        }
        for (stream, path) in streams.into_iter().zip(paths) {
            let answer = framed.finish(stream);
            assert_eq!(answer.status, Some(200), "{path} over {scheme}");
            assert!(matches!(answer.end, Some(End::Reset(_))), "{path}: {:?}", answer.end);
            assert!(answer.body.len() < large.len(), "{path} over {scheme}");
        }
    }
}

#[test]
fn a_request_that_nginx_dies_in_is_a_502() {
    for scheme in SCHEMES {
        let behind = Behind::speaking(scheme);
        let mut client = Connection::open(behind.stitch.proxy());
        client.send("PUT /kept/a HTTP/1.1\r\nhost: users\r\ntransfer-encoding: chunked\r\n\r\n");
        // As much as nginx does not keep in memory.
        client.send(format!("40000\r\n{}\r\n", "x".repeat(256 << 10)));
        let body = behind.nginx.folder().join("body");
        let begun = || std::fs::read_dir(&body).is_ok_and(|mut files| files.next().is_some());
        assert!(wait_until(PATIENCE, begun), "nginx has nothing of it");
        behind.nginx.kill();
        let answer = client.read_response();
        let reason = answer.header("x-stitch-reason");
        assert_eq!((answer.status, reason), (502, Some("upstream_reset")), "{scheme}: {answer:?}");
    }
}
