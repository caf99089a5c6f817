//! The table of the metric families: what `/metrics` exports, and `docs/metrics.md` describes.
//!
//! Names and labels are public interface: a name is never used again with another meaning. Every label has a closed set
//! of values, so the number of series does not depend on clients, and every series is there from the start.

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows while the daemon runs. Its samples have the suffix `_total`.
    Counter,
    /// A number that grows and falls.
    Gauge,
    /// A fact in labels: always 1. Its sample has the suffix `_info`.
    Info,
    /// Numbers of observations up to each bound, their number and their sum.
    Histogram,
}

impl Kind {
    /// What the name of a sample has behind the name of its family.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }

    /// The word for it in `OpenMetrics`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Info => "info",
            Self::Histogram => "histogram",
        }
    }
}

/// A family: series with one name.
#[derive(Debug)]
pub struct Family {
    /// The name, without the suffix of its kind.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// The labels of each series. `le` of a histogram is not among them.
    pub labels: &'static [&'static str],
    /// What it counts, in one sentence.
    pub help: &'static str,
}

/// The units that names end in.
const UNITS: [&str; 2] = ["seconds", "bytes"];

impl Family {
    /// The unit that the name ends in.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        UNITS.into_iter().find(|unit| self.name.rsplit('_').next() == Some(unit))
    }
}

/// The table of all families. The name of a variant finds its row.
macro_rules! families {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        /// A family.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Id { $(#[doc = $help] $id,)+ }

        /// All families, in the order in which they are exported.
        pub const FAMILIES: &[Family] = &[
            $(Family { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help },)+
        ];
    };
}

families! {
    Build: Info "retortd_build" ["version"]
        "Version of the running daemon.";
    StartTime: Gauge "retortd_start_time_seconds" []
        "Start of the daemon in Unix time.";
    Stopping: Gauge "retortd_stopping" []
        "1 from the first SIGTERM or SIGINT on, 0 before.";
    Workers: Gauge "retortd_workers" []
        "Threads that serve connections.";
    Listeners: Gauge "retortd_listeners" ["protocol"]
        "Listening sockets.";
    Connections: Gauge "retortd_connections" ["protocol"]
        "Open connections.";
    ConnectionsLimit: Gauge "retortd_connections_limit" []
        "Maximum number of open connections (--max-connections).";
    AcceptedConnections: Counter "retortd_accepted_connections" ["protocol"]
        "Connections accepted.";
    ClosedConnections: Counter "retortd_closed_connections" ["protocol", "reason"]
        "Connections closed, by the reason in the log.";
    ImpairedConnections: Counter "retortd_impaired_connections" ["protocol", "impairment"]
        "Connections on which an impairment of the listener has acted, by impairment, once each, and anew when a \
         reload has changed them.";
    ConnectionsFull: Counter "retortd_connections_full" []
        "Times that a worker stopped accepting because of the limit on connections.";
    AcceptLost: Counter "retortd_accept_lost" []
        "Clients that had gone before they were accepted.";
    AcceptPauses: Counter "retortd_accept_pauses" []
        "Times that a listener paused because the system had no descriptors or memory left.";
    AcceptOverRate: Counter "retortd_accept_over_rate" []
        "Times that a worker stopped accepting from a listener because its clients came faster than --max-rate.";
    ProxyHeaders: Counter "retortd_proxy_headers" ["result"]
        "PROXY headers, by result.";
    Requests: Counter "retortd_requests" ["protocol", "result"]
        "Requests that have ended, by result.";
    RequestsInFlight: Gauge "retortd_requests_in_flight" []
        "Requests that have arrived and are neither answered, refused nor abandoned.";
    RequestDuration: Histogram "retortd_request_duration_seconds" ["protocol"]
        "Time from the last byte of a request until the kernel has taken the last byte of its reply.";
    Records: Counter "retortd_records" []
        "Records decoded by the protocol record.";
    ReceivedBytes: Counter "retortd_received_bytes" ["protocol"]
        "Bytes read from clients.";
    SentBytes: Counter "retortd_sent_bytes" ["protocol"]
        "Bytes that the kernel has taken for clients.";
    BufferedBytes: Gauge "retortd_buffered_bytes" []
        "Memory that the buffers of all connections take of the limit.";
    BufferedLimitBytes: Gauge "retortd_buffered_limit_bytes" []
        "Maximum of the memory of the buffers of all connections (--max-buffered).";
    ConnectionsWaitingForMemory: Gauge "retortd_connections_waiting_for_memory" []
        "Connections whose request waits for memory within --max-buffered.";
    OffloadedRequests: Counter "retortd_offloaded_requests" []
        "Requests that were handed to a thread of the offload pool.";
    OffloadQueueLength: Gauge "retortd_offload_queue_length" []
        "Requests that wait for a thread of the offload pool.";
    OffloadWait: Histogram "retortd_offload_wait_seconds" []
        "Time that requests waited for a thread of the offload pool.";
    LongestIteration: Gauge "retortd_event_loop_longest_iteration_seconds" []
        "Longest iteration of the event loop of any worker within the last one to two minutes.";
    LogMessagesDropped: Counter "retortd_log_messages_dropped" []
        "Log messages that were dropped because the log did not take them.";
    Reloads: Counter "retortd_reloads" ["result"]
        "Reloads of the settings (SIGHUP), by result.";
    ProcessCpu: Counter "process_cpu_seconds" []
        "Processor time of the process, in user and system mode.";
    ProcessResidentMemory: Gauge "process_resident_memory_bytes" []
        "Resident memory of the process.";
    ProcessOpenFds: Gauge "process_open_fds" []
        "Open file descriptors.";
    ProcessMaxFds: Gauge "process_max_fds" []
        "Maximum number of open file descriptors.";
    ProcessStartTime: Gauge "process_start_time_seconds" []
        "Start of the process in Unix time.";
}

impl Id {
    /// Its row in the table.
    #[must_use]
    pub fn family(self) -> &'static Family {
        &FAMILIES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_labels_follow_the_conventions_of_prometheus() {
        let is_name = |name: &str| name.starts_with(|c: char| c.is_ascii_lowercase());
        for Family { name, labels, help, .. } in FAMILIES {
            let prefixed = name.starts_with("retortd_") || name.starts_with("process_");
            assert!(prefixed && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            for suffix in ["_total", "_info", "_bucket", "_count", "_sum", "_created"] {
                assert!(!name.ends_with(suffix), "{name}");
            }
            assert!(labels.iter().all(|label| is_name(label) && *label != "le"), "{name}");
            assert!(help.ends_with('.') && !help.contains(['\n', '\\', '"']), "{name}: {help}");
        }
        let names: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), FAMILIES.len(), "no name is used twice");
    }

    #[test]
    fn units_are_at_the_end_of_names() {
        assert_eq!(Id::SentBytes.family().unit(), Some("bytes"));
        assert_eq!(Id::OffloadWait.family().unit(), Some("seconds"));
        assert_eq!(Id::Connections.family().unit(), None);
    }
}
