//! The one integration binary: the real `stitch`, real clients and real servers, through the kit.
//!
//! A module holds one part of what users see. Everything here blocks on sockets, pipes and
//! conditions with a limit; nothing has a fixed port.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod admin;
mod auth;
mod balance;
mod bytes;
mod cli;
mod clients;
mod compression;
mod cors;
mod direct_response;
mod edits;
mod events;
mod examples;
mod failures;
mod forward;
mod grpc;
mod grpc_web;
mod h2;
mod half_open;
mod health_checks;
mod https;
mod hygiene;
mod listeners;
mod local_services;
mod mirror;
mod mockd_apart;
mod modes;
mod names;
mod patch;
mod policies;
mod proxy_protocol;
mod reload;
mod resilience;
mod routing;
mod scale;
mod split;
mod start_order;
mod streaming;
mod tcp;
mod tls;
mod transparent;
mod websocket;
