//! Visiting all connections one after another, in parts: for their deadlines, and while the worker drains.

use std::ops::Range;
use std::time::Instant;

use super::Worker;
use super::steps::MAX_STEP_TIME;
use crate::connection::Connection;

/// Connections visited between two readings of the clock. Chosen so that the clock is a small part of the cost.
const CLOCK_INTERVAL: usize = 16;

/// The progress of a sweep.
#[derive(Debug, Default)]
pub struct Sweep {
    /// The slot at which it continues.
    position: Option<usize>,
}

impl Sweep {
    /// Begins a sweep, anew if one is in progress.
    pub fn restart(&mut self) {
        self.position = Some(0);
    }

    /// Whether one is in progress.
    #[must_use]
    pub fn is_in_progress(&self) -> bool {
        self.position.is_some()
    }
}

impl Worker {
    /// Begins a sweep if a deadline may have passed; continues one that is in progress.
    pub(super) fn sweep(&mut self) {
        let driver = &mut self.driver;
        if !self.sweep.is_in_progress() && driver.timer.begin_sweep(driver.context.now, self.table.len()) {
            self.sweep.restart();
        }
        let Some(position) = self.sweep.position else { return };
        let slot = self.visit_slots(position..self.table.slots(), Self::visit);
        self.sweep.position = (slot < self.table.slots()).then_some(slot);
    }

    /// Visits slots in their order until the time for that is used up; returns the slot at which to continue.
    pub(super) fn visit_slots(&mut self, slots: Range<usize>, visit: impl Fn(&mut Self, usize)) -> usize {
        let Range { start: mut slot, end } = slots;
        let begun = Instant::now();
        while slot < end {
            let pause = (slot + CLOCK_INTERVAL).min(end);
            (slot..pause).for_each(|slot| visit(self, slot));
            slot = pause;
            if begun.elapsed() >= MAX_STEP_TIME {
                break;
            }
        }
        slot
    }

    /// Does what is due for the connection in a slot, if there is one.
    fn visit(&mut self, slot: usize) {
        let Some((token, session)) = self.table.at(slot) else { return };
        if session.revision != self.shared.profile(session.listener).revision() {
            return self.renew_impairment(token);
        }
        let driver = &mut self.driver;
        let deadline = session.connection.deadline(&driver.context);
        let next = if deadline <= driver.context.now {
            driver.drive_connection(token, session, Connection::expire)
        } else if driver.phase.is_draining() {
            driver.visit(token, session)
        } else {
            return driver.timer.schedule(deadline);
        };
        self.take_step(token, next);
    }
}
