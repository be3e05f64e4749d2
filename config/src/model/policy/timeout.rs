//! `timeout:` — the named timers.

use std::time::Duration;

/// The timers of one request, or of one connection to a `type: tcp` service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect, name resolution included. Default 2 s.
    pub connect: Duration,
    /// `first_byte`: until the response headers of one attempt, once it has a connection.
    pub first_byte: Option<Duration>,
    /// `per_try`: one attempt until its response headers, connecting included.
    pub per_try: Option<Duration>,
    /// Until response headers, all attempts and waits between them. No default: long polls are
    /// legitimate.
    pub request: Option<Duration>,
    /// No bytes either way on a stream, an upgrade or a tunnel. Default 5 min.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            first_byte: None,
            per_try: None,
            request: None,
            idle: Duration::from_secs(300),
        }
    }
}

/// The timers that a route writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeoutOverrides {
    /// See [`Timeouts`].
    pub connect: Option<Duration>,
    /// See [`Timeouts`].
    pub first_byte: Option<Duration>,
    /// See [`Timeouts`].
    pub per_try: Option<Duration>,
    /// See [`Timeouts`].
    pub request: Option<Duration>,
    /// See [`Timeouts`].
    pub idle: Option<Duration>,
}

impl TimeoutOverrides {
    /// The timers of a route over those of its service.
    pub fn over(self, above: Timeouts) -> Timeouts {
        Timeouts {
            connect: self.connect.unwrap_or(above.connect),
            first_byte: self.first_byte.or(above.first_byte),
            per_try: self.per_try.or(above.per_try),
            request: self.request.or(above.request),
            idle: self.idle.unwrap_or(above.idle),
        }
    }
}
