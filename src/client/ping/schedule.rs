//! When requests are due, which are in flight, and the statistics. Does no I/O and knows no clock.
//!
//! A request is due every interval, whether or not earlier ones have got their replies. Guarantees: a request is counted
//! as sent when it is taken, and then as received or lost once; after a lost one the next is not due before [`BACKOFF`]
//! has passed, unless the interval is longer; requests that were due while the process was stopped are skipped, not sent
//! in a burst. Times are durations since the start of the run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::statistics::TimeStatistics;
use crate::client::connector::BACKOFF;
use crate::client::options::PingOptions;

/// The most requests in flight; one that is due beyond them is lost. Chosen: each may have a connection of its own, and
/// this is a quarter of the usual limit of descriptors.
pub const MAX_IN_FLIGHT: usize = 256;

/// The requests of a run.
#[derive(Debug)]
pub struct PingSchedule {
    interval: Duration,
    count: Option<u64>,
    /// The end of the run.
    deadline: Option<Duration>,
    connect_timeout: Duration,
    read_timeout: Duration,
    /// When the next request is due; `None` if that is beyond all times.
    next_due: Option<Duration>,
    sent: u64,
    in_flight: BTreeMap<u64, InFlight>,
    round_trips: TimeStatistics,
}

/// A request in flight.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    /// When it was sent; `None` while it waits for its connection.
    sent_at: Option<Duration>,
    /// When it is lost.
    deadline: Duration,
}

/// A request that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is in flight now.
    Send(u64),
    /// It is lost: [`MAX_IN_FLIGHT`] others are in flight.
    TooMany(u64),
}

/// What a request in flight waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Its connection.
    Connection(u64),
    /// Its reply.
    Reply(u64),
}

impl PingSchedule {
    /// The schedule that the options describe, with a first request at `first_due`.
    pub fn new(options: &PingOptions, first_due: Duration) -> Self {
        Self {
            interval: options.interval,
            count: options.count,
            deadline: options.deadline,
            connect_timeout: options.timeouts.connect_timeout,
            read_timeout: options.timeouts.read_timeout,
            next_due: Some(first_due),
            sent: 0,
            in_flight: BTreeMap::new(),
            round_trips: TimeStatistics::default(),
        }
    }

    /// The number of requests that were due.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The times of the replies.
    pub fn round_trips(&self) -> &TimeStatistics {
        &self.round_trips
    }

    /// Whether the reply to this request may still count.
    pub fn is_in_flight(&self, number: u64) -> bool {
        self.in_flight.contains_key(&number)
    }

    /// The next request, if it is due.
    pub fn take_due(&mut self, now: Duration) -> Option<Due> {
        let due = self.due().filter(|due| *due <= now && !self.is_over(now))?;
        self.sent += 1;
        self.next_due = self.due_after(due, now);
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            self.back_off(now);
            return Some(Due::TooMany(self.sent));
        }
        let deadline = now.saturating_add(self.connect_timeout);
        self.in_flight.insert(self.sent, InFlight { sent_at: None, deadline });
        Some(Due::Send(self.sent))
    }

    /// When the request after one that was due at `due` and is taken at `now` is due: an interval later, or from now if
    /// that has passed.
    fn due_after(&self, due: Duration, now: Duration) -> Option<Duration> {
        let next = due.checked_add(self.interval)?;
        if next < now { now.checked_add(self.interval) } else { Some(next) }
    }

    /// When the next request is due; `None` if none is: all were sent, or one without an interval waits for a reply.
    fn due(&self) -> Option<Duration> {
        let waits = self.interval.is_zero() && !self.in_flight.is_empty();
        self.next_due.filter(|_| !waits && self.count != Some(self.sent))
    }

    /// A request is sent now: its connection is there.
    pub fn start(&mut self, number: u64, now: Duration) {
        let deadline = now.saturating_add(self.read_timeout);
        if let Some(request) = self.in_flight.get_mut(&number) {
            *request = InFlight { sent_at: Some(now), deadline };
        }
    }

    /// A correct reply has arrived; returns its time. `None` if it arrived too late: then the request is lost already, or
    /// the next [`take_expired`](Self::take_expired) finds that it is.
    pub fn receive(&mut self, number: u64, now: Duration) -> Option<Duration> {
        let request = self.in_flight.get(&number).filter(|request| now < request.deadline)?;
        let time = now.saturating_sub(request.sent_at?);
        self.in_flight.remove(&number);
        self.round_trips.add(time);
        Some(time)
    }

    /// A request gets no reply; false if that was known.
    pub fn lose(&mut self, number: u64, now: Duration) -> bool {
        let was_in_flight = self.in_flight.remove(&number).is_some();
        if was_in_flight {
            self.back_off(now);
        }
        was_in_flight
    }

    /// Delays the next request after a lost one, if the interval does not.
    fn back_off(&mut self, now: Duration) {
        if self.interval < BACKOFF {
            self.next_due = self.next_due.map(|due| due.max(now.saturating_add(BACKOFF)));
        }
    }

    /// A request that has waited for too long, and is lost.
    pub fn take_expired(&mut self, now: Duration) -> Option<Expired> {
        let (&number, &request) = self.in_flight.iter().find(|(_, request)| request.deadline <= now)?;
        self.lose(number, now);
        Some(if request.sent_at.is_some() { Expired::Reply(number) } else { Expired::Connection(number) })
    }

    /// When something is due, expires or ends; `None`: never.
    pub fn next_event(&self) -> Option<Duration> {
        let expiry = self.in_flight.values().map(|request| request.deadline).min();
        [self.due(), expiry, self.deadline].into_iter().flatten().min()
    }

    /// Whether the run has ended: at its deadline, or with the last reply.
    pub fn is_done(&self, now: Duration) -> bool {
        let all_sent = self.count == Some(self.sent);
        self.is_over(now) || (all_sent && self.in_flight.is_empty())
    }

    fn is_over(&self, now: Duration) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::client::options::{Command, Options};

    fn schedule(options: &str) -> PingSchedule {
        schedule_from(options, Duration::ZERO)
    }

    /// The schedule of `retort ping localhost` with these options, whose first request is due at `first`.
    fn schedule_from(options: &str, first: Duration) -> PingSchedule {
        let words = format!("retort ping localhost {options}");
        let Command::Ping(options) = Options::parse_from(words.split_whitespace()).command else { panic!("{words}") };
        PingSchedule::new(&options, first)
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn requests_are_due_at_the_interval_although_none_got_its_reply() {
        let mut schedule = schedule("-i 100ms -c 3");
        for number in 1..=3 {
            let due = ms(100 * (number - 1));
            assert_eq!(schedule.take_due(due), Some(Due::Send(number)));
            schedule.start(number, due);
            assert_eq!(schedule.take_due(due), None);
        }
        assert_eq!(schedule.take_due(ms(1000)), None, "all are sent");
        for number in 1..=3 {
            assert!(!schedule.is_done(ms(1000)));
            assert_eq!(schedule.receive(number, ms(1000)), Some(ms(1100 - 100 * number)));
        }
        assert!(schedule.is_done(ms(1000)));
    }

    #[test]
    fn requests_that_were_missed_are_skipped() {
        let mut schedule = schedule("-i 100ms");
        assert_eq!(schedule.take_due(ms(0)), Some(Due::Send(1)));
        assert_eq!(schedule.take_due(ms(150)), Some(Due::Send(2)), "late, and the next one is due in time");
        assert_eq!(schedule.take_due(ms(200)), Some(Due::Send(3)));
        assert_eq!(schedule.take_due(ms(60_020)), Some(Due::Send(4)));
        assert_eq!((schedule.take_due(ms(60_119)), schedule.take_due(ms(60_120))), (None, Some(Due::Send(5))));
    }

    #[test]
    fn a_late_reply_is_lost() {
        let mut schedule = schedule("-c 1 --read-timeout 50ms --connect-timeout 10ms");
        schedule.take_due(ms(0));
        assert_eq!(schedule.next_event(), Some(ms(10)));
        schedule.start(1, ms(5));
        assert_eq!((schedule.next_event(), schedule.take_expired(ms(54))), (Some(ms(55)), None));
        assert_eq!(schedule.receive(1, ms(55)), None);
        assert_eq!(schedule.take_expired(ms(55)), Some(Expired::Reply(1)));
        assert_eq!((schedule.lose(1, ms(56)), schedule.receive(1, ms(56))), (false, None), "it is counted once");
        assert_eq!((schedule.sent(), schedule.round_trips().count()), (1, 0));
    }

    #[test]
    fn a_request_without_a_connection_expires() {
        let mut schedule = schedule("--connect-timeout 10ms");
        schedule.take_due(ms(0));
        assert_eq!(schedule.take_expired(ms(10)), Some(Expired::Connection(1)));
    }

    #[test]
    fn requests_in_flight_are_bounded() {
        let mut schedule = schedule("-i 1ms");
        let dues: Vec<_> = (0..=MAX_IN_FLIGHT as u64).filter_map(|time| schedule.take_due(ms(time))).collect();
        assert_eq!(dues.len(), MAX_IN_FLIGHT + 1);
        assert!(dues[..MAX_IN_FLIGHT].iter().all(|due| matches!(due, Due::Send(_))));
        assert_eq!(dues[MAX_IN_FLIGHT], Due::TooMany(MAX_IN_FLIGHT as u64 + 1));
        assert!(
            schedule.lose(1, ms(1000)) && schedule.take_due(ms(1010)).is_some_and(|due| matches!(due, Due::Send(_)))
        );
    }

    #[test]
    fn without_an_interval_each_request_follows_a_reply() {
        let mut schedule = schedule("-i 0");
        assert_eq!(schedule.take_due(ms(0)), Some(Due::Send(1)));
        schedule.start(1, ms(0));
        assert_eq!(schedule.take_due(ms(9)), None);
        assert!(schedule.receive(1, ms(9)).is_some());
        assert_eq!(schedule.take_due(ms(9)), Some(Due::Send(2)));
    }

    #[test]
    fn a_lost_request_delays_the_next_one_unless_the_interval_does() {
        for (options, next_due) in
            [("-i 0", ms(13)), ("-i 1ms", ms(13)), ("-i 10ms", ms(10)), ("-i 0 --read-timeout 3ms", ms(13))]
        {
            let mut schedule = schedule(options);
            assert_eq!(schedule.take_due(ms(0)), Some(Due::Send(1)));
            schedule.start(1, ms(0));
            assert!(schedule.take_expired(ms(3)).is_some() || schedule.lose(1, ms(3)));
            assert_eq!(schedule.next_event(), Some(next_due), "{options}");
            assert!(!schedule.lose(1, ms(9)));
            assert_eq!(schedule.next_event(), Some(next_due), "it was lost before: {options}");
        }
    }

    #[test]
    fn after_the_longest_interval_nothing_is_due() {
        let mut schedule = schedule("-i 18446744073709551614s");
        schedule.take_due(ms(0));
        assert!(schedule.lose(1, ms(0)));
        schedule.next_due = schedule.next_due.and_then(|due| due.checked_add(Duration::MAX));
        assert_eq!((schedule.next_event(), schedule.take_due(Duration::MAX)), (None, None));
    }

    #[test]
    fn the_deadline_ends_the_run_with_requests_in_flight() {
        let mut schedule = schedule("-w 2s -i 1s");
        schedule.take_due(ms(0));
        assert!(!schedule.is_done(ms(1999)) && schedule.is_done(ms(2000)));
        assert_eq!(schedule.take_due(ms(2000)), None);
    }

    #[test]
    fn the_interval_begins_with_the_first_request_and_the_time_to_the_deadline_before_it() {
        let mut schedule = schedule_from("-w 2s", ms(700));
        assert_eq!((schedule.take_due(ms(699)), schedule.take_due(ms(700))), (None, Some(Due::Send(1))));
        assert_eq!((schedule.take_due(ms(1699)), schedule.take_due(ms(1700))), (None, Some(Due::Send(2))));
        assert!(schedule.is_done(ms(2000)));
    }
}
