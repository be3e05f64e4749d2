//! What is taken off a request or response on its way through, and what is put on.
//!
//! Rules: RFC 9110 §7.6.1 (hop-by-hop), RFC 9112 §6, design "HTTP hygiene". hyper strips nothing
//! for us.

mod clean;
mod extended;
mod kind;
mod outbound;
mod request;
#[cfg(test)]
mod testing;
mod via;

pub(crate) use clean::{clean_request, clean_response};
pub(crate) use extended::{as_extended_connect, extended_connect, switched};
pub(crate) use outbound::{Marks, Outbound, address_value};
pub(crate) use request::{REQUEST_ID, new_request_id, requested_host};
pub(crate) use via::ViaToken;
