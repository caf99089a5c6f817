//! The interface of a scenario: runs of the client against a scripted server, and what came of them.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::command::ClientCommand;
use super::observation::{ClientEnd, Observation};
use super::plan::{Exchange, Input, Plan};
use super::result::{Halt, ScenarioResult};
use super::run::{self, Run};
use crate::client::client_protocol::ClientProtocol;
use crate::client::judge::mismatch::Mismatch;
use crate::client::judge::outcome::Pass;
use crate::sys::Interrupts;

/// A client, and the time that a scenario may take.
#[derive(Debug)]
pub struct Trial<'a> {
    command: &'a ClientCommand,
    protocol: ClientProtocol,
    patience: Duration,
    interrupts: &'a Interrupts,
    halt: RefCell<Option<Halt>>,
    /// The longest time that the client has needed until its first connection.
    startup: Cell<Duration>,
    /// Whether the client hung in the last run.
    hung: Cell<bool>,
}

/// The longest argument of a program, in bytes. From execve(2): 32 pages (`MAX_ARG_STRLEN`), with a zero byte.
const MAX_ARGUMENT: usize = 32 * 4096 - 1;

impl<'a> Trial<'a> {
    /// Runs of this client, each of which waits at most `patience` for any progress.
    #[must_use]
    pub fn new(
        command: &'a ClientCommand,
        protocol: ClientProtocol,
        patience: Duration,
        interrupts: &'a Interrupts,
    ) -> Self {
        let (halt, startup, hung) = (RefCell::default(), Cell::default(), Cell::default());
        Self { command, protocol, patience, interrupts, halt, startup, hung }
    }

    /// The protocol that the client should speak.
    #[must_use]
    pub fn protocol(&self) -> ClientProtocol {
        self.protocol
    }

    /// The most time to wait for any progress.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// A request with the reply of a correct server; where chance decides, that is the message itself.
    #[must_use]
    pub fn exchange(&self, action: &str, message: impl Into<Vec<u8>>) -> Exchange {
        let message = message.into();
        let reply = self.protocol.expected(action, &message).unwrap_or_else(|| message.clone());
        Exchange::new(action, message, reply)
    }

    /// Runs the client once.
    ///
    /// # Errors
    /// The client sent wrong requests; or the run says nothing about the client, and [`Trial::take_halt`] has the reason:
    /// return the error at once.
    pub fn run(&self, plan: Plan) -> Result<Observation, Mismatch> {
        let result = match self.reason_to_skip(&plan) {
            Some(reason) => Err(Halt::Skip(reason)),
            None => run::observe(&Run {
                command: self.command,
                protocol: self.protocol,
                plan,
                patience: self.patience,
                interrupts: self.interrupts,
            }),
        };
        let observation = result.map_err(|halt| {
            *self.halt.borrow_mut() = Some(halt);
            Mismatch::in_words("a run", "none", "")
        })?;
        self.startup.set(self.startup.get().max(observation.startup.unwrap_or_default()));
        self.hung.set(matches!(observation.end, ClientEnd::Hung(_) | ClientEnd::OutOfTime(_)));
        if observation.plan.exact_requests {
            observation.expect_no_wrong_request()?;
        }
        Ok(observation)
    }

    /// Runs the client once, and judges the requests, the output and the exit code.
    ///
    /// # Errors
    /// One of them is not that of a correct client.
    pub fn passes(&self, plan: Plan) -> ScenarioResult {
        self.run(plan)?.expect_all()?;
        Ok(Pass::Clean)
    }

    /// Why the last run was none.
    pub fn take_halt(&self) -> Option<Halt> {
        self.halt.borrow_mut().take()
    }

    /// The longest time that the client has needed until its first connection.
    #[must_use]
    pub fn startup(&self) -> Duration {
        self.startup.get()
    }

    /// Whether the client hung in the last run.
    #[must_use]
    pub fn hung(&self) -> bool {
        self.hung.get()
    }

    fn reason_to_skip(&self, plan: &Plan) -> Option<String> {
        let reason = if plan.port.is_some() && !self.command.takes_port() {
            "the command is not given a port"
        } else if self.command.takes_one_request() {
            return Self::reason_to_skip_arguments(plan).map(Into::into);
        } else if !self.command.takes_file() && plan.input == Input::MissingFile {
            "the command is not given a file"
        } else {
            return None;
        };
        Some(reason.into())
    }

    /// Why a client that takes a request as arguments cannot be run so.
    fn reason_to_skip_arguments(plan: &Plan) -> Option<&'static str> {
        let [exchange] = &plan.exchanges[..] else { return Some("the command takes one request, as arguments") };
        match &plan.input {
            Input::Lines if exchange.message.contains(&0) => Some("an argument cannot have a zero byte"),
            Input::Lines if exchange.message.len() > MAX_ARGUMENT => Some("the message is too long for an argument"),
            Input::Lines => None,
            _ => Some("the command takes its request as arguments, not from a file"),
        }
    }
}
