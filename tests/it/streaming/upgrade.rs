//! Upgraded connections: bytes both ways once the other side has agreed, none before.
