//! Connections and bodies: what is kept, what flows, what is given up.

mod bodies;
mod breaks;
mod connections;
mod drain;
mod goaway;
mod idle;
mod stalls;
mod tunnels;
mod upgrade;
mod upgrade_h2;
