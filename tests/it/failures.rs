//! What callers learn when a service fails: which one, where, why; and that nobody else notices.
