//! Baselines
fn main() {}
