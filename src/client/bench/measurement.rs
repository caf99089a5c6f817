//! The counts of a benchmark: requests, bytes, errors by class, latencies.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::latencies::Latencies;
use super::series::{Interval, Series};
use super::stage_counts::StageCounts;
use super::verifier::Mismatch;

/// Why a request got no correct reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// No connection: no process listens there.
    Refused,
    /// No connection: every local port is in use for this server.
    NoFreePort,
    /// The connection was reset.
    Reset,
    /// No connection, no reply, or no bytes of a request taken, in time.
    Timeout,
    /// The reply had the wrong content.
    WrongContent,
    /// The reply had the wrong length.
    WrongLength,
    /// The server closed the connection before the reply was complete.
    ClosedEarly,
    /// Another error of the system.
    Other,
}

impl ErrorClass {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::Refused,
        Self::NoFreePort,
        Self::Reset,
        Self::Timeout,
        Self::WrongContent,
        Self::WrongLength,
        Self::ClosedEarly,
        Self::Other,
    ];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "connect refused",
            Self::NoFreePort => "no free port",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::WrongContent => "wrong content",
            Self::WrongLength => "wrong length",
            Self::ClosedEarly => "closed early",
            Self::Other => "other",
        }
    }
}

impl From<&io::Error> for ErrorClass {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::AddrNotAvailable => Self::NoFreePort,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Self::Reset,
            ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Other,
        }
    }
}

impl From<Mismatch> for ErrorClass {
    fn from(mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::Length => Self::WrongLength,
            Mismatch::Content => Self::WrongContent,
        }
    }
}

/// Everything that was counted.
///
/// Each request of the measurement is one of [`requests`](Self::requests), [`late`](Self::late), [`lost`](Self::lost)
/// and [`errors`](Self::errors). In an open loop, and with `--requests`, its requests are those that are due in it; in a
/// closed loop those in flight at some time in it. The throughput is that of all replies that arrive in it: without those
/// to requests of the warm-up it would be too low where replies take long.
#[derive(Debug)]
pub struct Measurement {
    /// Requests whose correct reply arrived within the measurement.
    pub requests: u64,
    /// Requests whose correct reply arrived after the measurement.
    pub late: u64,
    /// Requests without a reply, not overdue, when the run ended, and those that were due and not sent.
    pub lost: u64,
    /// Correct replies that arrived within the measurement, also to requests that are not of it; not with `--requests`,
    /// where the last of its requests ends it.
    pub arrived: u64,
    /// Requests of the warm-up that are not of the measurement, and failed in it or had no reply at its end.
    pub failed_before: u64,
    /// Bytes of replies within the measurement.
    pub received: u64,
    /// Requests without a correct reply, by class.
    errors: [u64; ErrorClass::ALL.len()],
    /// Why the first attempt to connect failed that did.
    pub connect_failure: Option<ErrorClass>,
    /// The message of the first error that has one which says more than its class.
    pub example: Option<String>,
    /// Latencies of the requests with a correct reply, late ones included, that were due within the measurement. Those of
    /// an interval are added at its end, so that each is recorded once.
    pub latencies: Latencies,
    /// The times to connect, where each request has a connection.
    pub connects: Latencies,
    /// The times until the first byte of a reply, of the same requests as [`latencies`](Self::latencies), and since the
    /// same time. Until the end only those of replies that arrived in pieces: for the others they are the latencies.
    pub first_bytes: Latencies,
    /// The latencies of the replies that arrived in pieces.
    in_pieces: Latencies,
    /// How late the generator itself was: the times from when requests were due until they were passed to a connection
    /// (open models only).
    pub lateness: Latencies,
    /// Requests that were due and that the generator has never come to; they are also [`lost`](Self::lost).
    pub unsent: u64,
    /// What happened in each interval.
    pub series: Series,
    /// The requests of each stage, if the load has stages.
    pub stages: Vec<StageCounts>,
    /// Duration of the measurement.
    pub elapsed: Duration,
    /// A signal has ended it.
    pub interrupted: bool,
    /// The server's CPU time meanwhile, and until the end of the run, with `--server-pid`.
    pub server_cpu: Option<Duration>,
}

impl Measurement {
    /// All counts are 0. The series has intervals of this length.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            requests: 0,
            late: 0,
            lost: 0,
            arrived: 0,
            failed_before: 0,
            received: 0,
            errors: [0; ErrorClass::ALL.len()],
            connect_failure: None,
            example: None,
            latencies: Latencies::new(),
            connects: Latencies::new(),
            first_bytes: Latencies::new(),
            in_pieces: Latencies::new(),
            lateness: Latencies::new(),
            unsent: 0,
            series: Series::new(interval),
            stages: Vec::new(),
            elapsed: Duration::ZERO,
            interrupted: false,
            server_cpu: None,
        }
    }

    /// Adds what another part of the same load has counted in the same time. Both have been finished.
    pub fn absorb(&mut self, other: Self) {
        self.requests += other.requests;
        self.late += other.late;
        self.lost += other.lost;
        self.unsent += other.unsent;
        self.arrived += other.arrived;
        self.failed_before += other.failed_before;
        self.received += other.received;
        for (own, others) in self.errors.iter_mut().zip(other.errors) {
            *own += others;
        }
        self.connect_failure = self.connect_failure.or(other.connect_failure);
        self.example = self.example.take().or(other.example);
        self.latencies.absorb(&other.latencies);
        self.connects.absorb(&other.connects);
        self.first_bytes.absorb(&other.first_bytes);
        self.lateness.absorb(&other.lateness);
        self.series.absorb(other.series);
        for (own, others) in self.stages.iter_mut().zip(&other.stages) {
            own.absorb(others);
        }
        self.elapsed = self.elapsed.max(other.elapsed);
        self.interrupted |= other.interrupted;
        self.server_cpu = self.server_cpu.max(other.server_cpu);
    }

    /// The same, with this [`interrupted`](Self::interrupted).
    #[must_use]
    pub fn with_interrupted(self, interrupted: bool) -> Self {
        Self { interrupted, ..self }
    }

    /// The number of requests with a correct reply.
    #[must_use]
    pub fn replies(&self) -> u64 {
        self.requests + self.late
    }

    /// Why no request has a reply, if that is because connecting fails.
    #[must_use]
    pub fn unreachable(&self) -> Option<ErrorClass> {
        self.connect_failure.filter(|_| self.replies() == 0)
    }

    /// The class of most errors.
    #[must_use]
    pub fn main_error(&self) -> Option<ErrorClass> {
        let classes = ErrorClass::ALL.into_iter().filter(|&class| self.errors_of(class) > 0);
        classes.max_by_key(|&class| self.errors_of(class))
    }

    /// Counts correct replies that arrive within the measurement.
    pub fn count_arrived(&mut self, replies: u64) {
        self.arrived += replies;
        self.series.count_requests(replies);
    }

    /// Counts bytes that arrive within the measurement.
    pub fn count_received(&mut self, bytes: u64) {
        self.received += bytes;
        self.series.count_received(bytes);
    }

    /// Records the latency of requests that were due at `due`, since the start of the measurement. Where `in_time`, the
    /// replies arrive within the measurement.
    pub fn record_latency(&mut self, due: u64, latency: u64, requests: u64, in_time: bool) {
        if in_time {
            self.series.record_latency(latency, requests);
        } else {
            self.latencies.record(latency, requests);
        }
        if let Some(stage) = StageCounts::at(&mut self.stages, due) {
            stage.latencies.record(latency, requests);
        }
    }

    /// Records when the first byte of a reply arrived that arrived in pieces, and its latency.
    pub fn record_first_byte(&mut self, first_byte: u64, latency: u64) {
        self.first_bytes.record(first_byte, 1);
        self.in_pieces.record(latency, 1);
    }

    /// Records that a request that was due at `due`, since the start of the measurement, was sent so much later.
    pub fn record_lateness(&mut self, due: u64, lateness: u64) {
        self.lateness.record(lateness, 1);
        if let Some(stage) = StageCounts::at(&mut self.stages, due) {
            stage.lateness.record(lateness, 1);
        }
    }

    /// Ends the current interval if that is over at `now`, since the start of the measurement, and returns it. To be called
    /// until it returns `None`.
    pub fn end_interval(&mut self, now: u64) -> Option<Interval> {
        let interval = self.series.end_before(now)?;
        self.latencies.add(&interval.latencies);
        Some(interval)
    }

    /// The measurement has ended after `elapsed` nanoseconds: completes the histograms, and returns the last interval, if
    /// that was not complete.
    pub fn finish(&mut self, elapsed: u64) -> Option<Interval> {
        self.elapsed = Duration::from_nanos(elapsed);
        let last = self.series.finish(elapsed);
        if let Some(interval) = &last {
            self.latencies.add(&interval.latencies);
        }
        // The others arrived in one piece.
        self.first_bytes.absorb(&self.latencies);
        self.first_bytes.remove(&self.in_pieces);
        last
    }

    /// Counts `requests` requests without a correct reply.
    pub fn count_errors(&mut self, class: ErrorClass, requests: u64) {
        self.errors[class as usize] += requests;
        self.series.count_errors(requests);
    }

    /// The number of requests with an error of this class.
    #[must_use]
    pub fn errors_of(&self, class: ErrorClass) -> u64 {
        self.errors[class as usize]
    }

    /// The number of requests without a correct reply.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_class() {
        let mut measurement = Measurement::new(Duration::from_secs(1));
        for class in ErrorClass::ALL {
            measurement.count_errors(class, 2);
        }
        assert_eq!((measurement.errors(), measurement.errors_of(ErrorClass::Other)), (16, 2));
        measurement.count_errors(ErrorClass::Reset, 1);
        assert_eq!(measurement.main_error(), Some(ErrorClass::Reset));
        assert_eq!(Measurement::new(Duration::from_secs(1)).main_error(), None);
    }

    #[test]
    fn a_server_is_unreachable_if_connecting_failed_and_nothing_was_replied_to() {
        let mut measurement = Measurement::new(Duration::from_secs(1));
        measurement.count_errors(ErrorClass::Timeout, 1);
        assert_eq!(measurement.unreachable(), None);
        measurement.connect_failure = Some(ErrorClass::Refused);
        assert_eq!(measurement.unreachable(), Some(ErrorClass::Refused));
        measurement.late = 1;
        assert_eq!(measurement.unreachable(), None);
    }

    #[test]
    fn latencies_are_those_of_the_intervals_and_of_late_replies() {
        let mut measurement = Measurement::new(Duration::from_nanos(10));
        measurement.record_latency(0, 100, 2, true);
        assert!(measurement.end_interval(10).is_some_and(|interval| interval.latencies.count() == 2));
        measurement.record_latency(0, 300, 3, true);
        measurement.record_latency(0, 900, 5, false);
        assert!(measurement.finish(15).is_some_and(|interval| interval.latencies.count() == 3));
        let latencies = &measurement.latencies;
        assert_eq!((latencies.count(), latencies.at(0.2).as_nanos(), latencies.at(0.5).as_nanos()), (10, 100, 300));
        assert_eq!((latencies.at(1.0).as_nanos(), latencies.min().as_nanos()), (900, 100));
        assert!(measurement.first_bytes == measurement.latencies, "all arrived in one piece");
    }

    #[test]
    fn the_first_byte_of_a_reply_in_one_piece_has_its_latency() {
        let mut measurement = Measurement::new(Duration::from_secs(1));
        measurement.record_latency(0, 900, 3, true);
        measurement.record_first_byte(100, 900);
        assert!(measurement.finish(1).is_some());
        let first_bytes = &measurement.first_bytes;
        assert_eq!(
            (first_bytes.count(), first_bytes.at(0.3).as_nanos(), first_bytes.at(0.4).as_nanos()),
            (3, 100, 900)
        );
    }

    #[test]
    fn parts_are_added() {
        let part = || {
            let mut part = Measurement::new(Duration::from_secs(1));
            (part.requests, part.late, part.lost, part.unsent, part.received) = (1, 2, 3, 4, 5);
            (part.arrived, part.failed_before) = (8, 9);
            part.count_errors(ErrorClass::Reset, 6);
            part.record_latency(0, 7, 1, true);
            part.record_lateness(0, 7);
            part.connects.record(7, 1);
            assert!(part.finish(800_000_000).is_some());
            part
        };
        let mut sum = part();
        sum.absorb(Measurement { example: Some("an error".into()), interrupted: true, ..part() });
        assert_eq!((sum.requests, sum.late, sum.lost, sum.unsent, sum.received), (2, 4, 6, 8, 10));
        assert_eq!((sum.arrived, sum.failed_before, sum.errors_of(ErrorClass::Reset)), (16, 18, 12));
        assert_eq!(sum.elapsed, Duration::from_millis(800));
        for times in [&sum.latencies, &sum.connects, &sum.first_bytes, &sum.lateness] {
            assert_eq!(times.count(), 2);
        }
        assert_eq!((sum.example.as_deref(), sum.interrupted), (Some("an error"), true));
    }
}
