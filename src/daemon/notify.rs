//! What the service manager is told, by `sd_notify(3)`.
//!
//! The messages and the watchdog's settings are the sd-notify crate's. The socket is ours: it is opened once, so that
//! running out of descriptors cannot silence us; it never blocks; and it may be an abstract one (`@name`). Status,
//! watchdog and extension messages that the manager does not take are lost: the next one says as much or more. All
//! others are sent again ([`Manager::retry`]) until they are delivered. Nothing here is ever fatal.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use log::warn;
use sd_notify::NotifyState;

use super::notify_queue::{Message, NotifyQueue};

/// The longest status, in bytes. Derived: systemd ignores a message of more than 4096 bytes (`PIPE_BUF`) as a whole,
/// and READY travels with the status.
const LONGEST_STATUS: usize = 3072;

/// The longest period of a watchdog, in microseconds: one more means without end (`USEC_INFINITY` of systemd).
const LONGEST_PERIOD: u64 = u64::MAX - 1;

/// The connection to the service manager; without one all messages go nowhere.
#[derive(Debug)]
pub struct Manager {
    link: Option<Link>,
    status: String,
    pending: NotifyQueue,
}

impl Manager {
    /// The manager that `NOTIFY_SOCKET` names.
    #[must_use]
    pub fn from_environment() -> Self {
        let name = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let link = name.and_then(|name| match Link::to(name.as_bytes()) {
            Ok(link) => Some(link),
            Err(error) => {
                warn!("cannot reach the service manager at {}: {error}", name.to_string_lossy().escape_debug());
                None
            }
        });
        Self { link, status: String::new(), pending: NotifyQueue::default() }
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.link.is_some()
    }

    /// How often the watchdog wants to hear from us, if it does.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        if !self.is_there() {
            return None;
        }
        let period = watchdog_period(env::var_os("WATCHDOG_USEC").as_deref());
        // and WATCHDOG_PID, if it is set, is this process
        period.filter(|_| sd_notify::watchdog_enabled().is_some())
    }

    /// The store of descriptors is to drop those of this name.
    pub fn forget(&mut self, name: &str) {
        self.must_arrive(Message::Forget(name.into()));
    }

    /// Every listener accepts.
    pub fn ready(&mut self, status: String) {
        self.status = status;
        self.must_arrive(Message::Ready);
    }

    /// New figures; said only when they changed.
    pub fn status(&mut self, status: String) {
        if status != self.status {
            self.status = status;
            self.tell(&[NotifyState::Status(shortened(&self.status))]);
        }
    }

    /// Reloading has begun; [`Manager::ready`] ends it.
    pub fn reloading(&mut self) {
        let now = match NotifyState::monotonic_usec_now() {
            Ok(NotifyState::MonotonicUsec(now)) => now,
            // clock_gettime(2) does not fail for this clock
            _ => 0,
        };
        self.must_arrive(Message::Reloading(now));
    }

    /// Every worker is alive.
    pub fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// Stopping has begun.
    pub fn stopping(&mut self, status: String) {
        self.status = status;
        self.must_arrive(Message::Stopping);
    }

    /// Stopping takes up to so much longer, counted from now.
    pub fn extend(&self, by: Duration) {
        let microseconds = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
        self.tell(&[NotifyState::ExtendTimeoutUsec(microseconds)]);
    }

    /// Whether a message waits to be sent again.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Sends again what has not been delivered.
    pub fn retry(&mut self) {
        let Self { link: Some(link), status, pending } = self else { return };
        pending.deliver(|message| link.send(&text(message, shortened(status))));
    }

    fn must_arrive(&mut self, message: Message) {
        if self.is_there() {
            self.pending.push(message);
            self.retry();
        }
    }

    /// Sends what may be lost.
    fn tell(&self, states: &[NotifyState<'_>]) {
        if let Some(link) = &self.link {
            link.send(&lines(states));
        }
    }
}

/// A message that must arrive, with the status as it is now.
fn text(message: &Message, status: &str) -> String {
    let status = NotifyState::Status(status);
    match message {
        Message::Forget(name) => format!("FDSTOREREMOVE=1\nFDNAME={name}\n"),
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

/// What fits into a message.
fn shortened(status: &str) -> &str {
    let end = (0..=LONGEST_STATUS.min(status.len())).rev().find(|end| status.is_char_boundary(*end));
    &status[..end.unwrap_or_default()]
}

/// The period that `WATCHDOG_USEC` asks for. Like `sd_watchdog_enabled(3)`, no period is 0 or without end.
fn watchdog_period(value: Option<&OsStr>) -> Option<Duration> {
    let value = value?;
    let period = value.to_str().and_then(|value| value.parse().ok());
    let period = period.filter(|period| (1..=LONGEST_PERIOD).contains(period)).map(Duration::from_micros);
    if period.is_none() {
        let value = value.to_string_lossy();
        warn!("WATCHDOG_USEC={} is no period: the watchdog is not notified", value.escape_debug());
    }
    period
}

/// A socket that is connected to the manager's.
#[derive(Debug)]
struct Link {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Link {
    /// To an absolute path, or to an abstract name after `@` (`sd_notify(3)`).
    fn to(name: &[u8]) -> io::Result<Self> {
        let address = match name {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(OsStr::from_bytes(name))?,
            _ => return Err(io::Error::other("neither an absolute path nor an abstract name (@NAME)")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect_addr(&address)?;
        Ok(Self { socket, address })
    }

    /// Whether the manager has the message now. Never waits.
    fn send(&self, message: &str) -> bool {
        match self.socket.send(message.as_bytes()) {
            Ok(_) => true,
            // its queue is full
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // it is gone, which disconnects the socket (unix(7)), and may be back at its address
            Err(_) => self.socket.connect_addr(&self.address).is_ok() && self.socket.send(message.as_bytes()).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_of_the_watchdog() {
        let period = |text: &str| watchdog_period(Some(OsStr::new(text)));
        assert_eq!(watchdog_period(None), None);
        assert_eq!(period("1"), Some(Duration::from_micros(1)));
        assert_eq!(period("30000000"), Some(Duration::from_secs(30)));
        for text in ["", "0", "-5", "abc", "1.5", "18446744073709551615", "18446744073709551616"] {
            assert_eq!(period(text), None, "{text}");
        }
    }

    #[test]
    fn messages() {
        assert_eq!(text(&Message::Ready, "idle"), "READY=1\nSTATUS=idle\n");
        assert_eq!(text(&Message::Reloading(12), "idle"), "RELOADING=1\nMONOTONIC_USEC=12\n");
        assert_eq!(text(&Message::Stopping, "idle"), "STOPPING=1\nSTATUS=idle\n");
        assert_eq!(text(&Message::Forget("old".into()), "idle"), "FDSTOREREMOVE=1\nFDNAME=old\n");
        let long = "ä".repeat(4000);
        assert!(text(&Message::Ready, shortened(&long)).len() < 4096);
        assert_eq!(shortened("short"), "short");
    }

    #[test]
    fn addresses() {
        for name in ["vsock:2:99", "notify", "./notify", " /run/notify"] {
            let refused = Link::to(name.as_bytes()).expect_err(name).to_string();
            assert_eq!(refused, "neither an absolute path nor an abstract name (@NAME)");
        }
        assert!(Link::to(&[b'/'; 300]).is_err());
    }

    #[test]
    fn a_manager_that_comes_back_to_its_address_is_found_again() {
        let name = format!("retortd-unit-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let first = UnixDatagram::bind_addr(&address).expect("bind");
        let link = Link::to(format!("@{name}").as_bytes()).expect("connect");
        assert!(link.send("one"));
        drop(first);
        assert!(!link.send("lost") && !link.send("lost"));
        let second = UnixDatagram::bind_addr(&address).expect("bind again");
        assert!(link.send("two"));
        let mut message = [0; 8];
        assert_eq!(second.recv(&mut message).map(|length| message[..length].to_vec()).expect("a message"), b"two");
    }
}
