//! The test harness: real processes and real sockets behind handles that clean up after themselves.
//!
//! Builders give running handles with addresses. Dropping a handle stops exactly what it started,
//! by process group; what a process printed is shown when the test panics; a background thread or
//! process that failed unnoticed fails the test when its handle is dropped. Everything blocks and
//! every wait has a limit, so a test reads top to bottom and never hangs.
//!
//! ```no_run
//! use stitch_kit::{Stitch, Upstream, http};
//!
//! let upstream = Upstream::echo();
//! let stitch = Stitch::up(&format!("services: {{ users: {{ url: '{}' }} }}", upstream.url()));
//! let answer = http::get(stitch.proxy(), "/hello", &[("host", "users")]);
//! assert_eq!(answer.status, 200);
//! assert_eq!(answer.json()["target"], "/hello");
//! ```

mod certificates;
mod process;
mod scratch;
mod wait;

pub mod h2;
pub mod http;
pub mod programs;
mod stitch;
mod upstream;

pub use certificates::{Certificate, Certificates};
pub use process::{Exit, Output, Process, Run, Running, Signal};
pub use programs::{NatsServer, Nginx, curl, node, python, python_http};
pub use programs::{Postgres, PythonServer, Redis, psql, redis_cli};
pub use programs::{
    events_python, grpc_call, grpc_call_tls, grpc_web_call, websocket_node, websocket_python,
};
pub use scratch::Scratch;
pub use stitch::{Ready, Stitch, StitchBuilder};
pub use upstream::{Answer, Request, Upstream, digest};
pub use wait::{free_port, require, wait_until};
