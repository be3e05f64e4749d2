//! The set as a whole: every test picks from it, on invented time.

mod fitness;
mod keys;
mod lab;
mod reload;
mod shares;
