//! What HTTP/1 peers may send, and what of it passes.

mod framing;
mod heads;
mod hop_by_hop;
mod recorder;
mod targets;
mod upstream;
