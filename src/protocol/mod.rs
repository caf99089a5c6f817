//! The wire protocols: pure state machines over bytes, one file each.
//!
//! A [`Protocol`] is shown what has arrived, in a [`Turn`], and leaves its answers there. It never sees a socket, a
//! clock or a log; what it needs from outside stands in [`Env`]. One value serves one connection.
//!
//! To add a protocol: write `src/protocol/NAME.rs` with a type that implements [`Protocol`], and give it a row in
//! [`TABLE`]. Options, `--list`, socket activation and the tests that run over all protocols read that table.

mod turn;

pub use turn::{Note, Request, Tally, Turn};

use crate::transform::RandomSource;

/// One connection's side of a wire format.
pub trait Protocol: Send {
    /// Called once, before anything is read: services that speak first answer here.
    fn open(&mut self, _turn: &mut Turn<'_>, _env: &mut Env<'_>) -> Step {
        Step::More(Need::default())
    }

    /// Answers the requests that stand whole at the front of [`Turn::rest`], and takes them from it.
    ///
    /// What is not taken is shown again, with more behind it. How the input is cut must not change the answers,
    /// except where the protocol is defined by chunks.
    fn advance(&mut self, turn: &mut Turn<'_>, env: &mut Env<'_>) -> Step;

    /// The bytes that [`Step::Skip`] asked for are gone: answers the request that they belonged to.
    fn skipped(&mut self, _turn: &mut Turn<'_>, _env: &mut Env<'_>) {}

    /// The client has ended its side inside a request: `rest` is what there is of it (empty while skipping).
    /// The connection closes when the answers left here are sent.
    fn end(&mut self, _turn: &mut Turn<'_>, _env: &mut Env<'_>) {}

    /// Whether the service sends without being asked, for as long as the client reads ([`Protocol::produce`]).
    fn produces(&self) -> bool {
        false
    }

    /// Leaves the next bytes of an endless answer; called whenever the client has room.
    fn produce(&mut self, _turn: &mut Turn<'_>) {}

    /// The last `unsent` bytes of what [`Protocol::produce`] left were not sent: produce them again.
    fn retract(&mut self, _unsent: usize) {}
}

/// What a protocol says when it can go no further by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Not a whole request yet: show `rest` again when more has arrived.
    More(Need),
    /// No room for the next answer: send what there is, then call again with the same `rest`. Only when the turn
    /// holds an answer already.
    Full,
    /// The next request is long work: call again with exactly `Need::input` bytes and room for the answer, from a
    /// thread that may take its time. Only where [`Env::inline`].
    Heavy(Need),
    /// Drop the next so many bytes unseen (they come after what was taken), then call [`Protocol::skipped`].
    Skip(u64),
    /// Nothing more will be answered: send what is owed, then close.
    Close(Ending),
}

/// How much a request takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Bytes of the whole request, counted from the start of `rest`; 0 when that is not known yet.
    pub input: usize,
    /// The most bytes that the answer (with what is needed to make it) takes beside the request.
    pub answer: usize,
}

impl Need {
    /// Request and answer together, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.input.saturating_add(self.answer)
    }
}

/// Why a protocol closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All that the service does has been done.
    Done,
    /// The client broke the protocol; the words say how.
    Violation(&'static str),
}

/// What a protocol gets from outside.
pub struct Env<'a> {
    /// The random source for shuffle, random and qotd.
    pub random: &'a mut Random,
    /// Asks for the time of day, in seconds since 1970-01-01 UTC.
    pub unix_time: fn() -> u64,
    /// What qotd chooses from.
    pub quotes: &'a [String],
    /// What a request may take.
    pub limits: RequestLimits,
    /// On the event loop, where long work is to be asked for with [`Step::Heavy`].
    pub inline: bool,
}

/// What one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The longest message, in bytes.
    pub message: usize,
    /// The most memory that one request and its answer may take together, in bytes.
    pub memory: usize,
}

impl RequestLimits {
    /// Whether a message of `length` bytes that `need`s this much is to be served.
    #[must_use]
    pub fn allow(&self, length: usize, need: Need) -> bool {
        length <= self.message && need.memory() <= self.memory
    }
}

/// The random source of a worker.
///
/// With a fixed seed every request starts from it, so the same request gets the same answer.
#[derive(Debug)]
pub struct Random {
    generator: fastrand::Rng,
    seed: Option<u64>,
}

impl Random {
    /// A source seeded from the system, or the repeatable one of `seed`.
    #[must_use]
    pub fn new(seed: Option<u64>) -> Self {
        let generator = seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self { generator, seed }
    }

    /// The source as one request is to see it.
    pub fn for_request(&mut self) -> &mut impl RandomSource {
        if let Some(seed) = self.seed {
            self.generator.seed(seed);
        }
        &mut self.generator
    }
}

impl RandomSource for fastrand::Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.usize(..bound)
    }

    fn unit(&mut self) -> f64 {
        self.f64()
    }
}

/// One row of the table of names.
#[derive(Debug)]
pub struct Entry {
    /// The name, as in `--listen NAME=ADDRESS` and `FileDescriptorName=`.
    pub name: &'static str,
    /// The port where people expect it, if there is one.
    pub port: Option<u16>,
    /// One line about it.
    pub summary: &'static str,
    /// The number of its RFC, if there is one.
    pub rfc: Option<u16>,
    /// Makes the state of a new connection.
    pub start: fn() -> Box<dyn Protocol>,
}

/// Every protocol there is.
pub const TABLE: &[Entry] = &[];

/// The protocol of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.name == name)
}
