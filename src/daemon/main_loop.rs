//! Watches over the server: obeys signals, keeps the service manager informed, and ends the run.
//!
//! The main thread sleeps in poll(2) until a signal comes, a worker ends, the nearest of its timers is due, or the end
//! of a condition has to be logged. Without a service manager and without `--exit-idle` every timer is off:
//! nothing wakes an idle daemon.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use log::{debug, error, info, warn};

use super::notify::Manager;
use super::phase::{Phase, Progress};
use super::signals::Signals;
use super::timer::Timer;
use super::{logging, system_limits};
use crate::daemon::config::args::{self, Request, Settings};
use crate::daemon::config::quotes;
use crate::daemon::config::values::in_words;
use crate::daemon::exit_status::Failure;
use crate::protocol::ProtocolSettings;
use crate::server::Server;
use crate::sys::{self, Arrivals, Errno};

/// How often the status line is brought up to date.
const STATUS_EVERY: Duration = Duration::from_secs(2);
/// How often the manager is asked for more time while draining, and for how much.
const EXTEND_EVERY: Duration = Duration::from_secs(2);
const EXTEND_BY: Duration = Duration::from_secs(10);
/// How often a message that the manager did not take is sent again. Chosen: short beside the timeouts of a manager, which
/// are seconds, and no load.
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// The pause after a poll(2) that failed, so that one that goes on failing (ENOMEM) does not use up a processor. Chosen:
/// ten tries a second cost nothing, and nobody notices when a signal waits for one of them.
const POLL_PAUSE: Duration = Duration::from_millis(100);
/// The least time between two lines about that. Chosen: that of conditions that clients cause.
const POLL_LINES: Duration = Duration::from_secs(60);
/// How long reloading waits for workers to take over what is new.
const RENEW_PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked whether the daemon is idle, as a part of `--exit-idle`.
const IDLE_LOOKS: u32 = 8;

/// The daemon while it runs.
pub struct Supervisor<'a> {
    server: Server,
    signals: &'a Signals,
    manager: Manager,
    settings: Settings,
    arguments: &'a [OsString],
    /// What the status line says before the figures.
    serving: String,
    listeners: usize,
    /// There is one connection and no listener: ends with it.
    once: bool,
    progress: Progress,
    round: u64,
    /// When the last line was logged that poll(2) has failed.
    poll_line: Option<Instant>,
    idle: Idle,
    watchdog: Timer,
    status: Timer,
    extend: Timer,
    retry: Timer,
    idle_look: Timer,
}

/// Since when there has been no connection.
#[derive(Debug)]
struct Idle {
    since: Instant,
    accepted: u64,
}

impl<'a> Supervisor<'a> {
    /// A supervisor of `server`, which accepts already.
    pub fn new(
        server: Server,
        signals: &'a Signals,
        manager: Manager,
        settings: Settings,
        arguments: &'a [OsString],
        (serving, listeners, once): (String, usize, bool),
    ) -> Self {
        // four signs of life in the time in which one is wanted: one late answer is no reason to be killed
        let watchdog = Timer::new(manager.watchdog().map(|every| every / 4));
        let status = Timer::new(manager.is_there().then_some(STATUS_EVERY));
        let idle_look = Timer::new(settings.exit_idle.map(|after| after / IDLE_LOOKS));
        Self {
            server,
            signals,
            manager,
            settings,
            arguments,
            serving,
            listeners,
            once,
            progress: Progress::new(),
            round: 0,
            poll_line: None,
            idle: Idle { since: Instant::now(), accepted: 0 },
            watchdog,
            status,
            extend: Timer::new(None),
            retry: Timer::new(None),
            idle_look,
        }
    }

    /// Runs until the server has ended.
    ///
    /// # Errors
    /// When it ended although nobody asked for that.
    pub fn run(mut self) -> Result<(), Failure> {
        let status = self.status_line();
        debug!("ready: {status}");
        self.manager.ready(status);
        self.server.ask_for_life(self.round);
        while !self.server.has_ended() {
            self.wait();
            self.obey();
            self.look_at_server();
            self.keep_time();
        }
        self.finish()
    }

    /// Sleeps until something is to be done.
    fn wait(&mut self) {
        self.retry.switch(self.manager.has_pending().then_some(RETRY_EVERY));
        let now = Instant::now();
        let timers = [&self.watchdog, &self.status, &self.extend, &self.retry, &self.idle_look];
        let left = timers.iter().filter_map(|timer| timer.left(now)).chain(self.server.report_in()).min();
        if let Err(error) = sys::wait_readable([self.signals.as_fd(), self.server.notice_fd()], left) {
            self.pause(error);
        }
    }

    /// Instead of waiting for what cannot be waited for: what has come by then is looked at all the same.
    fn pause(&mut self, error: Errno) {
        let now = Instant::now();
        if self.poll_line.is_none_or(|last| now - last >= POLL_LINES) {
            error!("cannot wait for signals: {error}; looking for them every {POLL_PAUSE:?}");
            self.poll_line = Some(now);
        }
        thread::sleep(POLL_PAUSE);
    }

    fn obey(&mut self) {
        let orders = self.signals.take();
        if orders.statistics {
            logging::answer(&self.statistics());
        }
        if orders.reload {
            self.reload();
        }
        if let Some(Arrivals { first, last }) = orders.stop {
            self.stop_as_ordered(first);
            self.stop_as_ordered(last);
        }
    }

    /// A signal that came at `at` asks to stop.
    fn stop_as_ordered(&mut self, at: Duration) {
        match self.progress.order(at) {
            Some(Phase::Draining) => self.drain("told to stop"),
            Some(Phase::StoppingNow) => {
                warn!("told to stop again: stopping now");
                self.server.stop_now();
            }
            Some(Phase::Serving) | None => {}
        }
    }

    /// Stops for a reason of its own.
    fn stop(&mut self, why: &str) {
        self.progress.drain();
        self.drain(why);
    }

    /// Stops with care: what was asked is answered.
    fn drain(&mut self, why: &str) {
        info!("stopping: {why}");
        self.server.stop(self.settings.drain_timeout);
        self.manager.stopping(format!("stopping: {}", self.figures()));
        self.manager.extend(EXTEND_BY);
        self.extend = Timer::new(self.manager.is_there().then_some(EXTEND_EVERY));
    }

    fn look_at_server(&mut self) {
        self.server.clear_notice();
        self.server.report();
        if self.progress.is_stopping() {
            return;
        }
        if self.server.failure().is_some() {
            self.stop("a worker has failed");
        } else if self.once && self.server.totals().open == 0 {
            self.stop("the connection has ended");
        }
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        if self.watchdog.is_due(now) {
            self.watch_workers();
        }
        if self.status.is_due(now) {
            let status = self.status_line();
            self.manager.status(status);
        }
        if self.retry.is_due(now) {
            self.manager.retry();
        }
        if self.extend.is_due(now) {
            self.manager.extend(EXTEND_BY);
        }
        if self.idle_look.is_due(now) && !self.progress.is_stopping() {
            self.look_for_idleness(now);
        }
    }

    /// The watchdog is told only what is true: that every worker's loop has come round.
    fn watch_workers(&mut self) {
        if self.server.answered(self.round) {
            self.manager.alive();
            self.round += 1;
            self.server.ask_for_life(self.round);
        } else {
            warn!("a worker has not come round in time: the watchdog is not told that all is well");
        }
    }

    fn look_for_idleness(&mut self, now: Instant) {
        let totals = self.server.totals();
        if totals.open > 0 || totals.accepted != self.idle.accepted {
            self.idle = Idle { since: now, accepted: totals.accepted };
            return;
        }
        if let Some(after) = self.settings.exit_idle.filter(|after| now - self.idle.since >= *after) {
            self.stop(&format!("no connection for {}", in_words(after)));
        }
    }

    /// Reads the settings again and applies what can be changed while running.
    fn reload(&mut self) {
        self.manager.reloading();
        match self.read_again() {
            Ok(settings) => {
                self.settings = settings;
                logging::answer("reloaded");
            }
            Err(failure) => error!("cannot reload: {failure}; going on as before"),
        }
        let status = self.status_line();
        self.manager.ready(status);
    }

    fn read_again(&mut self) -> Result<Settings, String> {
        let settings = match args::read(self.arguments) {
            Ok(Request::Serve(settings)) => *settings,
            Ok(Request::List) => return Err("asked for a list".into()),
            Err(args::OptionsError::File(failure)) => return Err(failure.to_string()),
            Err(args::OptionsError::Usage(error)) => return Err(error.to_string()),
        };
        settings.remarks.iter().for_each(|remark| warn!("{remark}"));
        let limits = system_limits::limits(&settings, self.listeners).map_err(|failure| failure.to_string())?;
        let quotes = quotes::load(settings.quotes.as_deref()).map_err(|failure| failure.to_string())?;
        let protocols = Arc::new(ProtocolSettings { quotes, host_name: sys::host_name() });
        if !self.server.renew(&limits, &protocols, RENEW_PATIENCE) {
            warn!("a worker has not come round in time: its connections keep to the old limits until it does");
        }
        logging::set_verbosity(settings.verbose);
        if settings.max_buffered != self.settings.max_buffered {
            system_limits::warn_about_memory(&settings);
        }
        self.idle_look = Timer::new(settings.exit_idle.map(|after| after / IDLE_LOOKS));
        if settings.needs_restart(&self.settings) {
            warn!("listeners, backlog, socket buffers, workers, seed and the log's target change only with a restart");
        }
        Ok(settings)
    }

    fn figures(&self) -> String {
        let totals = self.server.totals();
        format!("{} connections, {} requests", totals.open, totals.requests)
    }

    fn status_line(&self) -> String {
        let verb = if self.progress.is_stopping() { "stopping; " } else { "" };
        format!("{verb}{}; {}", self.serving, self.figures())
    }

    fn statistics(&self) -> String {
        format!("statistics: {}; log messages dropped {}", self.server.totals(), logging::dropped())
    }

    fn finish(mut self) -> Result<(), Failure> {
        // the last try: nothing waits for a manager that takes nothing
        self.manager.retry();
        let failure = self.server.failure();
        let totals = self.server.join();
        info!("statistics: {totals}; log messages dropped {}", logging::dropped());
        match failure {
            Some(message) => Err(Failure::system(message)),
            None => Ok(()),
        }
    }
}
