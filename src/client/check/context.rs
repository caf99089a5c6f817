//! What a check gets: the server's address, connections to it, requests and their answers.
//!
//! Guarantees: a check's time is bounded whatever the server does; when patience has been used up a few times, the
//! server is taken to hang and less is spent on what follows; when connections are refused twice in a row, the server
//! is taken to be gone.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::diagnosis;
use super::flaw::{Flaw, Remark, State};
use super::probe::Probe;
use super::table::Check;
use crate::client::client_protocol::{ClientProtocol, MAX_LENGTH, REFUSAL, ReplyFraming};
use crate::client::target::Target;

/// The server under judgement, and how it is judged.
#[derive(Debug)]
pub struct Context {
    target: Target,
    dialogue: ClientProtocol,
    /// Whether to send the longest message.
    pub large: bool,
    patience: Cell<Duration>,
    /// The patience of the current check.
    waiting: Cell<Duration>,
    deadline: Cell<Instant>,
    used_up: Cell<u32>,
    gone: Cell<bool>,
}

/// How many times its patience a check may take in all.
const STRETCH: u32 = 5;

/// Time for 134 MB there and back, at 10 MB/s.
const LONGER: Duration = Duration::from_secs(30);

/// The number of checks without a whole answer after which the server is taken to hang; chosen without tuning.
const HANGS: u32 = 3;

/// The patience with a server that hangs.
const SHORT: Duration = Duration::from_millis(400);

/// How long a server may take to listen again.
const RESTART: Duration = Duration::from_millis(300);

impl Context {
    /// To judge this server, waiting so long for any progress.
    #[must_use]
    pub fn new(target: Target, dialogue: ClientProtocol, patience: Duration, large: bool) -> Self {
        Self {
            target,
            dialogue,
            large,
            patience: Cell::new(patience),
            waiting: Cell::new(patience),
            deadline: Cell::new(Instant::now()),
            used_up: Cell::new(0),
            gone: Cell::new(false),
        }
    }

    /// The server's address.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The protocol that it should speak.
    #[must_use]
    pub fn dialogue(&self) -> ClientProtocol {
        self.dialogue
    }

    /// How long a wait may be.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience.get()
    }

    /// Runs one check within its time.
    pub fn run(&self, check: &Check) -> Result<Remark, Flaw> {
        if self.gone.get() {
            return Ok(Remark::Skipped("the server is gone".into()));
        }
        self.waiting.set(self.patience());
        self.deadline.set(Instant::now() + self.patience() * STRETCH);
        let result = (check.run)(self);
        let remark = result.map_err(|flaw| self.explained(check, flaw))?;
        self.used_up.set(0);
        Ok(remark)
    }

    fn explained(&self, check: &Check, flaw: Flaw) -> Flaw {
        if matches!(flaw.state, State::Silent | State::Late) {
            self.used_up.set(self.used_up.get() + 1);
            if self.used_up.get() >= HANGS {
                self.patience.set(self.patience().min(SHORT));
            }
        }
        diagnosis::hinted(flaw, self.dialogue, check.hint).condensed()
    }

    /// Gives this check the time that the longest message takes.
    pub fn allow_longer(&self) {
        self.deadline.set(Instant::now() + LONGER);
        self.waiting.set(LONGER);
    }

    /// A new connection.
    pub fn connect(&self) -> Result<Probe, Flaw> {
        let stream = self.target.connect(self.patience()).or_else(|_| {
            // A server that restarts after a crash may be back in a moment.
            std::thread::sleep(RESTART);
            self.target.connect(self.patience())
        });
        let probe = stream.and_then(|stream| Probe::new(stream, self.waiting.get(), self.deadline.get()));
        probe.map_err(|error| {
            self.gone.set(true);
            let flaw = Flaw::in_words("a connection", format!("cannot connect: {error}"));
            Flaw { state: State::Refused, ..flaw }.with_hint(
                "the server has stopped: an error of one client must not end it; look at what it printed last",
            )
        })
    }

    /// A request for `action`, on the wire; protocols without actions ignore it.
    #[must_use]
    pub fn request(&self, action: &str, message: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        let written = self.dialogue.write_request(action, message, &mut wire);
        debug_assert_eq!(written, Ok(()), "a check asks for what the protocol cannot say");
        wire
    }

    /// The correct answer to it, on the wire; where chance decides there is none.
    #[must_use]
    pub fn answer(&self, action: &str, message: &[u8]) -> Vec<u8> {
        self.dialogue.wire_answer(&self.dialogue.expected(action, message).unwrap_or_default())
    }

    /// Where an answer ends.
    #[must_use]
    pub fn framing(&self, message: &[u8]) -> ReplyFraming {
        self.dialogue.framing(message)
    }

    /// The most bytes that a correct answer has, or a refusal, without what tells its length.
    #[must_use]
    pub fn longest_answer(&self, action: &str, message: &[u8]) -> usize {
        self.dialogue.expected_length(action, message).map_or(MAX_LENGTH, |length| length.max(REFUSAL.len()))
    }

    /// On a connection of its own: this is sent, and exactly that comes back.
    pub fn exchange(&self, request: &[u8], answer: &[u8]) -> Result<(), Flaw> {
        let mut probe = self.connect()?;
        probe.send(request)?;
        probe.expect(answer)
    }

    /// On a connection of its own: the request is answered correctly.
    pub fn ask(&self, action: &str, message: &[u8]) -> Result<(), Flaw> {
        self.exchange(&self.request(action, message), &self.answer(action, message))
    }
}
