//! From a matched endpoint to its answer.

mod make;
mod render;
mod respond;
#[cfg(test)]
mod tests;

pub(crate) use respond::{respond, tagged};
