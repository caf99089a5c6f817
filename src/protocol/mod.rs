//! The wire protocols: pure state machines over bytes, one file each.
//!
//! A [`Protocol`] is shown what has arrived, in a [`Turn`], and leaves its answers there. It never sees a socket, a
//! clock or a log; what it needs from outside stands in [`Env`]. One value serves one connection.
//!
//! To add a protocol:
//!
//! 1. write `src/protocol/NAME.rs` with a type that implements [`Protocol`], and name the file in the list of modules
//!    below;
//! 2. give it a row in [`TABLE`].
//!
//! Nothing else: options, `--list`, socket activation and the tests that run over all protocols read that table. Its
//! exchanges belong in `tests/tables`, where unit tests and tests of the whole daemon find them.

pub mod ack;
pub mod chargen;
pub mod daytime;
pub mod discard;
pub mod echo;
pub mod echo_prefix;
pub mod frame;
pub mod length_prefix;
pub mod qotd;
pub mod record;
pub mod respond;
pub mod text;
pub mod time;
pub mod upper;
pub mod upper_line;

mod cancel;
mod chunk;
mod message;
#[cfg(test)]
mod properties;
mod random;
#[cfg(test)]
mod testing;
mod turn;

pub use cancel::Cancel;
pub use random::Random;
pub use turn::{Note, Request, Tally, Turn};

/// The least room for answers, in bytes, of a turn on the event loop: what the longest answer to one chunk takes.
pub const ROOM: usize = 4096;

/// One connection's side of a wire format.
pub trait Protocol: Send {
    /// Called once, before anything is read: services that speak first answer here.
    fn open(&mut self, _turn: &mut Turn<'_>, _env: &mut Env<'_>) -> Step {
        Step::More(Need::default())
    }

    /// Answers the requests that stand whole at the front of [`Turn::rest`], and takes them from it.
    ///
    /// What is not taken is shown again, as it was left, with more behind it. How the input is cut must not change the answers,
    /// except where the protocol is defined by chunks.
    fn advance(&mut self, turn: &mut Turn<'_>, env: &mut Env<'_>) -> Step;

    /// The bytes that [`Step::Skip`] asked for are gone: answers the request that they belonged to. The turn is that of
    /// the `Skip`, or one that has at least [`ROOM`].
    fn skipped(&mut self, _turn: &mut Turn<'_>, _env: &mut Env<'_>) {}

    /// The client has ended its side inside a request: `rest` is what there is of it (empty while skipping).
    /// The turn has at least [`ROOM`]. The connection closes when the answers left here are sent.
    fn end(&mut self, _turn: &mut Turn<'_>, _env: &mut Env<'_>) {}

    /// Whether all that is done to the bytes is to send them back or to drop them: then more of them are read at once.
    fn copies(&self) -> bool {
        false
    }

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
    /// The next request is long work: send what there is, then call again with exactly `Need::input` bytes and
    /// `Need::answer` of room, from a thread that may take its time. Only where [`Env::inline`]. Whichever call comes
    /// next for this request, its random source is to [`Random::replay`] the [`Random::seed`] that this call left.
    Heavy(Need),
    /// Drop the next so many bytes unseen (they come after what was taken), then call [`Protocol::skipped`].
    Skip(u64),
    /// Nothing more will be answered: send what is owed, then close.
    Close(Ending),
}

/// How much a request takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Bytes of the whole request, or the most that it can have, counted from the start of `rest`; 0 when that is not
    /// known yet, and then no more than 4 KiB of it may be there.
    pub input: usize,
    /// The most bytes that the answer (with what is needed to make it) takes beside the request.
    pub answer: usize,
    /// Bytes of `rest` that have been worked on already, as they came in and while the cache had them; shown again as
    /// [`Turn::prepared`]. While that is all of `rest`, the request is shown whenever more of it has arrived.
    pub prepared: usize,
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
    /// The longest line, in bytes without its newline, where a request is a line; not more than `memory`.
    pub line: usize,
}

impl RequestLimits {
    /// Whether a message of `length` bytes that `need`s this much is to be served.
    #[must_use]
    pub fn allow(&self, length: usize, need: Need) -> bool {
        length <= self.message && need.memory() <= self.memory
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
pub const TABLE: &[Entry] = &[
    Entry {
        name: "frame",
        port: Some(8083),
        summary: "framed text transforms",
        rfc: None,
        start: || Box::new(frame::Frame::<false>),
    },
    Entry {
        name: "frame-2021",
        port: None,
        summary: "framed text transforms, with the action codes of 2021",
        rfc: None,
        start: || Box::new(frame::Frame::<true>),
    },
    Entry {
        name: "text",
        port: Some(8082),
        summary: "text transforms, asked for in words: ACTION LENGTH MESSAGE",
        rfc: None,
        start: || Box::new(text::Text),
    },
    Entry {
        name: "echo",
        port: Some(7),
        summary: "every byte back, unchanged",
        rfc: Some(862),
        start: || Box::new(echo::Echo),
    },
    Entry {
        name: "echo-prefix",
        port: None,
        summary: "each chunk back, behind `Echo: `",
        rfc: None,
        start: || Box::new(echo_prefix::EchoPrefix),
    },
    Entry {
        name: "ack",
        port: None,
        summary: "`Message received!` to the first chunk, then close",
        rfc: None,
        start: || Box::new(ack::Ack),
    },
    Entry {
        name: "respond",
        port: None,
        summary: "each chunk back in upper case, behind `Response: `",
        rfc: None,
        start: || Box::new(respond::Respond),
    },
    Entry {
        name: "upper",
        port: None,
        summary: "the first chunk back, stripped and in upper case, then close",
        rfc: None,
        start: || Box::new(upper::Upper),
    },
    Entry {
        name: "upper-line",
        port: None,
        summary: "the first line back, stripped and in upper case, then close",
        rfc: None,
        start: || Box::new(upper_line::UpperLine::default()),
    },
    Entry {
        name: "length-prefix",
        port: None,
        summary: "each message back, behind its length in four bytes",
        rfc: None,
        start: || Box::new(length_prefix::LengthPrefix),
    },
    Entry {
        name: "record",
        port: Some(9999),
        summary: "in turn: a chunk echoed, a 22-byte record logged",
        rfc: None,
        start: || Box::new(record::Record::default()),
    },
    Entry {
        name: "discard",
        port: Some(9),
        summary: "takes everything, answers nothing",
        rfc: Some(863),
        start: || Box::new(discard::Discard),
    },
    Entry {
        name: "chargen",
        port: Some(19),
        summary: "a rotating pattern, for as long as the client reads",
        rfc: Some(864),
        start: || Box::new(chargen::Chargen::default()),
    },
    Entry {
        name: "qotd",
        port: Some(17),
        summary: "a quote, then close",
        rfc: Some(865),
        start: || Box::new(qotd::Qotd),
    },
    Entry {
        name: "daytime",
        port: Some(13),
        summary: "date and time as a line, then close",
        rfc: Some(867),
        start: || Box::new(daytime::Daytime),
    },
    Entry {
        name: "time",
        port: Some(37),
        summary: "seconds since 1900 in four bytes, then close",
        rfc: Some(868),
        start: || Box::new(time::Time),
    },
];

/// The protocol of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::{TABLE, by_name};

    #[test]
    fn names_and_ports_are_unique() {
        for entry in TABLE {
            assert_eq!(TABLE.iter().filter(|other| other.name == entry.name).count(), 1, "{}", entry.name);
            let same_port = TABLE.iter().filter(|other| entry.port.is_some() && other.port == entry.port);
            assert!(same_port.count() <= 1, "{}", entry.name);
        }
        assert_eq!(TABLE.len(), 16);
    }

    #[test]
    fn a_name_finds_its_row() {
        assert_eq!(by_name("frame-2021").map(|entry| entry.name), Some("frame-2021"));
        assert!(by_name("Frame").is_none());
    }

    #[test]
    fn a_connection_of_the_main_job_costs_no_allocation() {
        for name in ["frame", "frame-2021", "echo", "discard"] {
            let state = (by_name(name).unwrap().start)();
            assert_eq!(size_of_val(&*state), 0, "{name}");
        }
    }
}
