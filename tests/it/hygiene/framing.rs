//! Message framing: nothing that two parties could read differently reaches an upstream.
