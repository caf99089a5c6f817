//! The wire protocols: pure state machines over bytes, one file each.
//!
//! A [`Protocol`] is shown what has arrived, in a [`Exchange`], and leaves its answers there. It never sees a socket, a
//! clock or a log; what it needs from outside stands in [`CallContext`]. One value serves one connection.
//!
//! To add a protocol:
//!
//! 1. write `src/protocol/services/NAME.rs` with a type that implements [`Protocol`], and name the file in the list of modules
//!    below;
//! 2. give it a row in [`PROTOCOLS`].
//!
//! Nothing else: options, `--list`, socket activation and the tests that run over all protocols read that table. Its
//! exchanges belong in `tests/tables`, where unit tests and tests of the whole daemon find them.

mod cancel;
mod chunk;
mod exchange;
mod framed_text;
#[cfg(test)]
mod proptests;
mod registry;
mod rng;
pub mod services;
mod settings;
#[cfg(test)]
mod test_util;

pub use cancel::Cancel;
pub use exchange::{Exchange, LogEvent, RequestCounts, RequestRecord};
pub use registry::{PROTOCOLS, ProtocolInfo, by_name};
pub use rng::RequestRng;
pub use settings::{ConnectionInfo, ProtocolSettings};

/// The least room for answers, in bytes, of a turn on the event loop: what the longest answer to one chunk takes.
pub const MIN_REPLY_SPACE: usize = 4096;

/// One connection's side of a wire format.
pub trait Protocol: Send {
    /// Called once, before anything is read: services that speak first answer here.
    fn open(&mut self, _exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        Progress::NeedInput(Needed::default())
    }

    /// Answers the requests that stand whole at the front of [`Exchange::input`], and takes them from it.
    ///
    /// What is not taken is shown again, as it was left, with more behind it. How the input is cut must not change the answers,
    /// except where the protocol is defined by chunks.
    fn process(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress;

    /// The bytes that [`Progress::Skip`] asked for are gone: answers the request that they belonged to. The turn is that of
    /// the `Skip`, or one that has at least [`MIN_REPLY_SPACE`].
    fn on_skipped(&mut self, _exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {}

    /// The client has ended its side inside a request: `rest` is what there is of it (empty while skipping).
    /// The turn has at least [`MIN_REPLY_SPACE`]. The connection closes when the answers left here are sent.
    fn on_eof(&mut self, _exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {}

    /// Whether all that is done to the bytes is to send them back or to drop them: then more of them are read at once.
    fn is_passthrough(&self) -> bool {
        false
    }

    /// Whether the service sends without being asked, for as long as the client reads ([`Protocol::generate`]).
    fn is_generator(&self) -> bool {
        false
    }

    /// Leaves the next bytes of an endless answer; called whenever the client has room.
    fn generate(&mut self, _exchange: &mut Exchange<'_>) {}

    /// The last `unsent` bytes of what [`Protocol::generate`] left were not sent: produce them again.
    fn rewind(&mut self, _unsent: usize) {}
}

/// What a protocol says when it can go no further by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not a whole request yet: show `rest` again when more has arrived.
    NeedInput(Needed),
    /// No room for the next answer: send what there is, then call again with the same `rest`. Only when the turn
    /// holds an answer already.
    NeedOutput,
    /// The next request is long work: send what there is, then call again with exactly `Needed::input` bytes and
    /// `Needed::answer` of room, from a thread that may take its time. Only where [`CallContext::may_block`]. Whichever call comes
    /// next for this request, its random source is to [`RequestRng::replay`] the [`RequestRng::seed`] that this call left.
    Offload(Needed),
    /// Drop the next so many bytes unseen (they come after what was taken), then call [`Protocol::on_skipped`].
    Skip(u64),
    /// Nothing more will be answered: send what is owed, then close.
    Close(CloseCause),
}

/// How much a request takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Bytes of the whole request, or the most that it can have, counted from the start of `rest`; 0 when that is not
    /// known yet, and then no more than 4 KiB of it may be there.
    pub request_len: usize,
    /// The most bytes that the answer (with what is needed to make it) takes beside the request.
    pub reply_capacity: usize,
    /// Bytes of `rest` that have been worked on already, as they came in and while the cache had them; shown again as
    /// [`Exchange::preprocessed`]. While that is all of `rest`, the request is shown whenever more of it has arrived.
    pub preprocessed: usize,
}

impl Needed {
    /// Request and answer together, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.request_len.saturating_add(self.reply_capacity)
    }
}

/// Why a protocol closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// All that the service does has been done.
    Complete,
    /// The client broke the protocol; the words say how.
    ProtocolError(&'static str),
}

/// What a protocol gets from outside.
pub struct CallContext<'a> {
    /// The random source for shuffle, random and qotd.
    pub random: &'a mut RequestRng,
    /// Asks for the time of day, in seconds since 1970-01-01 UTC.
    pub unix_time: fn() -> u64,
    /// What a request may take.
    pub limits: RequestLimits,
    /// On the event loop, where long work is to be asked for with [`Progress::Offload`].
    pub may_block: bool,
}

/// What one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The longest message, in bytes.
    pub message: usize,
    /// The most memory that one request and its answer may take together, in bytes.
    pub memory: usize,
    /// The longest line, in bytes without its newline, where a request is a line; not more than `memory`.
    pub line: usize,
}

impl RequestLimits {
    /// Whether a message of `length` bytes that `needed`s this much is to be served.
    #[must_use]
    pub fn allow(&self, length: usize, needed: Needed) -> bool {
        length <= self.message && needed.memory() <= self.memory
    }
}
