//! Upgrades last longer than their answers.

use super::{get, in_front_of};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use stitch_kit::{Upstream, wait_until};

/// Reads a head.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&head).to_ascii_lowercase())
}

#[test]
fn an_upgrade_keeps_its_place_in_the_bulkhead_until_it_ends() {
    let upstream = Upstream::scripted(|mut stream, _| {
        while let Some(head) = head(&mut stream) {
            if head.contains("\r\nupgrade: ") {
                let switched = b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n";
                stream.write_all(switched).unwrap();
                let _ = stream.read_to_end(&mut Vec::new());
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        }
    });
    let stitch = in_front_of(&upstream, "    concurrency: { max: 1 }\n");
    assert_eq!(get(&stitch).status, 200);
    let mut chat = TcpStream::connect(stitch.proxy()).unwrap();
    let ask = b"GET / HTTP/1.1\r\nhost: users\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n";
    chat.write_all(ask).unwrap();
    assert!(head(&mut chat).unwrap().starts_with("http/1.1 101 "));
    let refused = get(&stitch);
    assert_eq!((refused.status, refused.header("x-stitch-reason")), (503, Some("overloaded")));
    drop(chat);
    assert!(wait_until(Duration::from_secs(10), || get(&stitch).status == 200));
}
