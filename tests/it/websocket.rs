//! WebSockets and streams of events, with clients and servers that nobody here wrote.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use stitch_kit::{
    Certificates, PythonServer, Stitch, events_python, python, websocket_node, websocket_python,
};

/// Where `scripts/test` puts the package ws, when npm could be had.
fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node")
}

fn chat(server: &PythonServer) -> Stitch {
    Stitch::up(&format!("services: {{ chat: {{ url: '{}', port: 0 }} }}", server.url("http")))
}

/// What every client should have seen.
fn expect(told: &Value) {
    assert_eq!(told["subprotocol"], "chat.v1");
    assert_eq!(told["texts"], json!(["one", "", "grüße"]));
    assert_eq!(told["ping"], "pong came");
    assert_eq!(told["large"], json!([10 << 20, true]));
    assert_eq!(told["closed_by_client"], json!([4001, "bye"]));
    assert_eq!(told["closed_by_server"], json!([4002, "go away"]));
}

/// Both sides have to agree on how it ended.
fn expect_closes(server: &PythonServer) {
    server.wait_for_event("closed", |line| line["code"] == 4001 && line["reason"] == "bye");
    server.wait_for_event("closed", |line| line["code"] == 4002 && line["reason"] == "go away");
}

#[test]
fn python_as_if_the_proxy_were_the_server() {
    let server = PythonServer::websocket();
    let stitch = chat(&server);
    let told = websocket_python("ws://chat/room?a=b", stitch.proxy(), "reverse");
    expect(&told);
    assert_eq!(told["from_pieces"], "in three pieces");
    let pieces: Vec<_> = told["in_pieces"].as_array().unwrap().iter().collect();
    assert!(pieces.len() >= 3, "fragments stay fragments: {pieces:?}");
    expect_closes(&server);
    let opened = server.wait_for_event("opened", |line| line["path"] == "/room?a=b");
    let headers = opened["headers"].to_string().to_lowercase();
    assert!(headers.contains("\"via\"") && headers.contains("x-forwarded-for"), "{headers}");
}

#[test]
fn python_through_a_tunnel() {
    let server = PythonServer::websocket();
    let stitch = chat(&server);
    // Declared: the tunnel ends at the proxy and the upgrade passes as any other.
    expect(&websocket_python(&server.url("ws"), stitch.proxy(), "tunnel"));
    expect_closes(&server);
}

#[test]
fn node() {
    let server = PythonServer::websocket();
    let stitch = chat(&server);
    let url = stitch.service_url("chat").replace("http://", "ws://");
    let told = websocket_node(&url, &packages());
    if let Some(reason) = told["skipped"].as_str() {
        eprintln!("not tested with Node: {reason}");
        return;
    }
    expect(&told);
    // Its message of three fragments was one to the server, and the server's is one to it.
    assert_eq!(told["in_pieces"], "abc");
    let package = packages().join("node_modules/ws").exists();
    assert_eq!(told["from_pieces"] == "in three pieces", package, "{told}");
    expect_closes(&server);
}

#[test]
fn events_come_one_by_one_and_are_resumed() {
    let server = PythonServer::events();
    let stitch = Stitch::up(&format!("services: {{ news: {{ url: '{}' }} }}", server.url("http")));
    let ids: Vec<_> = (1..=10).map(|id| id.to_string()).collect();
    assert_eq!(events_python(&stitch.proxy_url(), "news"), json!(ids));
}

/// Extended CONNECT (RFC 8441): what a browser does with a WebSocket on a connection of HTTP/2.
const OVER_H2: &str = r#"
import socket, sys
import h2.config, h2.connection, h2.events
from websockets.frames import Frame, Opcode

port = int(sys.argv[1])
peer = socket.create_connection(("127.0.0.1", port), 20)
peer.settimeout(20)
connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
connection.initiate_connection()
peer.sendall(connection.data_to_send())

def events():
    while True:
        found = connection.receive_data(peer.recv(65536))
        peer.sendall(connection.data_to_send())
        yield from found

coming = events()
# The server has to allow it before it is used.
while not connection.remote_settings.enable_connect_protocol:
    next(coming)
connection.send_headers(1, [
    (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/room"),
    (":authority", "chat"), ("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat.v1"),
])
peer.sendall(connection.data_to_send())
status, seen = None, b""
for event in coming:
    if isinstance(event, h2.events.ResponseReceived):
        status = dict(event.headers)
        text = Frame(Opcode.TEXT, b"hello").serialize(mask=True)
        connection.send_data(1, text)
        peer.sendall(connection.data_to_send())
    elif isinstance(event, h2.events.DataReceived):
        seen += event.data
        connection.acknowledge_received_data(event.flow_controlled_length, 1)
        if len(seen) >= 7:
            break
    elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
        break
print(status[":status"], status.get("sec-websocket-protocol"), seen.hex())
"#;

#[test]
fn over_http_2() {
    let server = PythonServer::websocket();
    let stitch = chat(&server);
    let told = python(OVER_H2).arg(stitch.proxy().port().to_string()).output().success();
    // A text frame of five bytes, not masked.
    assert_eq!(told.stdout, "200 chat.v1 810568656c6c6f\n");
    server.wait_for_event("opened", |line| line["path"] == "/room");
}

#[test]
fn inside_tls() {
    let authority = Certificates::new();
    let server = PythonServer::websocket();
    let stitch = Stitch::up(&format!(
        "proxy: {{ tls: {{ {} }} }}\nservices: {{ chat: {{ url: '{}' }} }}",
        authority.issue(&["chat"]).yaml(),
        server.url("http")
    ));
    let told = python(
        r#"
import socket, ssl, sys
from websockets.sync.client import connect
context = ssl.create_default_context(cafile=sys.argv[2])
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
with connect("wss://chat/room", sock=peer, ssl=context, subprotocols=["chat.v1"], proxy=None) as chat:
    chat.send("hello")
    print(chat.recv(20))
"#,
    )
    .arg(stitch.proxy().port().to_string())
    .arg(authority.ca())
    .output()
    .success();
    assert_eq!(told.stdout, "hello\n");
}
