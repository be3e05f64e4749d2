//! What is to be changed, as a load is told.

use super::Written;

/// What a load puts over the files.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Stands in for the text of the overlay file, whether or not there is one.
    pub overlay: Option<String>,
    /// Changes at run time, in order.
    pub run_time: Vec<Change>,
}

/// A change of one service at run time.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What reports call it in place of a file.
    pub name: String,
    /// The service that is changed.
    pub service: String,
    /// What is changed.
    pub what: What,
}

/// The ways to change a service.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A JSON merge patch (RFC 7396) of the service, as text.
    Patch(String),
    /// One key has exactly this value; without one it is as if it were not written.
    Set(String, Option<Written>),
}
