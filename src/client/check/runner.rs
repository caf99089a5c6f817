//! Runs checks one after another, each within its time.
//!
//! Guarantees: a check's time is bounded whatever the server does; after a few checks that failed for lack of time, and
//! none that passed, the server is taken to hang, and the patience shrinks; once it refuses a connection twice in a row
//! it is taken to be gone, and the remaining checks are skipped.

use std::time::{Duration, Instant};

use super::context::CheckContext;
use super::definition::Check;
use super::diagnosis;
use super::failure::{CheckFailure, CheckResult, ConnectionState};
use crate::client::client_protocol::ClientProtocol;
use crate::client::failure::Failure;
use crate::client::judge::outcome::Outcome;
use crate::client::judge::outcome::Pass;
use crate::client::options::Selection;
use crate::client::target::Target;

/// The server, and how it has behaved so far.
#[derive(Debug)]
pub struct CheckRunner {
    target: Target,
    protocol: ClientProtocol,
    /// Whether to send the longest message.
    large: bool,
    patience: Duration,
    /// Checks that have failed for lack of time since the last one that passed.
    timeouts: u32,
    gone: bool,
}

/// The number of `timeouts` after which the server is taken to hang. Chosen without tuning.
const HANGS: u32 = 3;

/// The most patience with a server that hangs. Chosen: a server on a local network that is only slow replies in less.
const HANGING_PATIENCE: Duration = Duration::from_millis(400);

impl CheckRunner {
    /// Checks this server.
    #[must_use]
    pub fn new(target: Target, protocol: ClientProtocol, selection: &Selection) -> Self {
        let (patience, large) = (selection.patience, selection.large);
        Self { target, protocol, large, patience, timeouts: 0, gone: false }
    }

    /// Runs one check.
    ///
    /// # Errors
    /// This client has no free descriptor for a connection, which says nothing about the server.
    pub fn run(&mut self, check: &'static Check) -> Result<Outcome, Failure> {
        let started = Instant::now();
        let result = self.result(check);
        match &result {
            Err(failure) if failure.state == ConnectionState::NoDescriptor => {
                let reason = failure.received.shown(0);
                Err(Failure::cannot_run(format!("check {}: {reason}", check.name)))
            }
            _ => {
                let result = result.map_err(|failure| failure.mismatch());
                Ok(Outcome { subject: check.subject(), result, duration: started.elapsed() })
            }
        }
    }

    fn result(&mut self, check: &Check) -> CheckResult {
        if self.gone {
            return Ok(Pass::NotReached("the server is gone".into()));
        }
        let context = CheckContext::new(&self.target, self.protocol, self.patience, self.large);
        match (check.run)(&context) {
            Ok(pass) => {
                self.timeouts = 0;
                Ok(pass)
            }
            Err(failure) => {
                self.learn_from(&failure);
                Err(diagnosis::with_hint(failure, self.protocol, check.hint))
            }
        }
    }

    fn learn_from(&mut self, failure: &CheckFailure) {
        match failure.state {
            ConnectionState::Silent | ConnectionState::OutOfTime => {
                self.timeouts += 1;
                if self.timeouts >= HANGS {
                    self.patience = self.patience.min(HANGING_PATIENCE);
                }
            }
            ConnectionState::Refused => self.gone = true,
            _ => {}
        }
    }
}
