//! The main loop: handles signals, runs timers, notifies the service manager, and ends with the server.
//!
//! The main thread sleeps in poll(2) until a signal comes, a worker ends, a timer is due, or the end of a condition has
//! to be logged. Without a service manager and without `--exit-idle` every timer is off: nothing wakes an idle daemon.

mod handing_over;
mod stopping;
mod taking_over;

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use log::{error, info, warn};

pub use handing_over::HandOver;
use stopping::Stop;
pub use taking_over::Predecessor;

use crate::daemon::config::settings::Settings;
use crate::daemon::exit_status::{End, Failure};
use crate::daemon::idle::Idle;
use crate::daemon::logging;
use crate::daemon::notify::Notifier;
use crate::daemon::reload::{Reloaded, reload};
use crate::daemon::server_config::{warn_about_memory, warn_about_unused_options};
use crate::daemon::side::SideServices;
use crate::daemon::signals::Signals;
use crate::daemon::status::{self, Serving};
use crate::daemon::timers::{EXTEND_BY, Timers};
use crate::server::{Phase, Server, StatsSnapshot};
use crate::sys::{self, Arrivals, Errno};
use crate::units::format_time;

/// The pause after poll(2) has failed, so that a failure that lasts (ENOMEM) does not keep a processor busy. Chosen:
/// ten tries per second are no load, and nobody notices that a signal waits for the next one.
const POLL_PAUSE: Duration = Duration::from_millis(100);
/// The minimum time between two log lines about a failed poll(2). Chosen: often enough to see that it persists, and
/// 1,440 lines a day.
const POLL_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// The maximum time that a reload waits for the workers. Chosen: workers take milliseconds to handle a message; a
/// reload must not delay signals for long if one hangs.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(1);

/// The daemon while it runs.
pub struct MainLoop<'a> {
    /// The server, which accepts already.
    pub server: Server,
    /// The services beside the workers.
    pub side: SideServices,
    /// The sockets of both.
    pub serving: Serving,
    /// The signals to handle.
    pub signals: &'a Signals,
    /// The service manager.
    pub notifier: Notifier,
    /// The settings in force.
    pub settings: Settings,
    /// The command line, which a reload reads again.
    pub arguments: &'a [OsString],
    /// What the loop keeps from one iteration to the next.
    pub progress: Progress,
}

/// What the main loop keeps from one iteration to the next.
#[derive(Debug)]
pub struct Progress {
    stop: Stop,
    hand_over: HandOver,
    predecessor: Predecessor,
    /// The number of the last heartbeat.
    heartbeat: u64,
    /// When the last line about a failed poll(2) was logged.
    poll_logged: Option<Instant>,
    idle: Idle,
    timers: Timers,
}

impl Progress {
    /// The start of a loop that reports to this service manager.
    #[must_use]
    pub fn new(notifier: &Notifier, hand_over: HandOver, predecessor: Predecessor) -> Self {
        Self {
            stop: Stop::default(),
            hand_over,
            predecessor,
            heartbeat: 0,
            poll_logged: None,
            idle: Idle::new(Instant::now()),
            timers: Timers::new(notifier.is_connected(), notifier.watchdog_period()),
        }
    }
}

impl MainLoop<'_> {
    /// Runs until the server has ended.
    ///
    /// # Errors
    /// 71: a worker has failed.
    pub fn run(mut self) -> Result<End, Failure> {
        self.serving.lines().for_each(|line| info!("{line}"));
        self.progress.timers.check_idle(exit_idle(&self.settings, &self.serving));
        let status = self.status();
        self.notifier.ready(status);
        self.complete_take_over();
        self.progress.heartbeat = self.server.send_heartbeat();
        while self.server.phase() != Phase::Stopped {
            self.wait();
            self.handle_signals();
            self.check_server();
            self.advance_hand_over();
            self.run_timers();
        }
        self.finish()
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self) {
        self.progress.timers.retry(self.notifier.has_pending());
        let (now, hand_over) = (Instant::now(), &self.progress.hand_over);
        let left = [self.progress.timers.left(now), self.server.recovery_due_in(), hand_over.left(now)];
        let left = left.into_iter().flatten().min();
        let (signals, server) = (self.signals.as_fd(), self.server.notice_fd());
        // poll(2) reports a descriptor that is twice in the list like one that is there once
        if let Err(error) = sys::wait_readable([signals, server, hand_over.descriptor().unwrap_or(signals)], left) {
            self.pause(error);
        }
    }

    /// Sleeps for [`POLL_PAUSE`] instead of waiting; the loop then checks for everything that it could not wait for.
    fn pause(&mut self, error: Errno) {
        let now = Instant::now();
        if self.progress.poll_logged.is_none_or(|last| now - last >= POLL_LOG_INTERVAL) {
            error!("cannot wait for signals: {error}; checking for them every {POLL_PAUSE:?}");
            self.progress.poll_logged = Some(now);
        }
        thread::sleep(POLL_PAUSE);
    }

    fn handle_signals(&mut self) {
        let pending = self.signals.take();
        if pending.statistics {
            logging::log_always(&statistics(&self.server.stats()));
        }
        if pending.reload {
            self.reload();
        }
        if pending.hand_over {
            self.begin_hand_over();
        }
        for at in pending.stop.into_iter().flat_map(Arrivals::times) {
            self.handle_stop_signal(at);
        }
    }

    fn check_server(&mut self) {
        self.server.clear_notice();
        self.server.log_recoveries();
        if !matches!(self.server.phase(), Phase::Running | Phase::Lameduck) {
            return;
        }
        if self.server.failure().is_some() {
            self.stop("a worker has failed");
        } else if self.serving.single_connection && !self.server.has_connections() {
            self.stop("the connection has ended");
        } else if self.serving.has_no_listener && !self.server.has_connections() {
            self.stop("the last connection has ended, and there is no listener");
        }
    }

    fn run_timers(&mut self) {
        let now = Instant::now();
        if self.progress.timers.watchdog.is_due(now) {
            self.check_heartbeats();
        }
        if self.progress.timers.status.is_due(now) {
            let status = self.status();
            self.notifier.status(status);
        }
        if self.progress.timers.retry.is_due(now) {
            self.notifier.retry();
        }
        if self.progress.timers.extend.is_due(now) {
            self.notifier.extend(EXTEND_BY);
        }
        if self.progress.timers.delay.is_due(now) {
            info!("stopping: the drain delay is over");
            self.end_delay();
        }
        if self.progress.timers.waiting.is_due(now) {
            self.report_waiting();
        }
        if self.progress.timers.idle_check.is_due(now) && self.server.phase() == Phase::Running {
            self.check_idle(now);
        }
    }

    /// Notifies the watchdog if every worker has acknowledged the last heartbeat, and sends the next one.
    fn check_heartbeats(&mut self) {
        if self.server.heartbeat_acked(self.progress.heartbeat) {
            self.notifier.watchdog();
            self.progress.heartbeat = self.server.send_heartbeat();
        } else {
            warn!("a worker missed its heartbeat: not notifying the watchdog");
        }
    }

    fn check_idle(&mut self, now: Instant) {
        let stats = self.server.stats();
        let has_client = self.server.has_connections() || self.server.has_client_over_rate();
        let idle = self.progress.idle.check(now, has_client, stats.totals.accepted);
        let timeout = self.settings.reloadable.exit_idle.max();
        if let Some(timeout) = timeout.filter(|timeout| idle >= *timeout) {
            self.stop(&format!("no connection for {}", format_time(timeout)));
        }
    }

    /// Reads the configuration again and applies it, or leaves the running one in force.
    fn reload(&mut self) {
        self.notifier.reloading();
        match reload(self.arguments, &self.settings, &self.serving.origins, self.server.workers()) {
            Ok(reloaded) => {
                self.apply(reloaded);
                self.side.count_reload(true);
                logging::log_always("reloaded");
            }
            Err(reason) => {
                self.side.count_reload(false);
                error!("cannot reload: {reason}; the running configuration stays in force");
            }
        }
        let status = self.status();
        self.notifier.ready(status);
    }

    fn apply(&mut self, Reloaded { settings, config }: Reloaded) {
        if !self.server.reconfigure(&config.limits, &config.listeners, RELOAD_TIMEOUT) {
            warn!("a worker missed the reload: its connections keep to the old limits until it has applied it");
        }
        logging::set_verbosity(settings.reloadable.verbose);
        let memory = |settings: &Settings| (settings.reloadable.max_buffered, settings.reloadable.max_connections);
        if memory(&settings) != memory(&self.settings) {
            warn_about_memory(&settings.reloadable, &config);
        }
        if settings.reloadable.listener_options != self.settings.reloadable.listener_options {
            warn_about_unused_options(&settings.reloadable, &self.serving.origins);
        }
        self.serving.impaired.update(&config.listeners);
        self.progress.timers.check_idle(exit_idle(&settings, &self.serving));
        self.settings = settings;
    }

    /// The status of the service.
    fn status(&self) -> String {
        let stats = self.server.stats();
        let status = match self.server.phase() {
            Phase::Running => self.serving.running(&stats),
            Phase::Lameduck => status::delaying(self.progress.stop.delay_left(), &stats),
            Phase::Draining | Phase::Stopping | Phase::Stopped => status::stopping(&stats),
        };
        self.serving.impaired.behind(status)
    }

    fn finish(mut self) -> Result<End, Failure> {
        let handed_over = self.progress.hand_over.is_committed();
        if handed_over {
            // from a process that has exited, the manager would not take it
            self.notifier.stopping(status::handed_over().into());
            self.notifier.flush();
        }
        // the last try: the exit does not wait for a manager that takes nothing
        self.notifier.retry();
        let failure = self.server.failure();
        let stats = self.server.join();
        self.side.stop();
        info!("{}", statistics(&stats));
        match failure {
            Some(message) => Err(Failure::system(message)),
            None if handed_over => Ok(End::HandedOver),
            None => Ok(End::Stopped),
        }
    }
}

/// The time without a connection after which the daemon exits. A service beside the workers is for the operators of a
/// daemon that stays: each of its clients would start the daemon again.
fn exit_idle(settings: &Settings, serving: &Serving) -> Option<Duration> {
    settings.reloadable.exit_idle.max().filter(|_| serving.origins.side.is_empty())
}

/// The line with the statistics, for the log.
fn statistics(stats: &StatsSnapshot) -> String {
    format!("statistics: {stats}; log messages dropped {}", logging::dropped())
}
