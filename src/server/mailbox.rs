//! A worker's queue of messages from other threads: sockets, processed requests, commands.
//!
//! Any thread may send; only the worker drains. The worker is notified only when the queue was empty, so a burst of
//! messages costs one system call.

use std::mem;
use std::os::fd::{AsFd, BorrowedFd};

use super::message::WorkerMessage;
use super::notifier::Notifier;
use super::sync::{Mutex, lock};
use crate::sys::EventFd;

/// A queue of messages, and the notifier that its worker waits for.
#[derive(Debug)]
pub struct Mailbox<N = EventFd> {
    /// `None` once it is closed.
    queue: Mutex<Option<Queue>>,
    notifier: N,
}

/// The messages that were not drained yet.
#[derive(Debug, Default)]
struct Queue {
    messages: Vec<WorkerMessage>,
    /// [`WorkerMessage::MemoryContention`] is among them.
    has_contention: bool,
    /// [`WorkerMessage::SlotsFreed`] is among them.
    has_slots_freed: bool,
}

impl Queue {
    /// Adds a message, unless it is a reminder that is there already: clients cause those as often as they like.
    fn push(&mut self, message: WorkerMessage) {
        let is_repeated = match message {
            WorkerMessage::MemoryContention => mem::replace(&mut self.has_contention, true),
            WorkerMessage::SlotsFreed => mem::replace(&mut self.has_slots_freed, true),
            _ => false,
        };
        if !is_repeated {
            self.messages.push(message);
        }
    }
}

impl<N: Notifier> Mailbox<N> {
    /// An empty, open mailbox.
    pub fn new(notifier: N) -> Self {
        Self { queue: Mutex::new(Some(Queue::default())), notifier }
    }

    /// Adds a message and notifies the worker.
    ///
    /// # Errors
    /// The message, if the worker has ended.
    pub fn send(&self, message: WorkerMessage) -> Result<(), WorkerMessage> {
        let mut queue = lock(&self.queue);
        let Some(queue) = queue.as_mut() else { return Err(message) };
        let was_empty = queue.messages.is_empty();
        queue.push(message);
        if was_empty {
            self.notifier.notify();
        }
        Ok(())
    }

    /// Whether there are no messages.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        lock(&self.queue).as_ref().is_none_or(|queue| queue.messages.is_empty())
    }

    /// Takes all messages, oldest first, and clears the notifier.
    #[must_use]
    pub fn drain(&self) -> Vec<WorkerMessage> {
        let mut queue = lock(&self.queue);
        // under the lock: a message that is sent after this one notifies again
        self.notifier.clear();
        queue.as_mut().map(mem::take).unwrap_or_default().messages
    }

    /// Accepts no more messages; returns those that are left, oldest first.
    #[must_use]
    pub fn close(&self) -> Vec<WorkerMessage> {
        lock(&self.queue).take().unwrap_or_default().messages
    }

    /// The notifier that the worker waits for.
    #[cfg(test)]
    pub fn notifier(&self) -> &N {
        &self.notifier
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notifier.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    fn mailbox() -> Mailbox {
        Mailbox::new(EventFd::new().expect("an eventfd"))
    }

    fn is_notified(mailbox: &Mailbox, timeout: u16) -> bool {
        let mut ready = [nix::poll::PollFd::new(mailbox.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut ready, timeout) == Ok(1)
    }

    #[test]
    fn each_message_of_many_threads_arrives_once_and_notifies() {
        let mailbox = Arc::new(mailbox());
        let senders: Vec<_> = (0..4u64)
            .map(|sender| {
                let mailbox = Arc::clone(&mailbox);
                let send = move |n| mailbox.send(WorkerMessage::Heartbeat(sender * 250 + n)).expect("an open mailbox");
                thread::spawn(move || (0..250).for_each(send))
            })
            .collect();
        let mut seen = vec![false; 1000];
        while seen.iter().any(|seen| !seen) {
            assert!(is_notified(&mailbox, 5000), "messages without a notification");
            for message in mailbox.drain() {
                let WorkerMessage::Heartbeat(n) = message else { panic!("{message:?} was not sent") };
                assert!(!mem::replace(&mut seen[n as usize], true), "{n} arrived twice");
            }
        }
        for sender in senders {
            sender.join().expect("no panic");
        }
    }

    #[test]
    fn the_first_message_notifies_and_draining_clears_that() {
        let mailbox = mailbox();
        assert!(mailbox.is_empty() && !is_notified(&mailbox, 0));
        assert!(mailbox.send(WorkerMessage::Heartbeat(1)).is_ok());
        assert!(!mailbox.is_empty() && is_notified(&mailbox, 0));
        assert_eq!(mailbox.drain().len(), 1);
        assert!(mailbox.is_empty() && !is_notified(&mailbox, 0));
    }

    #[test]
    fn reminders_do_not_pile_up() {
        let mailbox = mailbox();
        let send = || {
            let sent = mailbox.send(WorkerMessage::SlotsFreed).and(mailbox.send(WorkerMessage::MemoryContention));
            assert!(sent.is_ok());
        };
        (0..3).for_each(|_| send());
        assert!(matches!(mailbox.drain()[..], [WorkerMessage::SlotsFreed, WorkerMessage::MemoryContention]));
        send();
        assert_eq!(mailbox.drain().len(), 2, "each is sent again after the mailbox was drained");
    }

    #[test]
    fn a_closed_mailbox_returns_its_messages_and_rejects_later_ones() {
        let mailbox = mailbox();
        assert!(mailbox.send(WorkerMessage::Heartbeat(1)).is_ok());
        assert!(matches!(mailbox.close()[..], [WorkerMessage::Heartbeat(1)]));
        assert!(matches!(mailbox.send(WorkerMessage::Heartbeat(2)), Err(WorkerMessage::Heartbeat(2))));
        assert!(mailbox.is_empty() && mailbox.drain().is_empty() && mailbox.close().is_empty());
    }
}
