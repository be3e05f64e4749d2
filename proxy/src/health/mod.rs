//! Whether endpoints are well: what they are asked, and who asks.
//!
//! `ask` holds the questions, over a connection that somebody has made.

pub mod ask;
