//! What peers may send, and what of it passes.

mod framing;
mod h2_floods;
mod h2_messages;
mod h2_rows;
mod heads;
mod hop_by_hop;
mod nginx;
mod recorder;
mod rows;
mod targets;
mod upstream;
