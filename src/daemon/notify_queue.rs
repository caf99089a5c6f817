//! The messages that the service manager must get, until it has got them.
//!
//! A manager that is busy has a full queue: sending fails then, and may not wait. READY, RELOADING and STOPPING change
//! what the manager takes the service for, so they are kept and sent again, in their order. Only what matters in the
//! end is kept, so the list stays short however long the manager takes nothing:
//!
//! * a reload that begins replaces one of which the manager has not heard;
//! * STOPPING replaces such a reload too, but never a READY: a service that ends before it was ready has failed for
//!   its manager, whatever its exit code (`Type=notify` in systemd.service(5));
//! * after STOPPING comes nothing.

use std::collections::VecDeque;

/// A message that must arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The manager's store of descriptors is to drop those of this name.
    Forget(String),
    /// Every listener accepts, by the settings that were read last.
    Ready,
    /// Reloading began at this time of the monotonic clock, in microseconds.
    Reloading(i128),
    /// Stopping has begun.
    Stopping,
}

/// Messages that have not been delivered, the oldest first.
#[derive(Debug, Default)]
pub struct NotifyQueue {
    messages: VecDeque<Message>,
    stopping: bool,
}

impl NotifyQueue {
    /// Nothing has to be said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// One more message.
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

    /// Drops a reload of which the manager has not heard, from RELOADING to the READY that ends it.
    fn drop_reload(&mut self) {
        let begins = self.messages.iter().position(|message| matches!(message, Message::Reloading(_)));
        self.messages.truncate(begins.unwrap_or(self.messages.len()));
    }

    /// Sends one after the other until `send` says that a message was not taken.
    pub fn deliver(&mut self, mut send: impl FnMut(&Message) -> bool) {
        while self.messages.front().is_some_and(&mut send) {
            self.messages.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Message::{Forget, Ready, Reloading, Stopping};
    use super::*;

    /// What is delivered of these, when nothing could be sent before the last one.
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
    fn order_is_kept() {
        let forget = || Forget("old".into());
        assert_eq!(kept(&[forget(), Ready]), [forget(), Ready]);
        assert_eq!(kept(&[Ready, Reloading(1), Ready]), [Ready, Reloading(1), Ready]);
        assert_eq!(kept(&[Ready, Stopping]), [Ready, Stopping]);
        assert_eq!(kept(&[]), []);
    }

    #[test]
    fn the_list_stays_short() {
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
    fn a_stop_supersedes_a_reload_but_not_ready() {
        assert_eq!(kept(&[Ready, Reloading(1), Ready, Stopping]), [Ready, Stopping]);
        assert_eq!(kept(&[Reloading(1), Stopping]), [Stopping]);
        // the manager knows of the reload: it is to hear of its end
        let mut pending = NotifyQueue::default();
        pending.push(Reloading(1));
        pending.deliver(|_| true);
        pending.push(Ready);
        pending.push(Stopping);
        assert_eq!(all(&mut pending), [Ready, Stopping]);
    }

    #[test]
    fn nothing_comes_after_stopping() {
        assert_eq!(kept(&[Stopping, Reloading(1), Ready, Stopping]), [Stopping]);
        let mut pending = NotifyQueue::default();
        pending.push(Stopping);
        pending.deliver(|_| true);
        pending.push(Ready);
        assert!(pending.is_empty());
    }

    #[test]
    fn what_is_not_taken_is_sent_again_first() {
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
