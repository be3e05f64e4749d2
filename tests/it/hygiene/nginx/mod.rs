//! The same in front of nginx: what of it arrives there, as nginx understands it.

mod behind;
mod breaks;
mod framing;
mod headers;
mod hops;
mod messages;
mod requests;
