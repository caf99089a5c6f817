//! What other threads hand a worker: sockets, finished work, orders.
//!
//! Any thread may post; only the worker collects. The eventfd is written only when the box was empty, so a burst
//! costs one system call.

use std::convert::Infallible;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::poller::Token;
use crate::connection::{Charge, Limits, OffloadResult, Retired};
use crate::protocol::{ProtocolInfo, ProtocolSettings};
use crate::sys::{Errno, EventFd};

/// One message to a worker.
pub enum Mail {
    /// Serve this connection.
    Accepted(TcpStream, &'static ProtocolInfo),
    /// This heavy work is done, or could not be.
    Finished(Token, Result<Box<OffloadResult>, (io::Error, Retired)>),
    /// Show that the loop comes round.
    Beat(u64),
    /// These limits and this configuration of protocols from now on; the sender is dropped when that is so.
    Renew(Limits, Arc<ProtocolSettings>, Sender<Infallible>),
    /// The memory that this connection waits for.
    Memory(Token, Charge),
    /// A connection waits for memory, and none did before: look at the deadlines of slow readers.
    Contention,
    /// Run one offloaded request here, if there is still no thread for it.
    RunOffloaded,
    /// There may be room again: look at what waits for it.
    Retry,
    /// Stop: accept no more, answer what was asked, until so many milliseconds have passed.
    Stop(u64),
    /// Stop at once.
    StopNow,
}

/// A worker's letter box.
#[derive(Debug)]
pub struct Mailbox {
    /// `None` once it is closed.
    letters: Mutex<Option<Letters>>,
    notice: EventFd,
}

/// The messages that were not collected yet.
#[derive(Debug, Default)]
struct Letters {
    mail: Vec<Mail>,
    /// Whether [`Mail::Contention`] is among them.
    contention: bool,
    /// Whether [`Mail::Retry`] is among them.
    retry: bool,
}

impl Letters {
    /// Adds a message; not a second one of those that say the same each time, however often clients cause them.
    fn add(&mut self, message: Mail) {
        let is_there = match message {
            Mail::Contention => std::mem::replace(&mut self.contention, true),
            Mail::Retry => std::mem::replace(&mut self.retry, true),
            _ => false,
        };
        if !is_there {
            self.mail.push(message);
        }
    }
}

impl Mailbox {
    /// An empty one.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self { letters: Mutex::new(Some(Letters::default())), notice: EventFd::new()? })
    }

    /// Adds a message and wakes the worker; gives it back if the worker has ended.
    pub fn post(&self, message: Mail) -> Result<(), Mail> {
        let mut letters = self.lock();
        let Some(letters) = letters.as_mut() else { return Err(message) };
        let was_empty = letters.mail.is_empty();
        letters.add(message);
        if was_empty {
            self.notice.notify();
        }
        Ok(())
    }

    /// Whether there is nothing to collect.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().as_ref().is_none_or(|letters| letters.mail.is_empty())
    }

    /// Takes all messages, oldest first.
    pub fn collect(&self) -> Vec<Mail> {
        let mut letters = self.lock();
        self.notice.clear();
        letters.as_mut().map(std::mem::take).unwrap_or_default().mail
    }

    /// Takes no more messages; those that are left are returned.
    #[must_use]
    pub fn close(&self) -> Vec<Mail> {
        self.lock().take().unwrap_or_default().mail
    }

    fn lock(&self) -> MutexGuard<'_, Option<Letters>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notice.as_fd()
    }
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Accepted(..) => "Accepted",
            Self::Finished(..) => "Finished",
            Self::Memory(..) => "Memory",
            Self::Contention => "Contention",
            Self::RunOffloaded => "RunOffloaded",
            Self::Beat(_) => "Beat",
            Self::Renew(..) => "Renew",
            Self::Retry => "Retry",
            Self::Stop(_) => "Stop",
            Self::StopNow => "StopNow",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn mail_from_many_threads_arrives_once_and_wakes() {
        let mailbox = Arc::new(Mailbox::new().expect("eventfd"));
        let posters: Vec<_> = (0..4u64)
            .map(|poster| {
                let mailbox = Arc::clone(&mailbox);
                thread::spawn(move || (0..250).for_each(|n| mailbox.post(Mail::Beat(poster * 250 + n)).expect("open")))
            })
            .collect();
        let mut seen = vec![false; 1000];
        while seen.iter().any(|seen| !seen) {
            let mut ready = [nix::poll::PollFd::new(mailbox.as_fd(), nix::poll::PollFlags::POLLIN)];
            assert_eq!(nix::poll::poll(&mut ready, 5000u16), Ok(1), "mail without a notice");
            for mail in mailbox.collect() {
                let Mail::Beat(n) = mail else { panic!("not what was posted") };
                assert!(!std::mem::replace(&mut seen[n as usize], true), "twice");
            }
        }
        for poster in posters {
            poster.join().expect("poster");
        }
    }

    #[test]
    fn the_first_message_wakes_and_collecting_ends_that() {
        let mailbox = Mailbox::new().expect("eventfd");
        let is_woken = || {
            let mut ready = [nix::poll::PollFd::new(mailbox.as_fd(), nix::poll::PollFlags::POLLIN)];
            nix::poll::poll(&mut ready, 0u16) == Ok(1)
        };
        assert!(mailbox.is_empty() && !is_woken());
        assert!(mailbox.post(Mail::Beat(1)).is_ok());
        assert!(!mailbox.is_empty() && is_woken());
        assert_eq!(mailbox.collect().len(), 1);
        assert!(mailbox.is_empty() && !is_woken());
    }

    #[test]
    fn reminders_do_not_pile_up() {
        let mailbox = Mailbox::new().expect("eventfd");
        let post = || assert!(mailbox.post(Mail::Retry).and(mailbox.post(Mail::Contention)).is_ok());
        (0..3).for_each(|_| post());
        assert!(matches!(mailbox.collect()[..], [Mail::Retry, Mail::Contention]));
        post();
        assert_eq!(mailbox.collect().len(), 2, "each is posted again once it was collected");
    }

    #[test]
    fn a_closed_one_gives_back_what_is_there_and_what_comes() {
        let mailbox = Mailbox::new().expect("eventfd");
        assert!(mailbox.post(Mail::Beat(1)).is_ok());
        assert!(matches!(mailbox.close()[..], [Mail::Beat(1)]));
        assert!(matches!(mailbox.post(Mail::Beat(2)), Err(Mail::Beat(2))));
        assert!(mailbox.is_empty() && mailbox.collect().is_empty() && mailbox.close().is_empty());
    }
}
