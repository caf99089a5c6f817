//! The stop: the effects of SIGTERM and SIGINT, the drain delay, the drain, and the reports about them.

use std::time::{Duration, Instant};

use log::{info, warn};

use super::MainLoop;
use crate::daemon::logging;
use crate::daemon::status;
use crate::daemon::stop_signals::{Effect, StopSignals};
use crate::daemon::timers::EXTEND_BY;
use crate::server::Phase;

/// The maximum time in which the workers count the connections that a stop has to wait for. Chosen: as for a reload,
/// and a signal is not delayed for longer than anybody notices; what is not counted is counted the next time.
const COUNT_TIMEOUT: Duration = Duration::from_millis(100);

/// The progress of the stop.
#[derive(Debug, Default)]
pub struct Stop {
    signals: StopSignals,
    /// When the drain delay ends, once it has begun.
    delay_until: Option<Instant>,
    /// When the drain times out, if it does.
    drain_until: Option<Instant>,
    /// The line about the connections that the drain waits for has been logged.
    waiting_logged: bool,
}

impl Stop {
    /// The time until the drain delay ends.
    pub fn delay_left(&self) -> Duration {
        self.delay_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}

impl MainLoop<'_> {
    /// Handles a SIGTERM or SIGINT that came at `at`, by the monotonic clock.
    pub(super) fn handle_stop_signal(&mut self, at: Duration) {
        let phase = self.server.phase();
        match self.progress.stop.signals.effect(at, phase) {
            Effect::Stop if self.progress.hand_over.is_in_progress() => self.stop_during_hand_over(),
            Effect::Stop => {
                info!("stopping: received SIGTERM or SIGINT");
                self.begin_stop();
            }
            Effect::Drain => {
                warn!("received another SIGTERM or SIGINT: accepting no more connections");
                self.end_delay();
            }
            Effect::Abort => {
                warn!("received another SIGTERM or SIGINT: stopping at once");
                self.server.abort();
            }
            Effect::TooEarly if phase == Phase::Lameduck || self.progress.stop.waiting_logged => {
                let effect = if phase == Phase::Lameduck { "stop accepting" } else { "stop at once" };
                warn!("SIGTERM or SIGINT ignored: less than a second after the last; send it again to {effect}");
            }
            Effect::TooEarly | Effect::None => {}
        }
    }

    /// Handles a SIGTERM or SIGINT while a hand-over is in progress.
    fn stop_during_hand_over(&mut self) {
        if !self.notifier.is_connected() {
            self.cancel_hand_over();
            info!("stopping: received SIGTERM or SIGINT during a hand-over, which ends");
            self.begin_stop();
        } else if self.progress.hand_over.postpone_stop() {
            info!("received SIGTERM or SIGINT: the hand-over goes on, and ends this process");
            self.notifier.extend(EXTEND_BY);
            self.progress.timers.extend(true);
        } else {
            warn!("received another SIGTERM or SIGINT during a hand-over: stopping at once");
            self.cancel_hand_over();
            self.server.abort();
        }
    }

    /// Begins a stop that was requested: with the drain delay, or with the drain if there is none. No balancer sends
    /// clients to a daemon that serves a single connection, so it has no delay.
    pub(super) fn begin_stop(&mut self) {
        let accepts = !self.serving.single_connection && !self.serving.has_no_listener;
        match self.settings.reloadable.drain_delay.max().filter(|_| accepts) {
            Some(delay) => self.begin_delay(delay),
            None => self.end_delay(),
        }
    }

    /// Begins the drain delay: the daemon is not ready, but accepts and serves. A reload does not change its end.
    fn begin_delay(&mut self, delay: Duration) {
        self.progress.stop.delay_until = Some(Instant::now() + delay);
        self.server.begin_lameduck(delay);
        self.progress.timers.delay(Some(delay));
        logging::log_always(&status::delayed(delay));
        self.notify_stop();
    }

    /// Begins the drain of a stop that was requested, and logs what it waits for.
    pub(super) fn end_delay(&mut self) {
        self.drain();
        self.progress.timers.watch_waiting(true);
        self.report_waiting();
    }

    /// Begins a stop that has a reason of the daemon's own, without a delay.
    pub(super) fn stop(&mut self, reason: &str) {
        self.cancel_hand_over();
        info!("stopping: {reason}");
        self.drain();
    }

    /// Begins the drain: accepts no more connections, and replies to the requests that were read.
    fn drain(&mut self) {
        self.progress.timers.delay(None);
        let timeout = self.settings.reloadable.drain_timeout.max();
        self.progress.stop.drain_until = timeout.map(|timeout| Instant::now() + timeout);
        self.server.drain(timeout);
        self.notify_stop();
    }

    /// Notifies the service manager of the stop or of its next phase, and requests time for it from now on.
    fn notify_stop(&mut self) {
        let status = self.status();
        self.notifier.stopping(status);
        self.notifier.extend(EXTEND_BY);
        self.progress.timers.extend(self.notifier.is_connected());
    }

    /// Logs how many connections a drain waits for that a signal began: once, as soon as there is one.
    pub(super) fn report_waiting(&mut self) {
        let connections = self.server.pending(COUNT_TIMEOUT);
        if connections > 0 && self.server.phase() == Phase::Draining {
            let left = self.progress.stop.drain_until.map(|until| until.saturating_duration_since(Instant::now()));
            logging::log_always(&status::waiting(connections, left));
            self.progress.stop.waiting_logged = true;
            self.progress.timers.watch_waiting(false);
        }
    }
}
