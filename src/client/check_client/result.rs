//! The result of a scenario, and the reasons for none.

use crate::client::failure::Failure;
use crate::client::judge::mismatch::Mismatch;
use crate::client::judge::outcome::Pass;

/// The result of a scenario.
pub type ScenarioResult = Result<Pass, Mismatch>;

/// Why a scenario was not run to its end, which says nothing about the client.
#[derive(Debug)]
pub enum Halt {
    /// The scenario cannot be run with this client or on this machine.
    Skip(String),
    /// No scenario can be run.
    CannotRun(Failure),
}
