//! epoll(7), level-triggered, behind [`Token`] and [`Interest`].
//!
//! Connections are known by token, never by descriptor. A descriptor leaves epoll when it is closed: each has exactly
//! one, nothing here duplicates or inherits them, so no separate call is needed for that.

use std::io;
use std::os::fd::AsFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::connection::Interest;

/// Events taken at one wake-up.
const BATCH: usize = 256;

/// What an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(u64);

impl Token {
    /// The worker's mailbox.
    pub const MAILBOX: Self = Self(u64::MAX);
    const LISTENERS: u64 = 0xffff_ffff_0000_0000;

    /// The connection in a slot of the registry, and the slot's generation (which never has all bits set).
    #[must_use]
    pub fn connection(slot: u32, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(slot))
    }

    /// The listener with that number.
    #[must_use]
    pub fn listener(number: u32) -> Self {
        Self(Self::LISTENERS | u64::from(number))
    }

    /// The number of the listener, if it is one.
    #[must_use]
    pub fn as_listener(self) -> Option<usize> {
        (self.0 >= Self::LISTENERS && self != Self::MAILBOX).then_some(self.slot() as usize)
    }

    /// The slot of the connection.
    #[must_use]
    pub fn slot(self) -> u32 {
        self.0 as u32
    }

    /// The generation of the connection.
    #[must_use]
    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// What happened on one descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Whose it is.
    pub token: Token,
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
            token: Token(event.data()),
            readable: flags.contains(EpollFlags::EPOLLIN),
            writable: flags.contains(EpollFlags::EPOLLOUT),
            hung_up: flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR),
        }
    }

    /// Watches a connection.
    pub fn add(&self, fd: &impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(flags(interest), token.0))?)
    }

    /// Watches a connection for something else.
    pub fn change(&self, fd: &impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(flags(interest), token.0))?)
    }

    /// Watches a descriptor that several workers wait on: not all of them are woken for each event (`EPOLLEXCLUSIVE`).
    pub fn add_shared(&self, fd: &impl AsFd, token: Token) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        Ok(self.epoll.add(fd, EpollEvent::new(flags, token.0))?)
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
    use super::Token;

    #[test]
    fn tokens_are_told_apart() {
        let connection = Token::connection(7, 0xffff_fffe);
        assert_eq!((connection.slot(), connection.generation()), (7, 0xffff_fffe));
        assert_eq!(connection.as_listener(), None);
        assert_eq!(Token::listener(3).as_listener(), Some(3));
        assert_eq!(Token::MAILBOX.as_listener(), None);
    }
}
