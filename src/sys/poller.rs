//! epoll(7), level-triggered: one instance that watches many descriptors, each under a key that its owner chooses.
//!
//! The kernel forgets a descriptor when it is closed, because this process never duplicates one that is watched:
//! closing needs no call of [`Poller::remove`].

use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollTimeout;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::interest::Interest;
use super::poll::{poll_timeout, timeout_of};

/// The name of a watched descriptor, stored by the kernel in the 64 bits of `epoll_data` (`epoll_ctl(2)`).
pub trait Key: Copy {
    /// The key as the number that the kernel stores.
    fn pack(self) -> u64;

    /// The key that [`Key::pack`] turned into `data`.
    fn unpack(data: u64) -> Self;
}

impl Key for u64 {
    #[inline]
    fn pack(self) -> u64 {
        self
    }

    #[inline]
    fn unpack(data: u64) -> Self {
        data
    }
}

/// The readiness of one descriptor.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "any of these may be true beside any other")]
pub struct Event<K> {
    /// The key under which the descriptor is watched.
    pub key: K,
    /// Input or its end can be read (`EPOLLIN`).
    pub readable: bool,
    /// Output can be written (`EPOLLOUT`).
    pub writable: bool,
    /// The connection failed or both directions are shut down (`EPOLLERR`, `EPOLLHUP`); reported whatever the interest.
    pub hung_up: bool,
    /// The connection failed, or the peer has sent its last byte and input is watched for (also `EPOLLRDHUP`).
    pub ended: bool,
}

/// An epoll instance that returns at most `EVENTS` events from one wait.
#[derive(Debug)]
pub struct Poller<K, const EVENTS: usize> {
    epoll: Epoll,
    events: Box<[EpollEvent; EVENTS]>,
    key: PhantomData<K>,
}

impl<K: Key, const EVENTS: usize> Poller<K, EVENTS> {
    /// Creates an instance that watches nothing; closed on exec.
    ///
    /// # Errors
    /// As `epoll_create1(2)`: EMFILE, ENFILE or ENOMEM.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, events: Box::new([EpollEvent::empty(); EVENTS]), key: PhantomData })
    }

    /// Waits until a descriptor is ready, at most for `timeout` (rounded up to a millisecond; `None`: without a limit),
    /// and returns the number of events. A signal ends the wait with 0 events.
    ///
    /// # Errors
    /// As `epoll_wait(2)`, except EINTR.
    #[inline]
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.wait_until(poll_timeout(timeout))
    }

    /// As [`Poller::wait`]; the timeout is in milliseconds.
    ///
    /// # Errors
    /// As [`Poller::wait`].
    #[inline]
    pub fn wait_milliseconds(&mut self, timeout: Option<u64>) -> io::Result<usize> {
        self.wait_until(timeout.map_or(PollTimeout::NONE, timeout_of))
    }

    #[inline]
    fn wait_until(&mut self, timeout: PollTimeout) -> io::Result<usize> {
        match self.epoll.wait(&mut self.events[..], timeout) {
            Err(Errno::EINTR) => Ok(0),
            result => Ok(result?),
        }
    }

    /// The event with this index, which is less than the number that the last [`Poller::wait`] returned.
    #[inline]
    #[must_use]
    pub fn event(&self, index: usize) -> Event<K> {
        let event = &self.events[index];
        let flags = event.events();
        Event {
            key: K::unpack(event.data()),
            readable: flags.contains(EpollFlags::EPOLLIN),
            writable: flags.contains(EpollFlags::EPOLLOUT),
            hung_up: flags.intersects(HUNG_UP),
            ended: flags.intersects(HUNG_UP.union(EpollFlags::EPOLLRDHUP)),
        }
    }

    /// Starts to watch a descriptor.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`, for example ENOMEM, ENOSPC (`max_user_watches`) or EPERM (a regular file).
    #[inline]
    pub fn add(&self, fd: &impl AsFd, key: K, interest: impl Into<Interest>) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(flags(interest.into()), key.pack()))?)
    }

    /// Starts to watch for input on a descriptor that several instances watch: an event wakes at least one of them, not
    /// all (`EPOLLEXCLUSIVE`).
    ///
    /// # Errors
    /// As [`Poller::add`].
    #[inline]
    pub fn add_shared(&self, fd: &impl AsFd, key: K) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        Ok(self.epoll.add(fd, EpollEvent::new(flags, key.pack()))?)
    }

    /// Changes the key and the interest of a watched descriptor.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`, for example ENOMEM, or ENOENT when the descriptor is not watched.
    #[inline]
    pub fn change(&self, fd: &impl AsFd, key: K, interest: impl Into<Interest>) -> io::Result<()> {
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(flags(interest.into()), key.pack()))?)
    }

    /// Stops watching a descriptor that stays open.
    ///
    /// # Errors
    /// ENOENT when the descriptor is not watched.
    #[inline]
    pub fn remove(&self, fd: &impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }
}

/// The flags that epoll reports whatever it watches for.
const HUNG_UP: EpollFlags = EpollFlags::EPOLLHUP.union(EpollFlags::EPOLLERR);

#[inline]
fn flags(interest: Interest) -> EpollFlags {
    let mut flags = EpollFlags::empty();
    flags.set(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, interest.read);
    flags.set(EpollFlags::EPOLLOUT, interest.write);
    flags
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use super::*;

    const READ: Interest = Interest { read: true, write: false };
    const WRITE: Interest = Interest { read: false, write: true };

    fn ready(poller: &mut Poller<u64, 4>) -> Vec<(u64, bool, bool, bool)> {
        let count = poller.wait(Some(Duration::ZERO)).expect("epoll_wait");
        let events = (0..count).map(|index| poller.event(index));
        events.map(|event| (event.key, event.readable, event.writable, event.hung_up)).collect()
    }

    #[test]
    fn events_carry_the_key_and_the_readiness_of_their_descriptor() {
        let mut poller = Poller::<u64, 4>::new().expect("epoll");
        let (watched, peer) = UnixStream::pair().expect("a pair of sockets");
        poller.add(&watched, u64::MAX, READ).expect("add");
        assert_eq!(ready(&mut poller), []);
        poller.change(&watched, 7, WRITE).expect("change");
        assert_eq!(ready(&mut poller), [(7, false, true, false)]);
        poller.change(&watched, 8, READ).expect("change");
        drop(peer);
        assert_eq!(ready(&mut poller), [(8, true, false, true)]);
        poller.remove(&watched).expect("remove");
        assert_eq!(ready(&mut poller), []);
        poller.add_shared(&watched, 9).expect("add again");
        assert_eq!(ready(&mut poller), [(9, true, false, true)]);
        drop(watched);
        assert_eq!(ready(&mut poller), []);
    }

    #[test]
    fn input_and_its_end_are_different_events() {
        let mut poller = Poller::<u64, 4>::new().expect("epoll");
        let (watched, mut peer) = UnixStream::pair().expect("a pair of sockets");
        poller.add(&watched, 1, READ).expect("add");
        peer.write_all(b"x").expect("write");
        assert_eq!(poller.wait(None).expect("epoll_wait"), 1);
        assert!(poller.event(0).readable && !poller.event(0).ended);
        peer.shutdown(Shutdown::Write).expect("shutdown");
        assert_eq!(poller.wait(None).expect("epoll_wait"), 1);
        let event = poller.event(0);
        assert!(event.readable && event.ended && !event.hung_up);
        poller.change(&watched, 1, WRITE).expect("change");
        assert_eq!(poller.wait(None).expect("epoll_wait"), 1);
        assert!(!poller.event(0).ended, "input is not watched for");
    }

    #[test]
    fn one_wait_returns_no_more_events_than_there_is_room_for() {
        let mut poller = Poller::<u64, 4>::new().expect("epoll");
        let pairs: Vec<_> = (0..6).map(|_| UnixStream::pair().expect("a pair of sockets")).collect();
        for (key, (watched, _)) in (0..).zip(&pairs) {
            poller.add(watched, key, WRITE).expect("add");
        }
        assert_eq!(ready(&mut poller).len(), 4);
    }
}
