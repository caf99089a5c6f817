//! `retort ping`: round trips at an interval, as ping(8) shows them.
//!
//! A request is due every interval, whether or not the reply to the one before has arrived in time. Guarantees: the
//! time to connect is measured apart from the round trip; after a lost reply the next request has a new connection;
//! Ctrl-C ends with the summary.
//!
//! | module | content |
//! |---|---|
//! | `request` | the request, and the reply to expect |
//! | `round_trip` | one request and its reply, interruptible |
//! | `statistics` | minimum, mean, maximum, standard deviation |

mod request;
mod round_trip;
mod statistics;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::client_protocol::ConnectionUse;
use super::failure::{Failure, Status};
use super::options::PingOptions;
use super::target::Target;
use crate::sys::{Interrupts, Woken};
use request::PingRequest;
use round_trip::{NoReply, PingExchange, PingReply};
use statistics::TimeStatistics;

/// Sends requests until `--count` have been sent or a signal arrives.
///
/// # Errors
/// Nothing could be sent: usage, an unknown host, or no connection.
pub fn run(options: &PingOptions) -> Result<Status, Failure> {
    let request = PingRequest::new(options)?;
    let target = Target::resolve(&options.host, options.protocol.port(), options.family)?;
    let interrupts =
        Interrupts::watch().map_err(|error| Failure::cannot_run(format!("cannot watch for an interrupt: {error}")))?;
    let mut pinger = Pinger { options, target, interrupts, request, connection: None, counts: PingCounts::default() };
    pinger.connect_first()?;
    pinger.ping_all()?;
    pinger.print_summary()
}

#[derive(Default)]
struct PingCounts {
    sent: u64,
    connects: TimeStatistics,
    round_trips: TimeStatistics,
}

struct Pinger<'a> {
    options: &'a PingOptions,
    target: Target,
    interrupts: Interrupts,
    request: PingRequest,
    /// `None` after a lost reply, and between requests that reconnect.
    connection: Option<TcpStream>,
    counts: PingCounts,
}

impl Pinger<'_> {
    /// Makes the first connection: without one there is nothing to measure.
    fn connect_first(&mut self) -> Result<(), Failure> {
        let stream = self.take_connection().map_err(|error| self.target.unreachable(&error))?;
        self.connection = Some(stream);
        let connected = milliseconds(self.counts.connects.last().unwrap_or_default());
        self.print(&format!("{} ({}): connected in {connected} ms", self.target, self.options.protocol.name()))
    }

    fn ping_all(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        let mut due = Duration::ZERO;
        loop {
            self.counts.sent += 1;
            match self.round_trip() {
                Err(NoReply::Interrupted) => {
                    // Its reply was not waited for.
                    self.counts.sent -= 1;
                    return Ok(());
                }
                Err(NoReply::Lost(reason)) => {
                    self.connection = None;
                    self.print(&format!("seq={} lost: {reason}", self.counts.sent))?;
                }
                Ok(reply) => self.count_reply(&reply)?,
            }
            if self.options.count == Some(self.counts.sent) {
                return Ok(());
            }
            due += self.options.interval;
            let wait = due.saturating_sub(started.elapsed());
            let woken = self.interrupts.wait(None, wait);
            if woken.map_err(|error| Failure::cannot_run(format!("cannot wait: {error}")))? == Woken::Interrupted {
                return Ok(());
            }
        }
    }

    fn count_reply(&mut self, PingReply { body, time }: &PingReply) -> Result<(), Failure> {
        self.counts.round_trips.add(*time);
        let (length, time) = (body.len(), milliseconds(*time));
        let mut line = format!("{length} bytes: seq={} time={time} ms", self.counts.sent);
        if self.reconnects() {
            self.connection = None;
            let connect = self.counts.connects.last().unwrap_or_default();
            let _ = write!(line, " connect={} ms", milliseconds(connect));
        }
        self.print(&line)
    }

    fn reconnects(&self) -> bool {
        self.options.reconnect || self.options.protocol.connection_use() == ConnectionUse::PerRequest
    }

    /// One request and its correct reply.
    fn round_trip(&mut self) -> Result<PingReply, NoReply> {
        let stream = self.take_connection().map_err(|error| NoReply::Lost(format!("cannot connect: {error}")))?;
        let (interrupts, timeouts) = (&self.interrupts, &self.options.timeouts);
        let exchange = PingExchange { stream: &stream, request: &self.request, interrupts, timeouts };
        let reply = exchange.run()?;
        self.connection = Some(stream);
        match &self.request.reply {
            Some(expected) if reply.body != *expected => Err(NoReply::Lost("the reply is wrong".into())),
            _ => Ok(reply),
        }
    }

    /// The connection, or a new one.
    fn take_connection(&mut self) -> io::Result<TcpStream> {
        if let Some(stream) = self.connection.take() {
            return Ok(stream);
        }
        let started = Instant::now();
        let stream = self.target.connect(self.options.timeouts.connect_timeout)?;
        self.counts.connects.add(started.elapsed());
        Ok(stream)
    }

    fn print_summary(&self) -> Result<Status, Failure> {
        let (sent, received) = (self.counts.sent, self.counts.round_trips.count());
        let lost = sent - received;
        let share = 100 * lost / sent.max(1);
        let mut text = format!("\n--- {} ---\n{sent} sent, {received} received, {lost} lost ({share}%)", self.target);
        for (name, statistics) in [("connect", &self.counts.connects), ("round trip", &self.counts.round_trips)] {
            if statistics.count() > 0 {
                let _ = write!(text, "\n{name:<10} min/avg/max/stddev = {statistics} ms");
            }
        }
        print_line(&text)?;
        Ok(Status::success_if(lost == 0 && received > 0))
    }

    /// Prints a line, unless `--quiet`.
    fn print(&self, line: &str) -> Result<(), Failure> {
        if self.options.quiet { Ok(()) } else { print_line(line) }
    }
}

fn print_line(line: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(|error| Failure::output(&error))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}
