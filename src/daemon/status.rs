//! What the daemon reports of itself: the status of the service, and the lines of the log at start.

use std::fmt::{self, Display};

use super::config::listen::Origin;
use crate::server::{Listener, StatsSnapshot};

/// The sockets that the server serves.
#[derive(Debug)]
pub struct Serving {
    /// The names of the listeners: `frame=[::]:8083`.
    listeners: Vec<String>,
    /// The origin of each listener, and of the adopted connection, by which a reload finds the options.
    pub origins: Vec<Origin>,
    /// There is one connection and no listener: the daemon exits when the connection ends.
    pub single_connection: bool,
}

impl Serving {
    /// These listeners, and a connection if systemd has passed one.
    #[must_use]
    pub fn new(listeners: &[Listener], origins: Vec<Origin>, has_connection: bool) -> Self {
        let single_connection = has_connection && listeners.is_empty();
        let listeners = listeners.iter().map(|listener| listener.name.clone()).collect();
        Self { listeners, origins, single_connection }
    }

    /// A line of the log for each listener, with the port that the kernel has chosen for port 0.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.listeners.iter().map(|name| format!("listening on {name}"))
    }

    /// The status while the daemon serves.
    #[must_use]
    pub fn running(&self, stats: &StatsSnapshot) -> String {
        if self.listeners.is_empty() {
            return format!("serving one connection; {}", figures(stats));
        }
        format!("listening on {}; {}", self.listeners.join(", "), figures(stats))
    }
}

/// The status while the daemon stops.
#[must_use]
pub fn stopping(stats: &StatsSnapshot) -> String {
    format!("stopping; {}", figures(stats))
}

fn figures(stats: &StatsSnapshot) -> String {
    format!("{}, {}", Count(stats.open, "connection"), Count(stats.totals.requests, "request"))
}

/// A number and its noun, which gets an `s` in the plural.
struct Count(u64, &'static str);

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, noun) = self;
        write!(f, "{number} {noun}{}", if *number == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Totals;

    fn stats(open: u64, requests: u64) -> StatsSnapshot {
        StatsSnapshot { totals: Totals { requests, ..Totals::default() }, open }
    }

    fn serving(listeners: &[&str]) -> Serving {
        let listeners = listeners.iter().map(|name| (*name).to_string()).collect();
        Serving { listeners, origins: Vec::new(), single_connection: false }
    }

    #[test]
    fn status_has_listeners_and_figures() {
        let two = serving(&["frame=[::]:8083", "echo=127.0.0.1:7"]);
        assert_eq!(
            two.running(&stats(0, 1)),
            "listening on frame=[::]:8083, echo=127.0.0.1:7; 0 connections, 1 request"
        );
        assert_eq!(serving(&[]).running(&stats(1, 2)), "serving one connection; 1 connection, 2 requests");
        assert_eq!(stopping(&stats(1, 2)), "stopping; 1 connection, 2 requests");
    }
}
