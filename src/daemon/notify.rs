//! Notifies the service manager (`sd_notify(3)`).
//!
//! The crate sd-notify formats the messages and reads the watchdog's variables. The socket is that of
//! [`super::notify_socket`]. Status, watchdog and extension messages that the manager does not take are lost, because
//! the next one replaces them. All others are sent again ([`Notifier::retry`]) until they are delivered. No error is fatal.
//!
//! Only [`Notifier::store`] waits, for a bounded time: with what it stores this process gives its connections away, so it
//! must know that the manager has it.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use log::warn;
use sd_notify::NotifyState;

use super::notify_queue::{Message, NotifyQueue};
use super::notify_socket::{NotifySocket, STORE_TIMEOUT, wait};
use crate::sys::Interest;

/// The maximum length of a status, in bytes. Derived: systemd ignores a message of more than 4096 bytes (`PIPE_BUF`) as
/// a whole, and READY is sent with the status.
const MAX_STATUS: usize = 3072;

/// The maximum period of a watchdog, in microseconds. Derived: one more means no end (`USEC_INFINITY` of systemd).
const MAX_PERIOD: u64 = u64::MAX - 1;

/// Sends messages to the service manager; does nothing if there is none.
#[derive(Debug)]
pub struct Notifier {
    connection: Option<NotifySocket>,
    status: String,
    pending: NotifyQueue,
}

impl Notifier {
    /// Connects to the manager that `NOTIFY_SOCKET` names; warns if that is not possible.
    #[must_use]
    pub fn from_environment() -> Self {
        let name = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let connection = name.and_then(|name| match NotifySocket::to(name.as_bytes()) {
            Ok(connection) => Some(connection),
            Err(error) => {
                warn!("cannot reach the service manager at {}: {error}", name.to_string_lossy().escape_debug());
                None
            }
        });
        Self { connection, status: String::new(), pending: NotifyQueue::default() }
    }

    /// Whether there is a service manager.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// The period within which the watchdog expects a message, if it is enabled.
    #[must_use]
    pub fn watchdog_period(&self) -> Option<Duration> {
        if !self.is_connected() {
            return None;
        }
        let period = watchdog_period(env::var_os("WATCHDOG_USEC").as_deref());
        // and WATCHDOG_PID, if it is set, is this process
        period.filter(|_| sd_notify::watchdog_enabled().is_some())
    }

    /// Stores a descriptor under this name, and waits until the manager has it, at most for [`STORE_TIMEOUT`]. The
    /// manager does not say whether its store has room.
    ///
    /// # Errors
    /// The manager has not taken it. Its store is requested to remove it, in case that it does so later.
    pub fn store(&mut self, descriptor: BorrowedFd<'_>, name: &str) -> Result<(), String> {
        let until = Instant::now() + STORE_TIMEOUT;
        // a request to remove what is stored under this name must not be delivered afterwards
        self.deliver_pending(until)?;
        let Some(connection) = &self.connection else { return Err("there is no service manager".into()) };
        connection.send_until_taken(&format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}\n"), descriptor, until)?;
        self.wait_handled(until).inspect_err(|_| self.remove_stored(name))
    }

    /// Waits until the manager has handled every message that was sent, at most for [`STORE_TIMEOUT`]. Without an error:
    /// the messages are with the manager, whether it handles them or not.
    pub fn flush(&mut self) {
        let until = Instant::now() + STORE_TIMEOUT;
        let _ = self.deliver_pending(until).and_then(|()| self.wait_handled(until));
    }

    /// Sends the messages that have not been delivered, and waits for room for them.
    fn deliver_pending(&mut self, until: Instant) -> Result<(), String> {
        self.retry();
        while let Some(connection) = self.connection.as_ref().filter(|_| self.has_pending()) {
            connection.wait_for_room(until)?;
            let before = self.pending.len();
            self.retry();
            if self.pending.len() == before {
                return Err("the service manager takes no messages".into());
            }
        }
        Ok(())
    }

    /// Waits until the manager has handled every message that it has taken: it then closes the descriptor that comes with
    /// `BARRIER=1`.
    fn wait_handled(&self, until: Instant) -> Result<(), String> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let (own, passed) = UnixStream::pair().map_err(|error| format!("cannot create a socket: {error}"))?;
        connection.send_until_taken("BARRIER=1\n", passed.as_fd(), until)?;
        drop(passed);
        wait(&own, Interest::READ, until)
    }

    /// Requests that the store of descriptors removes those of this name.
    pub fn remove_stored(&mut self, name: &str) {
        self.send_until_delivered(Message::RemoveStored(name.into()));
    }

    /// Reports that every listener accepts; also the end of a reload. While the daemon stops, reports the status only.
    pub fn ready(&mut self, status: String) {
        self.change_state(Message::Ready, status);
    }

    /// Reports a status, if it has changed.
    pub fn status(&mut self, status: String) {
        if status != self.status {
            self.status = status;
            self.send_once(&[NotifyState::Status(shortened(&self.status))]);
        }
    }

    /// Reports that a reload has begun; [`Notifier::ready`] reports its end.
    pub fn reloading(&mut self) {
        let now = match NotifyState::monotonic_usec_now() {
            Ok(NotifyState::MonotonicUsec(now)) => now,
            // clock_gettime(2) does not fail for this clock
            _ => 0,
        };
        self.send_until_delivered(Message::Reloading(now));
    }

    /// Reports to the watchdog that every worker is alive.
    pub fn watchdog(&self) {
        self.send_once(&[NotifyState::Watchdog]);
    }

    /// Reports that the daemon is stopping; where that was reported before, the status only.
    pub fn stopping(&mut self, status: String) {
        self.change_state(Message::Stopping, status);
    }

    /// Requests more time for the stop, counted from now.
    pub fn extend(&self, by: Duration) {
        let microseconds = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
        self.send_once(&[NotifyState::ExtendTimeoutUsec(microseconds)]);
    }

    /// Whether a message has to be sent again.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Sends the messages again that have not been delivered.
    pub fn retry(&mut self) {
        let Self { connection: Some(connection), status, pending } = self else { return };
        pending.deliver(|message| connection.send(&text(message, shortened(status))));
    }

    /// Sends a message that changes the state that the manager assumes, with the status.
    fn change_state(&mut self, message: Message, status: String) {
        if self.pending.is_stopping() {
            return self.status(status);
        }
        self.status = status;
        self.send_until_delivered(message);
    }

    fn send_until_delivered(&mut self, message: Message) {
        if self.is_connected() {
            self.pending.push(message);
            self.retry();
        }
    }

    /// Sends a message that may be lost.
    fn send_once(&self, states: &[NotifyState<'_>]) {
        if let Some(connection) = &self.connection {
            connection.send(&lines(states));
        }
    }
}

/// The text of a message; the status is the present one.
fn text(message: &Message, status: &str) -> String {
    let status = NotifyState::Status(status);
    match message {
        Message::RemoveStored(name) => format!("FDSTOREREMOVE=1\nFDNAME={name}\n"),
        Message::Ready => lines(&[NotifyState::Ready, status]),
        Message::Reloading(since) => lines(&[NotifyState::Reloading, NotifyState::MonotonicUsec(*since)]),
        Message::Stopping => lines(&[NotifyState::Stopping, status]),
    }
}

fn lines(states: &[NotifyState<'_>]) -> String {
    states.iter().fold(String::new(), |mut message, state| {
        // writing to a string does not fail
        let _ = writeln!(message, "{state}");
        message
    })
}

/// The part of a status that fits into a message.
fn shortened(status: &str) -> &str {
    let end = (0..=MAX_STATUS.min(status.len())).rev().find(|end| status.is_char_boundary(*end));
    &status[..end.unwrap_or_default()]
}

/// The period in `WATCHDOG_USEC`. It is neither 0 nor infinite, as in `sd_watchdog_enabled(3)`.
fn watchdog_period(value: Option<&OsStr>) -> Option<Duration> {
    let value = value?;
    let period = value.to_str().and_then(|value| value.parse().ok());
    let period = period.filter(|period| (1..=MAX_PERIOD).contains(period)).map(Duration::from_micros);
    if period.is_none() {
        let value = value.to_string_lossy();
        warn!("WATCHDOG_USEC={} is not a period: the watchdog is not notified", value.escape_debug());
    }
    period
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchdog_periods_are_positive_and_finite() {
        let period = |text: &str| watchdog_period(Some(OsStr::new(text)));
        assert_eq!(watchdog_period(None), None);
        assert_eq!(period("1"), Some(Duration::from_micros(1)));
        assert_eq!(period("30000000"), Some(Duration::from_secs(30)));
        for text in ["", "0", "-5", "abc", "1.5", "18446744073709551615", "18446744073709551616"] {
            assert_eq!(period(text), None, "{text}");
        }
    }

    #[test]
    fn messages_end_with_a_newline_and_fit() {
        assert_eq!(text(&Message::Ready, "idle"), "READY=1\nSTATUS=idle\n");
        assert_eq!(text(&Message::Reloading(12), "idle"), "RELOADING=1\nMONOTONIC_USEC=12\n");
        assert_eq!(text(&Message::Stopping, "idle"), "STOPPING=1\nSTATUS=idle\n");
        assert_eq!(text(&Message::RemoveStored("old".into()), "idle"), "FDSTOREREMOVE=1\nFDNAME=old\n");
        let long = "ä".repeat(4000);
        assert!(text(&Message::Ready, shortened(&long)).len() < 4096);
        assert_eq!(shortened("short"), "short");
    }
}
