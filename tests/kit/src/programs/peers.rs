//! Clients in Python and Node that speak what the harness itself does not: gRPC, gRPC-Web, WebSocket,
//! events.
//!
//! Each does one thing and tells as JSON what it saw; what it can do is at the top of the script in
//! `scripts/`.

use super::script::{node, python};
use crate::process::Run;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;

/// One gRPC call of the kind `call`, to `address`, as `authority`; `argument` is JSON or empty.
#[track_caller]
#[must_use]
pub fn grpc_call(address: SocketAddr, authority: &str, call: &str, argument: &str) -> Value {
    let run = python(include_str!("scripts/grpc_client.py"));
    told(grpc_arguments(run, &address.to_string(), authority, call, argument))
}

/// As [`grpc_call`], over TLS to a port of localhost that shows a certificate of this authority.
#[track_caller]
#[must_use]
pub fn grpc_call_tls(port: u16, ca: &Path, authority: &str, call: &str, argument: &str) -> Value {
    let run = python(include_str!("scripts/grpc_client.py")).env("CA", ca);
    told(grpc_arguments(run, &format!("localhost:{port}"), authority, call, argument))
}

fn grpc_arguments(run: Run, address: &str, authority: &str, call: &str, argument: &str) -> Run {
    let run = run.args([address, authority, call]);
    if argument.is_empty() { run } else { run.arg(argument) }
}

/// One call of gRPC-Web of the kind `call`, to `url`, with `client`: `sonora` in Python; in Node
/// `grpc-web-text`, `grpc-web`, `connect` and `connect-h2`, with the packages from this folder.
/// `skipped` says that they are not there. `argument` is JSON, a timeout, or empty.
#[track_caller]
#[must_use]
pub fn grpc_web_call(
    client: &str,
    packages: &Path,
    url: &str,
    call: &str,
    argument: &str,
) -> Value {
    let run = match client {
        "sonora" => python(include_str!("scripts/grpc_web_client.py")),
        _ => node(include_str!("scripts/grpc_web_client.mjs")).arg(client).arg(packages),
    };
    told(run.args([url, call, argument]))
}

/// What Python's `websockets` sees of the server behind `url`, through the proxy at `proxy`: by
/// connecting there as if it were the server (`reverse`), or by CONNECT (`tunnel`).
#[track_caller]
#[must_use]
pub fn websocket_python(url: &str, proxy: SocketAddr, way: &str) -> Value {
    let run = python(include_str!("scripts/websocket_client.py"));
    told(run.args([url, &proxy.port().to_string(), way]))
}

/// What Node sees of the server behind `url`: with the package `ws` from this folder, or with what
/// is built into it. `skipped` says that it has neither.
#[track_caller]
#[must_use]
pub fn websocket_node(url: &str, packages: &Path) -> Value {
    told(node(include_str!("scripts/websocket_client.mjs")).arg(url).arg(packages))
}

/// The ids of the events that a client sees, in order: five, and after a reconnection five more.
#[track_caller]
#[must_use]
pub fn events_python(url: &str, host: &str) -> Value {
    told(python(include_str!("scripts/events_client.py")).args([url, host]))
}

#[track_caller]
fn told(run: Run) -> Value {
    let output = run.output().success();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| {
        panic!("{error} in {:?}, stderr: {:?}", output.stdout, output.stderr)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Certificates;
    use crate::programs::PythonServer;
    use serde_json::json;

    #[test]
    fn grpc_calls_reach_their_server() {
        let server = PythonServer::grpc();
        let told = grpc_call(server.addr(), "any", "unary", "");
        assert_eq!((&told["code"], &told["messages"]), (&json!("OK"), &json!(["hello"])));
        assert_eq!(told["trailing"], json!({ "x-trailer": "Unary", "x-trailer-bin": "00ff" }));
        let told = grpc_call(server.addr(), "any", "fail", "[5, \"no such thing\"]");
        assert_eq!(told["code"], "NOT_FOUND");
        let ended = server.wait_for_event("ended", |line| line["method"] == "Fail");
        assert_eq!(ended["cancelled"], false);
    }

    #[test]
    fn grpc_calls_reach_their_server_over_tls() {
        let authority = Certificates::new();
        let server = PythonServer::grpc_tls(&authority.issue(&["localhost"]));
        let port = server.addr().port();
        let told = grpc_call_tls(port, &authority.ca(), "localhost", "bidi", "");
        assert_eq!(told["messages"].as_array().unwrap().len(), 10, "{told}");
    }

    #[test]
    fn websocket_clients_and_server_understand_each_other() {
        let server = PythonServer::websocket();
        let told = websocket_python("ws://any.test/chat", server.addr(), "reverse");
        assert_eq!(told["closed_by_server"], json!([4002, "go away"]));
        server.wait_for_event("closed", |line| line["code"] == 4001);
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/node");
        let told = websocket_node(&server.url("ws"), &packages);
        assert!(told["large"] == json!([10 << 20, true]) || told["skipped"].is_string(), "{told}");
    }

    #[test]
    fn events_are_read_and_resumed() {
        let server = PythonServer::events();
        let ids: Vec<_> = (1..=10).map(|id| id.to_string()).collect();
        assert_eq!(events_python(&server.url("http"), "any"), json!(ids));
    }
}
