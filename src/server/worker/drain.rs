//! The phases of a worker, and all rules of its drain.
//!
//! Before a drain that is delayed it closes connections that are quiet (`lameduck.rs`).
//!
//! While it drains, a worker accepts only what was queued at its own listeners when the drain began. It visits all its
//! connections: at the beginning, when the grace period ends, and again as long as a visit finds that a client still
//! sends. It winds up a connection at each visit, and after each event after which the connection would wait.
//! Connections that are left when the drain times out are closed.

use std::mem;
use std::sync::mpsc::Sender;

use super::Worker;
use super::lameduck::Lameduck;
use crate::connection::{CloseReason, Connection, Context, Grace, Millis, Next, Stream};
use crate::server::acceptor::Acceptor;

/// The time after a drain has begun in which a client that has sent nothing yet may still send a request. Chosen: a
/// request that was on its way when the drain began arrives within it also over slow networks, and an idle daemon exits
/// in under a second.
const DRAIN_GRACE: Millis = Millis::new(500);

/// The phase of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It accepts and serves connections.
    Running,
    /// It does the same, and closes quiet connections one after another.
    Lameduck(Lameduck),
    /// It accepts no more, and finishes those that it has.
    Draining(Drain),
    /// It closes all connections and ends.
    Stopping,
}

impl Phase {
    /// Whether it drains.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        matches!(self, Self::Draining(_))
    }
}

/// A drain in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// The end of the grace period; `None` when it has passed.
    grace_until: Option<Millis>,
    /// When the drain times out.
    until: Millis,
    /// A client without grace still had input at its last visit.
    is_unsettled: bool,
}

/// The next step of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainStep {
    /// Nothing; look again at [`Drain::due`].
    Wait,
    /// Visit all connections.
    VisitAll,
    /// Close all connections.
    CloseAll,
}

impl Drain {
    /// A drain that begins now and times out after `timeout`, if there is one.
    #[must_use]
    pub fn begin(now: Millis, timeout: Option<Millis>) -> Self {
        let until = now.after(timeout);
        Self { grace_until: Some(until.min(now + DRAIN_GRACE)), until, is_unsettled: false }
    }

    /// Decides the next step, in each iteration of the loop. `is_sweeping`: all connections are being visited already.
    pub fn step(&mut self, now: Millis, is_sweeping: bool) -> DrainStep {
        if now >= self.until {
            DrainStep::CloseAll
        } else if self.grace_until.is_some_and(|grace_until| now >= grace_until) {
            self.grace_until = None;
            DrainStep::VisitAll
        } else if !is_sweeping && mem::take(&mut self.is_unsettled) {
            DrainStep::VisitAll
        } else {
            DrainStep::Wait
        }
    }

    /// When [`Drain::step`] returns something else than now; `None` if that follows from no time.
    #[must_use]
    pub fn due(&self) -> Option<Millis> {
        self.grace_until.unwrap_or(self.until).if_ever()
    }

    /// Whether connections must be visited again without waiting for an event.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.is_unsettled
    }

    /// Whether the drain times out before something is sent that is held back until `held`; if that is never sent, it
    /// is not waited for.
    #[must_use]
    pub fn is_over_before(&self, held: Option<Millis>) -> bool {
        held.is_some_and(|held| held >= self.until)
    }

    fn grace(&self) -> Grace {
        if self.grace_until.is_some() { Grace::Given } else { Grace::Over }
    }

    /// Winds up a connection that would wait otherwise; returns the next step for it.
    pub fn drain_connection<S: Stream>(
        &mut self,
        connection: &mut Connection,
        stream: &mut S,
        context: &mut Context,
    ) -> Next {
        let grace = self.grace();
        let next = connection.drain(stream, context, grace);
        // its requests were processed in this call; it is closed at a visit that finds no further input
        self.is_unsettled |= grace == Grace::Over && matches!(next, Next::Wait) && connection.is_idle();
        next
    }
}

impl Worker {
    /// A drain begins after `delay`.
    pub(super) fn begin_lameduck(&mut self, delay: Millis) {
        if self.driver.phase == Phase::Running {
            let workers = self.shared.counters.len();
            let lameduck = Lameduck::begin(self.driver.context.now, delay, self.number, workers);
            self.driver.phase = Phase::Lameduck(lameduck);
        }
    }

    /// Before a drain: closes the connections that are quiet and whose moment has come.
    pub(super) fn close_quiet_connections(&mut self) {
        let Phase::Lameduck(lameduck) = self.driver.phase else { return };
        let passed = lameduck.passed(self.driver.context.now, self.table.slots());
        let position = self.visit_slots(lameduck.position..passed, Self::close_if_quiet);
        if let Phase::Lameduck(lameduck) = &mut self.driver.phase {
            lameduck.position = position;
        }
    }

    fn close_if_quiet(&mut self, slot: usize) {
        let Some((token, session)) = self.table.at(slot) else { return };
        let next = self.driver.drive_connection(token, session, Connection::close_if_quiet);
        self.take_step(token, next);
    }

    /// Stops accepting and begins to drain, unless that was done already.
    pub(super) fn begin_drain(&mut self, timeout: Option<Millis>) {
        if matches!(self.driver.phase, Phase::Draining(_) | Phase::Stopping) {
            return;
        }
        let driver = &mut self.driver;
        driver.context.draining = true;
        for acceptor in &mut self.accepting.acceptors {
            acceptor.begin_drain(&driver.poller);
        }
        driver.phase = Phase::Draining(Drain::begin(driver.context.now, timeout));
        self.sweep.restart();
    }

    /// Counts the connections that a drain has to wait for, all at once: nothing is done for them.
    pub(super) fn count_pending(&mut self, counted: &Sender<u64>) {
        let Phase::Draining(drain) = &self.driver.phase else { return };
        let grace = drain.grace();
        let mut pending = 0;
        for slot in 0..self.table.slots() {
            let is_pending = self.table.at(slot).is_some_and(|(_, session)| session.connection.is_pending(grace));
            pending += u64::from(is_pending);
        }
        // the owner may have waited too long for it
        let _ = counted.send(pending);
    }

    /// Continues the drain, if there is one.
    pub(super) fn drain(&mut self) {
        if !self.driver.phase.is_draining() {
            return;
        }
        self.drain_accept_queues();
        // no longer, if a listener turned out to be broken
        let Phase::Draining(drain) = &mut self.driver.phase else { return };
        match drain.step(self.driver.context.now, self.sweep.is_in_progress()) {
            DrainStep::Wait => {}
            DrainStep::VisitAll => self.sweep.restart(),
            DrainStep::CloseAll => self.close_all(CloseReason::Forced),
        }
    }

    /// While the worker drains: accepts the connections that are left in the queue of one listener after another, and
    /// gives each listener up whose queue is empty. At the limit of connections the rest waits for a free slot.
    fn drain_accept_queues(&mut self) {
        while let Some(last) = self.accepting.acceptors.len().checked_sub(1) {
            if self.accepting.acceptors[last].is_at_limit() || self.accepting.left == 0 {
                return;
            }
            self.accepting.left -= 1;
            let acceptor = &self.accepting.acceptors[last];
            if acceptor.has_queued() && self.accept_one(last).is_continue() {
                self.accepting.acceptors[last].count_dequeued();
            } else if !self.accepting.acceptors[last].is_at_limit() {
                let closed = self.accepting.acceptors.pop().and_then(Acceptor::close);
                self.accepting.acceptors.extend(closed);
            }
        }
        self.announce_stopped_accepting();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A drain that begins after a second, with a timeout in milliseconds.
    fn drain(timeout: Option<u64>) -> Drain {
        Drain::begin(Millis::new(1000), timeout.map(Millis::new))
    }

    #[test]
    fn a_drain_has_a_grace_period_then_visits_all_and_times_out() {
        let mut drain = drain(Some(5000));
        let grace_end = Millis::new(1000) + DRAIN_GRACE;
        assert_eq!(drain.due(), Some(grace_end));
        assert_eq!(drain.step(grace_end - Millis::new(1), false), DrainStep::Wait);
        assert_eq!(drain.step(grace_end, true), DrainStep::VisitAll);
        assert_eq!((drain.step(grace_end, false), drain.due()), (DrainStep::Wait, Some(Millis::new(6000))));
        assert_eq!(drain.step(Millis::new(5999), false), DrainStep::Wait);
        assert_eq!(drain.step(Millis::new(6000), false), DrainStep::CloseAll);
    }

    #[test]
    fn grace_never_outlasts_the_drain() {
        let mut drain = drain(Some(10));
        assert_eq!(drain.due(), Some(Millis::new(1010)));
        assert_eq!(drain.step(Millis::new(1010), false), DrainStep::CloseAll);
        assert_eq!(self::drain(Some(0)).step(Millis::new(1000), false), DrainStep::CloseAll);
    }

    #[test]
    fn a_drain_without_a_timeout_has_only_its_grace() {
        let mut drain = drain(None);
        assert_eq!(drain.due(), Some(Millis::new(1000) + DRAIN_GRACE));
        assert_eq!(drain.step(Millis::new(2000), false), DrainStep::VisitAll);
        assert_eq!((drain.due(), drain.step(Millis::NEVER - Millis::new(1), false)), (None, DrainStep::Wait));
    }

    #[test]
    fn what_is_held_back_is_waited_for_until_the_drain_times_out() {
        let [bounded, unbounded] = [Some(5000), None].map(drain);
        let is_over = |drain: &Drain| {
            [Some(Millis::new(5999)), Some(Millis::new(6000)), Some(Millis::NEVER), None]
                .map(|held| drain.is_over_before(held))
        };
        assert_eq!(is_over(&bounded), [false, true, true, false]);
        assert_eq!(is_over(&unbounded), [false, false, true, false]);
    }

    #[test]
    fn clients_that_still_send_are_visited_again_after_the_others() {
        let mut drain = Drain::begin(Millis::ZERO, Some(Millis::new(5000)));
        assert_eq!(drain.step(DRAIN_GRACE, false), DrainStep::VisitAll);
        drain.is_unsettled = true;
        assert_eq!(drain.step(DRAIN_GRACE, true), DrainStep::Wait, "a visit of all is in progress");
        assert!(drain.is_unsettled());
        assert_eq!(drain.step(DRAIN_GRACE, false), DrainStep::VisitAll);
        assert!(!drain.is_unsettled(), "until one of them is visited");
    }
}
