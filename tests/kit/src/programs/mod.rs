//! Real programs as peers: nginx, a NATS server, databases, curl, and scripts in Python and Node.

mod databases;
mod nats;
mod nginx;
mod peers;
mod script;
mod servers;

pub use databases::{Postgres, Redis, psql, redis_cli};
pub use nats::NatsServer;
pub use nginx::Nginx;
pub use peers::{
    events_python, grpc_call, grpc_call_tls, grpc_web_call, websocket_node, websocket_python,
};
pub use script::{PythonHttp, curl, node, python, python_http};
pub use servers::PythonServer;
