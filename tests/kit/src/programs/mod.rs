//! Real programs as peers: nginx, a NATS server, curl, and scripts in Python and Node.

mod nats;
mod nginx;
mod script;

pub use nats::NatsServer;
pub use nginx::Nginx;
pub use script::{PythonHttp, curl, node, python, python_http};
