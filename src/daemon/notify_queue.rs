//! The messages to the service manager that must be delivered.
//!
//! The queue of a busy manager is full: sending fails then, and must not block. READY, RELOADING and STOPPING change
//! the state that the manager assumes, so they are kept and sent again, in their order. Messages that later ones make
//! obsolete are dropped, so the queue stays short even if the manager never takes a message:
//!
//! * RELOADING replaces an earlier reload that the manager does not know of;
//! * STOPPING replaces such a reload, too, but never a READY: for its manager, a service that ends before it was ready
//!   has failed, whatever its exit code (`Type=notify` in systemd.service(5));
//! * after STOPPING nothing is queued.

use std::collections::VecDeque;

/// A message that must be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The manager's store of descriptors has to remove those of this name.
    RemoveStored(String),
    /// Every listener accepts, with the settings that were read last.
    Ready,
    /// A reload began at this time of the monotonic clock, in microseconds.
    Reloading(i128),
    /// The daemon is stopping.
    Stopping,
}

/// The messages that have not been delivered, the oldest first.
#[derive(Debug, Default)]
pub struct NotifyQueue {
    messages: VecDeque<Message>,
    stopping: bool,
}

impl NotifyQueue {
    /// Whether every message has been delivered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The number of messages that have not been delivered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether STOPPING was added: no other message changes the state that the manager assumes any more.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Adds a message, and drops those that it makes obsolete.
    pub fn push(&mut self, message: Message) {
        if self.stopping || (message == Message::Ready && self.messages.back() == Some(&message)) {
            return;
        }
        if matches!(message, Message::Reloading(_) | Message::Stopping) {
            self.drop_reload();
        }
        self.stopping = message == Message::Stopping;
        self.messages.push_back(message);
    }

    /// Drops a reload that the manager does not know of, from RELOADING to the READY that ends it.
    fn drop_reload(&mut self) {
        let begins = self.messages.iter().position(|message| matches!(message, Message::Reloading(_)));
        self.messages.truncate(begins.unwrap_or(self.messages.len()));
    }

    /// Sends the messages in their order until `send` returns false: the manager has not taken the message.
    pub fn deliver(&mut self, mut send: impl FnMut(&Message) -> bool) {
        while self.messages.front().is_some_and(&mut send) {
            self.messages.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Message::{Ready, Reloading, RemoveStored, Stopping};
    use super::*;

    /// The messages that are delivered of these, if none could be sent before the last one was added.
    fn kept(messages: &[Message]) -> Vec<Message> {
        let mut pending = NotifyQueue::default();
        for message in messages {
            pending.push(message.clone());
        }
        all(&mut pending)
    }

    fn all(pending: &mut NotifyQueue) -> Vec<Message> {
        let mut sent = Vec::new();
        pending.deliver(|message| {
            sent.push(message.clone());
            true
        });
        assert!(pending.is_empty());
        sent
    }

    #[test]
    fn messages_are_delivered_in_order() {
        let remove = || RemoveStored("old".into());
        assert_eq!(kept(&[remove(), Ready]), [remove(), Ready]);
        assert_eq!(kept(&[Ready, Reloading(1), Ready]), [Ready, Reloading(1), Ready]);
        assert_eq!(kept(&[Ready, Stopping]), [Ready, Stopping]);
        assert_eq!(kept(&[]), []);
    }

    #[test]
    fn queue_stays_short() {
        let mut pending = NotifyQueue::default();
        pending.push(Ready);
        for reload in 0..1000 {
            pending.push(Reloading(reload));
            pending.push(Ready);
        }
        assert_eq!(all(&mut pending), [Ready, Reloading(999), Ready]);
        assert_eq!(kept(&[Ready, Ready, Ready]), [Ready]);
    }

    #[test]
    fn stopping_replaces_a_reload_but_not_ready() {
        assert_eq!(kept(&[Ready, Reloading(1), Ready, Stopping]), [Ready, Stopping]);
        assert_eq!(kept(&[Reloading(1), Stopping]), [Stopping]);
        // the manager knows of the reload, so it must be told of its end
        let mut pending = NotifyQueue::default();
        pending.push(Reloading(1));
        pending.deliver(|_| true);
        pending.push(Ready);
        pending.push(Stopping);
        assert_eq!(all(&mut pending), [Ready, Stopping]);
    }

    #[test]
    fn nothing_is_queued_after_stopping() {
        assert_eq!(kept(&[Stopping, Reloading(1), Ready, Stopping]), [Stopping]);
        let mut pending = NotifyQueue::default();
        pending.push(Stopping);
        pending.deliver(|_| true);
        pending.push(Ready);
        assert!(pending.is_empty() && pending.is_stopping());
    }

    #[test]
    fn undelivered_messages_are_sent_again_first() {
        let mut pending = NotifyQueue::default();
        pending.push(Ready);
        pending.push(Reloading(1));
        pending.push(Ready);
        let mut room = 2;
        let mut sent = Vec::new();
        pending.deliver(|message| {
            let taken = room > 0;
            room -= i32::from(taken);
            sent.push((message.clone(), taken));
            taken
        });
        assert_eq!(sent, [(Ready, true), (Reloading(1), true), (Ready, false)]);
        assert!(!pending.is_empty());
        assert_eq!(all(&mut pending), [Ready]);
    }
}
