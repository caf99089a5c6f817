//! Why a server could not start.

use std::fmt;
use std::io;

/// The server could not start.
#[derive(Debug)]
pub struct StartError {
    /// What the system refused.
    action: &'static str,
    error: io::Error,
}

impl StartError {
    /// An error of the system, which refused `action`.
    pub fn when<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self { action, error: error.into() }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.action, self.error)
    }
}
