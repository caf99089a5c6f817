//! A running daemon: its addresses, signals, log, notifications and statistics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::{Client, DEADLINE, DaemonBuilder, Directory, EventLog, ONE_ORDER, Statistics};

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    pub pid: Pid,
    /// The lines of its standard error.
    pub log: EventLog<String>,
    /// The lines of its standard output.
    pub output: EventLog<String>,
    /// Its messages to the service manager.
    pub notices: EventLog<String>,
    /// The descriptors that it has stored with the service manager.
    pub stored: EventLog<Arc<OwnedFd>>,
    pub(super) exit: EventLog<ExitStatus>,
    pub(super) listening: Vec<(String, SocketAddr)>,
    /// Removed when the daemon has ended.
    pub(super) _directory: Directory,
}

impl Daemon {
    /// Serves one protocol on a free port of the loopback interface.
    pub fn serving(protocol: &str, arguments: &[&str]) -> Self {
        let listen = format!("--listen={protocol}=127.0.0.1:0");
        DaemonBuilder::new(&[&[listen.as_str()], arguments].concat()).start()
    }

    /// Like [`Self::serving`], to clients behind a balancer that sends PROXY headers.
    pub fn serving_behind_proxy(protocol: &str, arguments: &[&str]) -> Self {
        let listen = format!("--listen={protocol}=127.0.0.1:0,proxy");
        DaemonBuilder::new(&[&[listen.as_str()], arguments].concat()).start()
    }

    /// Waits for `READY=1` and reads the listeners' addresses from it.
    pub fn wait_ready(&mut self) {
        let ready = self.notices.wait_for(0, |notice| notice.contains("READY=1"));
        let Some((_, ready)) = ready else { panic!("the daemon did not become ready: {}", self.log.text()) };
        self.listening = listening(&ready);
    }

    /// Reads the listener's address from the log, for a daemon with one listener and without a service manager; it must
    /// run with `-v`.
    pub fn wait_ready_in_log(&mut self) {
        self.wait_listening(1);
    }

    /// Likewise for a daemon with this number of listeners.
    pub fn wait_listening(&mut self, count: usize) {
        self.listening.clear();
        let mut at = 0;
        for _ in 0..count {
            let (next, line) = self.wait_for_line(at, "listening on ");
            at = next;
            self.listening.extend(listening(&line));
        }
    }

    /// Sends SIGUSR2 to a daemon without a service manager, and waits until the program that it executes has taken the
    /// connections over; returns their number.
    pub fn hand_over(&self) -> u64 {
        let before = self.log.len();
        self.signal(Signal::SIGUSR2);
        self.taken_over(before)
    }

    /// Waits until it has taken connections over, which the log says from index `from` on; returns their number.
    pub fn taken_over(&self, from: usize) -> u64 {
        let (_, line) = self.wait_for_line(from, "took over ");
        let number = line.split_once("took over ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no number in {line}"))
    }

    /// The address at which it serves a protocol.
    pub fn address(&self, protocol: &str) -> SocketAddr {
        let found = self.listening.iter().find(|(name, _)| name == protocol);
        found.unwrap_or_else(|| panic!("{protocol} is not served: {:?}", self.listening)).1
    }

    /// The protocols that it serves, with their addresses.
    pub fn listening(&self) -> &[(String, SocketAddr)] {
        &self.listening
    }

    pub fn connect(&self, protocol: &str) -> Client {
        Client::connect(self.address(protocol))
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("send a signal to the daemon");
    }

    /// Suspends it by SIGSTOP until it gets SIGCONT; waits until it is, as kill(2) returns before the threads have
    /// stopped.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
        waitid(Id::Pid(self.pid), WaitPidFlag::WSTOPPED).expect("wait until the daemon has stopped");
    }

    /// Sends signals while the daemon is suspended: all are pending when it resumes, so it gets them at one moment.
    pub fn signal_at_once(&self, signals: &[Signal]) {
        self.pause();
        for signal in signals {
            self.signal(*signal);
        }
        self.signal(Signal::SIGCONT);
    }

    /// Waits for a message to the service manager that contains `words`, from index `from` on; returns the index of the
    /// message after it, and the message.
    pub fn wait_for_notice(&self, from: usize, words: &str) -> (usize, String) {
        let found = self.notices.wait_for(from, |notice| notice.contains(words));
        found.unwrap_or_else(|| panic!("no notification with {words:?}: {:?}", self.notices.all()))
    }

    /// Waits until it has exited; returns the exit code, or 128 + the number of the signal that killed it.
    pub fn wait_exit(&mut self) -> i32 {
        let Some((_, status)) = self.exit.wait_for(0, |_| true) else { panic!("the daemon did not exit") };
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
    }

    pub fn has_exited(&self) -> bool {
        self.exit.len() > 0
    }

    /// Sends SIGTERM and waits for the exit code; the log is complete then.
    pub fn stop(&mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        let code = self.wait_exit();
        self.log.wait_closed();
        code
    }

    /// Sends SIGTERM and waits until the drain has begun.
    pub fn begin_drain(&self) {
        self.signal(Signal::SIGTERM);
        self.wait_for_notice(0, "STOPPING=1");
    }

    /// Sends the second SIGTERM, which ends the drain; the daemon must have noticed the first.
    pub fn stop_now(&self) {
        thread::sleep(ONE_ORDER + Duration::from_millis(100));
        self.signal(Signal::SIGTERM);
    }

    /// Waits for a line of the log that contains `words`, from index `from` on; returns the index of the line after it,
    /// and the line.
    pub fn wait_for_line(&self, from: usize, words: &str) -> (usize, String) {
        let found = self.log.wait_for(from, |line| line.contains(words));
        found.unwrap_or_else(|| panic!("no line with {words:?} in the log:\n{}", self.log.text()))
    }

    /// The number of lines of the log that contain `words`.
    pub fn lines_with(&self, words: &str) -> usize {
        self.log.all().iter().filter(|line| line.contains(words)).count()
    }

    /// The lines of the log that are no statistics, which the test has asked for.
    pub fn unasked_lines(&self) -> Vec<String> {
        self.log.all().into_iter().filter(|line| !line.contains("statistics: ")).collect()
    }

    /// Sends SIGHUP and waits until the reload has completed.
    pub fn reload(&self) {
        let (before, line) = (self.notices.len(), self.log.len());
        self.signal(Signal::SIGHUP);
        self.wait_for_line(line, "reload");
        let done = self.notices.wait_for(before, |notice| notice.contains("READY=1"));
        assert!(done.is_some(), "no READY=1 after SIGHUP:\n{}", self.log.text());
    }

    /// Waits for statistics that are `wanted` and whose sums are right: while requests are served, counters that are
    /// read one after the other may not add up.
    pub fn statistics_when(&self, wanted: impl Fn(&Statistics) -> bool) -> Statistics {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let before = self.log.len();
            self.signal(Signal::SIGUSR1);
            let (_, line) = self.wait_for_line(before, "statistics: ");
            let statistics = Statistics::parse(&line);
            if wanted(&statistics) && statistics.wrong_sum().is_none() {
                return statistics;
            }
            assert!(
                Instant::now() < deadline,
                "not the wanted statistics (wrong sum: {:?}): {line}",
                statistics.wrong_sum()
            );
            // a change of a counter causes no event
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The statistics when every connection is closed.
    pub fn statistics_at_rest(&self) -> Statistics {
        self.statistics_when(|statistics| statistics.open == 0)
    }

    /// The last statistics in the log; with `-v` those of its exit.
    pub fn last_statistics(&self) -> Statistics {
        self.log.wait_closed();
        let lines = self.log.all();
        let line = lines.iter().rev().find(|line| line.contains("statistics: "));
        let statistics = Statistics::parse(line.expect("a line with statistics"));
        assert_eq!(statistics.wrong_sum(), None, "{statistics:?}");
        statistics
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.has_exited() {
            let _ = kill(self.pid, Signal::SIGKILL);
            self.exit.wait_for(0, |_| true);
        }
        if thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log.text());
        }
    }
}

/// Parses the names and addresses in `listening on frame=[::]:8083, echo=127.0.0.1:7; ...`, which is a part of the
/// status for the service manager and of a line of the log. Unix and vsock sockets are left out.
fn listening(text: &str) -> Vec<(String, SocketAddr)> {
    let (_, listeners) = text.split_once("listening on ").unwrap_or_default();
    let listeners = listeners.split([';', '\n']).next().unwrap_or_default();
    let is_local = |address: &str| address.starts_with("unix:") || address.starts_with("vsock:");
    let pairs = listeners.split(", ").filter_map(|pair| pair.split_once('=')).filter(|(_, address)| !is_local(address));
    pairs.map(|(name, address)| (name.to_string(), reachable(address.parse().expect("an address")))).collect()
}

/// The address for clients of a listener: loopback, if it listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
