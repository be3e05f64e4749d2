//! Connections and bodies: what is kept, what flows, what is given up.

mod bodies;
mod connections;
mod upgrade;
