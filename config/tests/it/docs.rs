//! Placeholder until the reference is written.
