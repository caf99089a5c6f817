//! The interface of a scenario: runs of the client against a scripted server, and what came of them.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use super::command::ClientCommand;
use super::observation::Observation;
use super::plan::{Exchange, Plan};
use crate::client::check::failure::CheckFailure;
use crate::client::client_protocol::ClientProtocol;
use crate::client::failure::Failure;

/// A client, and the time that it may take.
#[derive(Debug)]
pub struct Trial<'a> {
    command: &'a ClientCommand,
    protocol: ClientProtocol,
    patience: Duration,
    halt: RefCell<Option<Halt>>,
}

/// Why a scenario was not run to its end, which says nothing about the client.
#[derive(Debug)]
pub enum Halt {
    /// The scenario cannot be run with this client or on this machine.
    Skip(String),
    /// No scenario can be run.
    CannotRun(Failure),
}
