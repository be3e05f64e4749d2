//! Upstreams that break the rules: the caller gets a 502 or a broken-off body, never a clean lie.
