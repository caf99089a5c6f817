//! The daemon's reports about itself: the status of the service, and the lines of the log at start and stop.

use std::time::Duration;

use super::config::origin::{Origins, SocketOrigin};
use super::impaired::ImpairedListeners;
use super::listeners::Sockets;
use crate::server::StatsSnapshot;
use crate::units::{counted, format_time};

/// The unit in which the log shows the time that is left. Chosen: nobody counts shorter times. The status, which is
/// updated every few seconds, shows whole seconds.
const SHOWN_TIME: Duration = Duration::from_millis(100);

/// The sockets that the server serves.
#[derive(Debug)]
pub struct Serving {
    /// The names of the listeners: `frame=[::]:8083`.
    listeners: Vec<String>,
    /// The origin of each listener, and of the adopted connection, by which a reload finds the options.
    pub origins: Origins,
    /// There is one connection and no listener of the workers: the daemon exits when the connection ends.
    pub single_connection: bool,
    /// There are connections of a predecessor and no listener: the daemon exits when the last connection ends.
    pub has_no_listener: bool,
    /// The listeners of the workers, and behind them the adopted connection, with their impairments.
    pub impaired: ImpairedListeners,
}

impl Serving {
    /// These sockets.
    #[must_use]
    pub fn new(sockets: &Sockets, origins: Origins) -> Self {
        let single_connection = sockets.connection.is_some() && sockets.listeners.is_empty();
        let has_no_listener = sockets.connection.is_none() && sockets.listeners.is_empty() && sockets.side.is_empty();
        let listeners = sockets.listeners.iter().map(|listener| &listener.name);
        // the last origin is that of the adopted connection, if there is one
        let connection = origins.served.iter().skip(sockets.listeners.len()).map(SocketOrigin::to_string);
        let impaired = ImpairedListeners::new(listeners.clone().cloned().chain(connection));
        let listeners = listeners.chain(sockets.side.iter().map(|listener| &listener.name)).cloned().collect();
        Self { listeners, origins, single_connection, has_no_listener, impaired }
    }

    /// A line of the log for each listener, with the port that the kernel has chosen for port 0.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.listeners.iter().map(|name| format!("listening on {name}"))
    }

    /// The status while the daemon serves.
    #[must_use]
    pub fn running(&self, stats: &StatsSnapshot) -> String {
        if self.has_no_listener {
            return format!("serving the connections of a predecessor; {}", figures(stats));
        }
        if self.listeners.is_empty() {
            return format!("serving one connection; {}", figures(stats));
        }
        format!("listening on {}; {}", self.listeners.join(", "), figures(stats))
    }
}

/// The status during the drain delay, of which this time is left.
#[must_use]
pub fn delaying(left: Duration, stats: &StatsSnapshot) -> String {
    let left = format_time(rounded_up(left, Duration::from_secs(1)));
    format!("stopping: accepts connections for another {left}; {}", figures(stats))
}

/// The status of a daemon whose successor gets its connections.
#[must_use]
pub fn handed_over() -> &'static str {
    "handed over"
}

/// The status while the daemon drains.
#[must_use]
pub fn stopping(stats: &StatsSnapshot) -> String {
    format!("stopping; {}", figures(stats))
}

/// The line of the log about the drain delay: how long it is, and how to end it.
#[must_use]
pub fn delayed(delay: Duration) -> String {
    format!(
        "stopping: accepts connections for another {} (--drain-delay); another SIGTERM or SIGINT (Ctrl-C), a second or \
         more later, ends that",
        format_time(delay)
    )
}

/// The line of the log about a stop that has to wait: for how long at most from now on, for how many connections, and
/// how to end it.
#[must_use]
pub fn waiting(connections: u64, left: Option<Duration>) -> String {
    let time = match left {
        Some(left) => format!("for at most {} (--drain-timeout)", format_time(rounded_up(left, SHOWN_TIME))),
        None => "without a limit (--drain-timeout=none)".to_string(),
    };
    let connections = counted(connections, "connection");
    format!(
        "stopping: waiting {time} for {connections} with requests or replies pending; another SIGTERM or SIGINT \
         (Ctrl-C), a second or more later, stops at once"
    )
}

/// The least multiple of `unit` that is at least this time.
fn rounded_up(time: Duration, unit: Duration) -> Duration {
    let units = time.as_millis().div_ceil(unit.as_millis());
    unit.saturating_mul(u32::try_from(units).unwrap_or(u32::MAX))
}

fn figures(stats: &StatsSnapshot) -> String {
    format!("{}, {}", counted(stats.open, "connection"), counted(stats.totals.requests, "request"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Totals;

    fn stats(open: u64, requests: u64) -> StatsSnapshot {
        StatsSnapshot { totals: Totals { requests, ..Totals::default() }, open, ..StatsSnapshot::default() }
    }

    fn serving(listeners: &[&str]) -> Serving {
        let listeners = listeners.iter().map(|name| (*name).to_string()).collect();
        let (origins, impaired) = (Origins::default(), ImpairedListeners::default());
        Serving { listeners, origins, single_connection: false, has_no_listener: false, impaired }
    }

    #[test]
    fn status_has_listeners_and_figures() {
        let two = serving(&["frame=[::]:8083", "echo=127.0.0.1:7"]);
        assert_eq!(
            two.running(&stats(0, 1)),
            "listening on frame=[::]:8083, echo=127.0.0.1:7; 0 connections, 1 request"
        );
        assert_eq!(serving(&[]).running(&stats(1, 2)), "serving one connection; 1 connection, 2 requests");
        let without = Serving { has_no_listener: true, ..serving(&[]) };
        let words = "serving the connections of a predecessor; 3 connections, 2 requests";
        assert_eq!(without.running(&stats(3, 2)), words);
        assert_eq!(stopping(&stats(1, 2)), "stopping; 1 connection, 2 requests");
    }

    #[test]
    fn a_delayed_stop_counts_the_seconds_down() {
        for (left, shown) in [(4000, "4s"), (3001, "4s"), (1, "1s"), (0, "0s"), (90_500, "1m 31s")] {
            let status = delaying(Duration::from_millis(left), &stats(1, 2));
            let words = format!("stopping: accepts connections for another {shown}; 1 connection, 2 requests");
            assert_eq!(status, words);
        }
        let line = delayed(Duration::from_millis(1500));
        assert!(line.starts_with("stopping: accepts connections for another 1s 500ms (--drain-delay); "), "{line}");
    }

    #[test]
    fn a_stop_names_what_it_waits_for_and_for_how_long() {
        let line = waiting(1, Some(Duration::from_millis(89_901)));
        let words = "stopping: waiting for at most 1m 30s (--drain-timeout) for 1 connection with requests or replies \
                     pending; another SIGTERM or SIGINT (Ctrl-C), a second or more later, stops at once";
        assert_eq!(line, words);
        assert!(waiting(1, Some(Duration::from_millis(250))).contains(" at most 300ms "), "never too short");
        let line = waiting(2, None);
        assert!(line.contains("waiting without a limit (--drain-timeout=none) for 2 connections with "), "{line}");
    }
}
