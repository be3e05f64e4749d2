//! gRPC-Web through the proxy to a server of gRPC: what stands in the body, byte by byte.

use stitch_kit::http::Connection;
use stitch_kit::{PythonServer, Stitch};

struct Echo {
    stitch: Stitch,
    server: PythonServer,
}

impl Echo {
    fn start() -> Self {
        let server = PythonServer::grpc();
        let stitch = Stitch::up(&format!(
            "services: {{ echo: {{ url: '{}', port: 0 }} }}",
            server.url("h2c")
        ));
        Self { stitch, server }
    }
}

/// A message, or trailers, as they stand in a body.
fn frame(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], bytes].concat()
}

#[test]
fn what_stands_in_the_body() {
    let echo = Echo::start();
    let mut connection = Connection::open(echo.stitch.proxy());
    let headers =
        [("host", "echo"), ("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1")];
    let answer =
        connection.request("POST", "/stitch.test.Echo/Unary", &headers, &frame(0, b"hello"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/grpc-web+proto"));
    let message = frame(0, b"hello");
    assert_eq!(answer.body[..message.len()], message);
    let trailers = &answer.body[message.len()..];
    assert_eq!(trailers[0], 0x80);
    let text = String::from_utf8_lossy(&trailers[5..]).into_owned();
    assert!(text.contains("grpc-status: 0\r\n") || text.contains("grpc-status:0\r\n"), "{text}");
    assert!(text.contains("x-trailer"), "{text}");
    let ended = echo.server.wait_for_event("ended", |line| line["method"] == "Unary");
    assert_eq!(ended["cancelled"], false);
}
