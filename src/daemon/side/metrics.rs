//! The values of the metric families.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::families::Id;
use super::process::ProcessStats;
use super::samples::Samples;
use crate::server::{
    CloseReason, Gauges, HistogramSnapshot, ImpairmentKind, Phase, ProtocolStats, ProxyResult, StatsSnapshot, Totals,
};

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reloads, counted by the main loop.
#[derive(Debug, Default)]
pub struct Reloads {
    success: AtomicU64,
    failure: AtomicU64,
}

impl Reloads {
    /// Counts one.
    pub fn count(&self, has_succeeded: bool) {
        let counter = if has_succeeded { &self.success } else { &self.failure };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the metrics are made of.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The statistics of the server.
    pub stats: &'a StatsSnapshot,
    /// Its phase.
    pub phase: Phase,
    /// When the daemon has started, in Unix time.
    pub started: Duration,
    /// Log messages that were dropped.
    pub log_dropped: u64,
    /// Reloads.
    pub reloads: &'a Reloads,
    /// What the system knows about the process.
    pub process: &'a ProcessStats,
}

/// The samples of all families.
#[must_use]
pub fn samples(sources: &Sources<'_>) -> Samples {
    let Sources { stats, phase, started, log_dropped, reloads, process } = sources;
    let mut samples = Samples::new();
    samples.count(Id::Build, &[VERSION], 1);
    samples.number(Id::StartTime, started.as_secs_f64());
    samples.count(Id::Stopping, &[], u64::from(!phase.is_ready()));
    samples.count(Id::LogMessagesDropped, &[], *log_dropped);
    samples.count(Id::Reloads, &["success"], reloads.success.load(Ordering::Relaxed));
    samples.count(Id::Reloads, &["failure"], reloads.failure.load(Ordering::Relaxed));
    for protocol in &stats.protocols {
        add_protocol(&mut samples, protocol);
    }
    add_totals(&mut samples, &stats.totals);
    add_gauges(&mut samples, &stats.gauges);
    add_process(&mut samples, process, *started);
    samples
}

/// Adds the series that each protocol has. Every counter is in one of the lists below: the compiler reports one that is
/// missing.
fn add_protocol(samples: &mut Samples, stats: &ProtocolStats) {
    let ProtocolStats { protocol, totals, open, listeners } = stats;
    let Totals {
        accepted,
        closed,
        abandoned,
        answered,
        refused,
        durations,
        bytes_in,
        bytes_out,
        impaired,
        // of all protocols together (`add_totals`)
        requests: _,
        records: _,
        offloaded: _,
        accept_lost: _,
        accept_paused: _,
        accept_over_rate: _,
        connections_full: _,
        proxy: _,
    } = totals;
    let name = protocol.name;
    samples.count(Id::Listeners, &[name], *listeners);
    samples.count(Id::Connections, &[name], *open);
    samples.count(Id::AcceptedConnections, &[name], *accepted);
    for (reason, closed) in CloseReason::ALL.into_iter().zip(closed) {
        samples.count(Id::ClosedConnections, &[name, reason.name()], *closed);
    }
    for (kind, impaired) in ImpairmentKind::ALL.into_iter().zip(impaired) {
        samples.count(Id::ImpairedConnections, &[name, kind.name()], *impaired);
    }
    samples.count(Id::Requests, &[name, "answered"], *answered);
    samples.count(Id::Requests, &[name, "refused"], *refused);
    samples.count(Id::Requests, &[name, "abandoned"], abandoned.iter().sum());
    samples.histogram(Id::RequestDuration, &[name], &HistogramSnapshot::from(durations));
    samples.count(Id::ReceivedBytes, &[name], *bytes_in);
    samples.count(Id::SentBytes, &[name], *bytes_out);
}

/// Adds the series of all protocols together.
fn add_totals(samples: &mut Samples, totals: &Totals) {
    let Totals {
        records,
        offloaded,
        accept_lost,
        accept_paused,
        accept_over_rate,
        connections_full,
        proxy,
        // those that have ended are series of each protocol (`add_protocol`)
        requests: _,
        accepted: _,
        closed: _,
        abandoned: _,
        answered: _,
        refused: _,
        durations: _,
        bytes_in: _,
        bytes_out: _,
        impaired: _,
    } = totals;
    samples.count(Id::RequestsInFlight, &[], totals.in_flight());
    samples.count(Id::Records, &[], *records);
    samples.count(Id::OffloadedRequests, &[], *offloaded);
    samples.count(Id::AcceptLost, &[], *accept_lost);
    samples.count(Id::AcceptPauses, &[], *accept_paused);
    samples.count(Id::AcceptOverRate, &[], *accept_over_rate);
    samples.count(Id::ConnectionsFull, &[], *connections_full);
    for (result, headers) in ProxyResult::ALL.into_iter().zip(proxy) {
        samples.count(Id::ProxyHeaders, &[result.name()], *headers);
    }
}

fn add_gauges(samples: &mut Samples, gauges: &Gauges) {
    let Gauges {
        workers,
        connections_limit,
        buffered,
        buffered_limit,
        waiting_for_memory,
        offload_queue_length,
        offload_wait,
        longest_iteration,
    } = gauges;
    samples.count(Id::Workers, &[], *workers);
    samples.limit(Id::ConnectionsLimit, *connections_limit);
    samples.count(Id::BufferedBytes, &[], *buffered);
    samples.limit(Id::BufferedLimitBytes, *buffered_limit);
    samples.count(Id::ConnectionsWaitingForMemory, &[], *waiting_for_memory);
    samples.count(Id::OffloadQueueLength, &[], *offload_queue_length);
    samples.histogram(Id::OffloadWait, &[], offload_wait);
    samples.number(Id::LongestIteration, longest_iteration.as_secs_f64());
}

fn add_process(samples: &mut Samples, process: &ProcessStats, started: Duration) {
    let ProcessStats { cpu, resident, open_descriptors, max_descriptors } = process;
    samples.number(Id::ProcessCpu, cpu.as_secs_f64());
    if let Some(bytes) = resident {
        samples.count(Id::ProcessResidentMemory, &[], *bytes);
    }
    if let Some(descriptors) = open_descriptors {
        samples.count(Id::ProcessOpenFds, &[], *descriptors);
    }
    samples.count(Id::ProcessMaxFds, &[], *max_descriptors);
    samples.number(Id::ProcessStartTime, started.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::side::accept::Format;
    use crate::daemon::side::families::{FAMILIES, Kind};
    use crate::protocol::PROTOCOLS;

    /// The metrics of a server that has done nothing.
    fn text(phase: Phase) -> String {
        let protocols = PROTOCOLS.iter().map(|protocol| ProtocolStats {
            protocol,
            totals: Totals::default(),
            open: 0,
            listeners: 0,
        });
        let stats = StatsSnapshot { protocols: protocols.collect(), ..StatsSnapshot::default() };
        let reloads = Reloads::default();
        reloads.count(false);
        let process = ProcessStats::read();
        let started = Duration::from_millis(1500);
        let sources = Sources { stats: &stats, phase, started, log_dropped: 0, reloads: &reloads, process: &process };
        samples(&sources).text(Format::Prometheus)
    }

    #[test]
    fn every_family_has_series_from_the_start() {
        let text = text(Phase::Running);
        for family in FAMILIES {
            let suffix = if family.kind == Kind::Histogram { "_count" } else { family.kind.suffix() };
            let name = format!("\n{}{suffix}", family.name);
            let mut values = text.match_indices(&name).map(|(at, _)| &text[at + name.len()..]);
            assert!(values.any(|rest| rest.starts_with([' ', '{'])), "{}", family.name);
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().expect("a name");
            let family = FAMILIES.iter().find(|family| {
                let suffixes = ["_bucket", "_sum", "_count", family.kind.suffix()];
                name.strip_prefix(family.name).is_some_and(|suffix| suffixes.contains(&suffix))
            });
            let labels = line.split_once('}').map_or(0, |(labels, _)| labels.matches("=\"").count());
            let family = family.unwrap_or_else(|| panic!("{line} is not in the table"));
            let bounds = usize::from(name.ends_with("_bucket"));
            assert_eq!(labels, family.labels.len() + bounds, "{line}");
        }
        let series = text.lines().filter(|line| line.starts_with("retortd_closed_connections_total")).count();
        assert_eq!(series, PROTOCOLS.len() * CloseReason::ALL.len());
    }

    #[test]
    fn the_state_of_the_daemon_is_in_its_series() {
        let running = text(Phase::Running);
        for line in [
            "retortd_start_time_seconds 1.5",
            "retortd_stopping 0",
            "retortd_reloads_total{result=\"success\"} 0",
            "retortd_reloads_total{result=\"failure\"} 1",
            "retortd_connections_limit +Inf",
        ] {
            assert!(running.lines().any(|other| other == line), "{line}");
        }
        assert!(text(Phase::Draining).contains("\nretortd_stopping 1\n"));
    }
}
