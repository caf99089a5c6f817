//! Runs scenarios one after another, each within its time.
//!
//! Guarantees: a scenario's time is bounded whatever the client does; after a few scenarios in which the client hung,
//! and none that passed, the patience shrinks, but not below what the client needs to start.

use std::time::{Duration, Instant};

use super::command::ClientCommand;
use super::definition::Scenario;
use super::first_run;
use super::result::Halt;
use super::trial::Trial;
use crate::client::client_protocol::ClientProtocol;
use crate::client::failure::Failure;
use crate::client::judge::mismatch::Mismatch;
use crate::client::judge::outcome::{Outcome, Pass};
use crate::sys::Interrupts;

/// The client, and how it has behaved so far.
#[derive(Debug)]
pub struct ScenarioRunner<'a> {
    command: &'a ClientCommand,
    protocol: ClientProtocol,
    patience: Duration,
    interrupts: &'a Interrupts,
    /// Scenarios in which the client hung since the last one that passed.
    hangs: u32,
    /// The longest time that the client has needed until its first connection.
    startup: Duration,
}

/// The number of `hangs` after which the patience shrinks. Chosen without tuning, as for servers.
const HANGS: u32 = 3;

/// The most patience with a client that hangs. Chosen, as for servers: what runs on one machine and is only slow does
/// something in less.
const HANGING_PATIENCE: Duration = Duration::from_millis(400);

/// The patience with a client that hangs, in multiples of the time that it needs to start. Chosen with a margin.
const STARTS: u32 = 4;

impl<'a> ScenarioRunner<'a> {
    /// Runs this client.
    #[must_use]
    pub fn new(
        command: &'a ClientCommand,
        protocol: ClientProtocol,
        patience: Duration,
        interrupts: &'a Interrupts,
    ) -> Self {
        Self { command, protocol, patience, interrupts, hangs: 0, startup: Duration::ZERO }
    }

    /// The failure of every scenario, if the command is no client.
    ///
    /// # Errors
    /// The command cannot be run.
    pub fn first_run(&mut self) -> Result<Option<Mismatch>, Failure> {
        let trial = Trial::new(self.command, self.protocol, self.patience, self.interrupts);
        let failure = first_run::failure_of_all(&trial);
        self.startup = trial.startup();
        match trial.take_halt() {
            Some(Halt::CannotRun(failure)) => Err(failure),
            Some(Halt::Skip(_)) => Ok(None),
            None => Ok(failure),
        }
    }

    /// Runs one scenario.
    ///
    /// # Errors
    /// No scenario can be run any more, which says nothing about the client.
    pub fn run(&mut self, scenario: &'static Scenario) -> Result<Outcome, Failure> {
        let started = Instant::now();
        let trial = Trial::new(self.command, self.protocol, self.patience_now(), self.interrupts);
        let result = (scenario.run)(&trial);
        self.startup = self.startup.max(trial.startup());
        let result = match trial.take_halt() {
            Some(Halt::CannotRun(failure)) => {
                return Err(Failure::cannot_run(format!("scenario {}: {failure}", scenario.name)));
            }
            Some(Halt::Skip(reason)) => Ok(Pass::Skipped(reason)),
            None => self.learn_from(result, trial.hung(), scenario),
        };
        Ok(Outcome { subject: scenario.subject(), result, duration: started.elapsed() })
    }

    fn learn_from(
        &mut self,
        result: Result<Pass, Mismatch>,
        hung: bool,
        scenario: &Scenario,
    ) -> Result<Pass, Mismatch> {
        match result {
            Ok(pass) => {
                self.hangs = 0;
                Ok(pass)
            }
            Err(mismatch) => {
                self.hangs += u32::from(hung);
                let hint = if mismatch.hint.is_empty() { scenario.hint.to_owned() } else { mismatch.hint };
                Err(Mismatch { hint, ..mismatch })
            }
        }
    }

    fn patience_now(&self) -> Duration {
        if self.hangs < HANGS {
            return self.patience;
        }
        self.patience.min(HANGING_PATIENCE.max(self.startup * STARTS))
    }
}
