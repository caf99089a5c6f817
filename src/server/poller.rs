//! The keys under which a worker's poller watches descriptors: [`Source`], and [`Token`] for a connection.
//!
//! Connections are identified by token, never by descriptor.

#![allow(clippy::cast_possible_truncation, reason = "the parts of a token are cut out of its 64 bits on purpose")]

use crate::connection::Interest;
use crate::sys::{self, Key};

/// Events taken at one wake-up. Chosen without tuning.
const BATCH: usize = 256;

/// The poller of a worker.
pub type Poller = sys::Poller<Source, BATCH>;
/// The readiness of the mailbox, of a listener or of a connection.
pub type Event = sys::Event<Source>;

/// The bits of an event's data that name a slot. Chosen: 16 million slots are more than a process can have descriptors,
/// and the 40 bits that are left number connections for 12 days at a million a second.
const SLOT_BITS: u32 = 24;
/// The bits that are left for a connection's number.
const SEQUENCE_BITS: u32 = u64::BITS - SLOT_BITS;
/// The slot numbers from here on name no connection: a listener, the mailbox.
const LISTENER: u32 = (1 << SLOT_BITS) - 2;
const MAILBOX: u32 = LISTENER + 1;

/// A connection of one worker, never two of them in the life of the process: the worker counts its connections with 64
/// bits, and no two have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// The index of its slot in the table of connections.
    pub slot: u32,
    /// The number of the connection, counted from the start of the worker.
    pub sequence: u64,
}

impl Token {
    /// The number of slots that a token can tell apart.
    pub const SLOTS: u32 = LISTENER;
}

/// What an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The worker's mailbox.
    Mailbox,
    /// The listener with that number.
    Listener(u32),
    /// The connection in that slot, and the low 40 bits of its number ([`Source::is`]).
    Connection(u32, u64),
}

impl Source {
    /// The event source of a connection.
    #[must_use]
    pub fn connection(token: Token) -> Self {
        Self::Connection(token.slot, token.sequence & low_bits())
    }

    /// Whether this is the connection with that number.
    ///
    /// The low 40 bits decide: an event is handled before the worker waits for the next ones, and between two of these
    /// a worker takes in a few hundred connections, never 2^40.
    #[must_use]
    pub fn is(self, token: Token) -> bool {
        self == Self::connection(token)
    }
}

const fn low_bits() -> u64 {
    (1 << SEQUENCE_BITS) - 1
}

impl Key for Source {
    #[inline]
    fn pack(self) -> u64 {
        let (slot, number) = match self {
            Self::Mailbox => (MAILBOX, 0),
            Self::Listener(number) => (LISTENER, u64::from(number)),
            Self::Connection(slot, number) => (slot, number),
        };
        number << SLOT_BITS | u64::from(slot)
    }

    #[inline]
    fn unpack(data: u64) -> Self {
        let (slot, number) = (data as u32 & MAILBOX, data >> SLOT_BITS);
        match slot {
            MAILBOX => Self::Mailbox,
            LISTENER => Self::Listener(number as u32),
            slot => Self::Connection(slot, number),
        }
    }
}

impl From<Interest> for sys::Interest {
    #[inline]
    fn from(Interest { read, write }: Interest) -> Self {
        Self { read, write }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_survive_the_way_through_the_kernel() {
        let token = Token { slot: Token::SLOTS - 1, sequence: u64::MAX };
        for source in [Source::Mailbox, Source::Listener(3), Source::Connection(0, 0), Source::connection(token)] {
            assert_eq!(Source::unpack(source.pack()), source);
        }
        assert!(Source::connection(token).is(token));
    }

    #[test]
    fn a_source_is_no_other_connection() {
        let token = Token { slot: 7, sequence: 1 << 39 };
        for (slot, sequence) in [(8, 1 << 39), (7, (1 << 39) - 1), (7, 0)] {
            assert!(!Source::connection(token).is(Token { slot, sequence }));
        }
    }
}
