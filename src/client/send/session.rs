//! The data that all ways of sending share.

use std::fmt;

use crate::client::client_protocol::ClientProtocol;
use crate::client::failure::{Failure, Status, warn};
use crate::client::options::Timeouts;
use crate::client::progress::ProgressMeter;
use crate::client::target::Target;
use crate::sys::StreamSocket;

/// The server, and how to talk to it.
#[derive(Debug)]
pub struct Session {
    /// The protocol to speak.
    pub protocol: ClientProtocol,
    /// The server.
    pub target: Target,
    /// Limits on every wait.
    pub timeouts: Timeouts,
    /// Counts bytes for the progress bar.
    pub progress: ProgressMeter,
}

impl Session {
    /// A new connection.
    pub fn connect(&self) -> Result<StreamSocket, Failure> {
        self.target.connect_or_fail(self.timeouts.connect_timeout)
    }

    /// Prints a message while the progress bar is hidden; the status is that of a failed request.
    pub fn fail(&self, why: &dyn fmt::Display) -> Status {
        self.progress.suspend(|| warn(why));
        Status::Failed
    }
}
