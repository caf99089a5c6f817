//! The stop: the effects of SIGTERM and SIGINT, the drain, and the reports about it.

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
    /// When the drain times out, if it does.
    drain_until: Option<Instant>,
    /// The line about the connections that the drain waits for has been logged.
    waiting_logged: bool,
}

impl MainLoop<'_> {
    /// Handles a SIGTERM or SIGINT that came at `at`, by the monotonic clock.
    pub(super) fn handle_stop_signal(&mut self, at: Duration) {
        match self.stop.signals.effect(at, self.server.phase()) {
            Effect::Drain => {
                self.stop("received SIGTERM or SIGINT");
                self.timers.watch_waiting(true);
                self.report_waiting();
            }
            Effect::Abort => {
                warn!("received a second SIGTERM or SIGINT: stopping at once");
                self.server.abort();
            }
            Effect::TooEarly if self.stop.waiting_logged => {
                warn!("SIGTERM or SIGINT ignored: less than a second after the first; send it again to stop at once");
            }
            Effect::TooEarly | Effect::None => {}
        }
    }

    /// Begins the drain: accepts no more connections, and replies to the requests that were read.
    pub(super) fn stop(&mut self, reason: &str) {
        info!("stopping: {reason}");
        let timeout = self.settings.reloadable.drain_timeout.max();
        self.stop.drain_until = timeout.map(|timeout| Instant::now() + timeout);
        self.server.drain(timeout);
        let status = self.status();
        self.notifier.stopping(status);
        self.notifier.extend(EXTEND_BY);
        self.timers.extend(self.notifier.is_connected());
    }

    /// Logs how many connections a drain waits for that a signal began: once, as soon as there is one.
    pub(super) fn report_waiting(&mut self) {
        let connections = self.server.pending(COUNT_TIMEOUT);
        if connections > 0 && self.server.phase() == Phase::Draining {
            let left = self.stop.drain_until.map(|until| until.saturating_duration_since(Instant::now()));
            logging::log_always(&status::waiting(connections, left));
            self.stop.waiting_logged = true;
            self.timers.watch_waiting(false);
        }
    }
}
