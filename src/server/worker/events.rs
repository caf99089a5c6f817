//! Waiting for events, and handling them for a bounded time.

use std::io;

use super::Worker;
use super::steps::{MAX_STEP_TIME, Step, Steps};
use crate::connection::Millis;
use crate::server::poller::{Event, Source};

/// Events handled between two readings of the clock. Chosen: four of the longest take two milliseconds (`InlineLimits` in
/// `src/protocol/request_head.rs`), and a reading for each would be 0.5 % of the shortest (25 ns of 5 us).
pub const CLOCK_INTERVAL: usize = 4;

impl Worker {
    /// Waits for events, unless some are still to be handled. These come first, because epoll takes those that it
    /// returns for the last ones to be served.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        if self.events.is_empty() {
            self.events = 0..self.driver.poller.wait_milliseconds(self.timeout().map(Millis::get))?;
        }
        Ok(())
    }

    /// Handles events until the time for them is used up.
    pub(super) fn handle_events(&mut self, steps: &mut Steps) {
        let mut handled = 0;
        while let Some(event) = self.next_event() {
            match event.key {
                Source::Listener(index) => self.on_listener_event(index as usize),
                Source::Mailbox => self.drain_mailbox(),
                Source::Connection(..) => self.on_connection_event(event),
            }
            steps.ended(Step::Event(event.key));
            handled += 1;
            if handled % CLOCK_INTERVAL == 0 && steps.elapsed() >= MAX_STEP_TIME {
                return;
            }
        }
    }

    /// The next event to handle: one that epoll has returned, unless it is put off; then one that was.
    #[inline]
    fn next_event(&mut self) -> Option<Event> {
        while let Some(number) = self.events.next() {
            let event = self.driver.poller.event(number);
            if !event.ended || !self.postpones(event) {
                return Some(event);
            }
        }
        if self.ended.has_work() { self.ended.pop() } else { None }
    }
}
