//! The one integration binary: the real `stitch`, real clients and real servers, through the kit.
//!
//! A module holds one part of what users see. Everything here blocks on sockets, pipes and
//! conditions with a limit; nothing has a fixed port.

mod admin;
mod cli;
mod events;
mod examples;
mod local_services;
mod mockd_apart;
mod reload;
mod scale;
