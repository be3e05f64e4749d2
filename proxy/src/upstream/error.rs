//! Why an exchange ended before its answer was whole.

use std::time::Duration;
use std::{fmt, io};
use stitch_net::BoxError;

/// What went wrong with an exchange, or with the body of its answer.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// The other side closed, or the socket failed.
    Broken(Option<io::Error>),
    /// What came is not HTTP.
    Protocol(String),
    /// The other side ended one exchange of several, or all of them (HTTP/2).
    Stream(h2::Error),
    /// The request cannot be said in the endpoint's version of HTTP.
    Head(http::Error),
    /// The answer's head did not come in time.
    FirstByte(Duration),
    /// The time for all of it was over.
    Late,
    /// The request's own body could not be read to its end.
    Body(BoxError),
}

impl ExchangeError {
    pub fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol(what.into())
    }
}

impl From<io::Error> for ExchangeError {
    fn from(error: io::Error) -> Self {
        Self::Broken(Some(error))
    }
}

impl From<h2::Error> for ExchangeError {
    fn from(error: h2::Error) -> Self {
        if error.is_io() {
            return Self::Broken(error.into_io());
        }
        // What we refuse is what the other side sent wrong.
        if error.is_library() { Self::Protocol(error.to_string()) } else { Self::Stream(error) }
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(None) => write!(f, "the upstream closed its connection too early"),
            Self::Broken(Some(error)) => write!(f, "the upstream's connection broke: {error}"),
            Self::Protocol(what) => write!(f, "the upstream did not answer in HTTP: {what}"),
            Self::Stream(error) => write!(f, "the upstream ended the exchange: {error}"),
            Self::Head(error) => write!(f, "the request cannot be sent over HTTP/2: {error}"),
            Self::FirstByte(limit) => write!(f, "the upstream did not answer within {limit:?}"),
            Self::Late => write!(f, "its time was over"),
            Self::Body(error) => write!(f, "the request's body broke off: {error}"),
        }
    }
}

impl std::error::Error for ExchangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Broken(error) => error.as_ref().map(|error| error as _),
            Self::Protocol(_) | Self::FirstByte(_) | Self::Late => None,
            Self::Stream(error) => Some(error),
            Self::Head(error) => Some(error),
            Self::Body(error) => Some(&**error),
        }
    }
}
