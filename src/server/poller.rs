//! epoll(7), level-triggered, behind [`Source`] and [`Interest`].
//!
//! Connections are known by [`Token`], never by descriptor. A descriptor leaves epoll when it is closed: each has exactly
//! one, nothing here duplicates or inherits them, so no separate call is needed for that.

use std::io;
use std::os::fd::AsFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::connection::Interest;

/// Events taken at one wake-up.
const BATCH: usize = 256;

/// The bits of an event's data that name a slot.
const SLOT_BITS: u32 = 24;
/// The bits that are left for a connection's number.
const SEQUENCE_BITS: u32 = u64::BITS - SLOT_BITS;
/// The slot numbers from here on name no connection: a listener, the mailbox.
const LISTENER: u32 = (1 << SLOT_BITS) - 2;
const MAILBOX: u32 = LISTENER + 1;

/// A connection of one worker, never two of them in the life of the process: the worker counts its connections with
/// 64 bits, and no two have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// Where the registry keeps the connection.
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
    /// The low 40 bits decide: an event is handled before the worker waits for the next ones, and between two of these a worker
    /// takes in a few hundred connections, never 2^40.
    #[must_use]
    pub fn is(self, token: Token) -> bool {
        self == Self::connection(token)
    }

    fn pack(self) -> u64 {
        let (slot, number) = match self {
            Self::Mailbox => (MAILBOX, 0),
            Self::Listener(number) => (LISTENER, u64::from(number)),
            Self::Connection(slot, number) => (slot, number),
        };
        number << SLOT_BITS | u64::from(slot)
    }

    fn unpack(data: u64) -> Self {
        let (slot, number) = (data as u32 & MAILBOX, data >> SLOT_BITS);
        match slot {
            MAILBOX => Self::Mailbox,
            LISTENER => Self::Listener(number as u32),
            slot => Self::Connection(slot, number),
        }
    }
}

const fn low_bits() -> u64 {
    (1 << SEQUENCE_BITS) - 1
}

/// What happened on one descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Whose it is.
    pub source: Source,
    /// Input, or its end.
    pub readable: bool,
    /// Room for output.
    pub writable: bool,
    /// The connection is broken or both of its sides ended; reported whether asked for or not.
    pub hung_up: bool,
}

/// An epoll instance and its events.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    events: Box<[EpollEvent; BATCH]>,
}

impl Poller {
    /// A new instance.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, events: Box::new([EpollEvent::empty(); BATCH]) })
    }

    /// Waits for events, at most so many milliseconds (`None`: until one comes). A signal ends the wait early.
    pub fn wait(&mut self, timeout: Option<u64>) -> io::Result<usize> {
        let timeout = timeout.map_or(EpollTimeout::NONE, |milliseconds| {
            EpollTimeout::try_from(milliseconds.min(i32::MAX as u64)).unwrap_or(EpollTimeout::MAX)
        });
        match self.epoll.wait(&mut self.events[..], timeout) {
            Err(nix::errno::Errno::EINTR) => Ok(0),
            result => Ok(result?),
        }
    }

    /// One of the events that the last [`Poller::wait`] counted.
    #[must_use]
    pub fn event(&self, number: usize) -> Event {
        let event = &self.events[number];
        let flags = event.events();
        Event {
            source: Source::unpack(event.data()),
            readable: flags.contains(EpollFlags::EPOLLIN),
            writable: flags.contains(EpollFlags::EPOLLOUT),
            hung_up: flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR),
        }
    }

    /// Watches a descriptor of this worker's own.
    pub fn add(&self, fd: &impl AsFd, source: Source, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(flags(interest), source.pack()))?)
    }

    /// Watches a descriptor for something else.
    pub fn change(&self, fd: &impl AsFd, source: Source, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(flags(interest), source.pack()))?)
    }

    /// Watches a descriptor that several workers wait on: not all of them are woken for each event (`EPOLLEXCLUSIVE`).
    pub fn add_shared(&self, fd: &impl AsFd, source: Source) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        Ok(self.epoll.add(fd, EpollEvent::new(flags, source.pack()))?)
    }

    /// Watches a descriptor no more.
    pub fn remove(&self, fd: &impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }
}

fn flags(interest: Interest) -> EpollFlags {
    let mut flags = EpollFlags::empty();
    flags.set(EpollFlags::EPOLLIN, interest.read);
    flags.set(EpollFlags::EPOLLOUT, interest.write);
    flags
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
