//! The loop that does what the schedule says, and prints.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::connection::PingConnection;
use super::request::PingRequest;
use super::schedule::{Due, Expired, MAX_IN_FLIGHT, PingSchedule};
use super::statistics::{Milliseconds, TimeStatistics};
use crate::client::client_protocol::ConnectionUse;
use crate::client::connector;
use crate::client::failure::{Failure, Status, reason};
use crate::client::options::PingOptions;
use crate::client::reply::collector::ReadError;
use crate::client::reply::decoder::Received;
use crate::client::target::Target;
use crate::sys::{Interest, Interrupts, SocketAddress, wait_any_ready};
use crate::units::{counted, format_time};

/// A run of `ping`.
pub struct Pinger<'a> {
    options: &'a PingOptions,
    target: &'a Target,
    /// The address of the first connection, which all others are made to.
    address: SocketAddress,
    interrupts: Interrupts,
    request: PingRequest,
    schedule: PingSchedule,
    connects: TimeStatistics,
    connections: Vec<PingConnection>,
    started: Instant,
}

impl<'a> Pinger<'a> {
    /// Makes the first connection, within the deadline of the run that has `started`: without one there is nothing to
    /// measure.
    pub fn connect(
        options: &'a PingOptions,
        target: &'a Target,
        request: PingRequest,
        started: Instant,
    ) -> Result<Self, Failure> {
        let connect_started = Instant::now();
        let deadline = options.deadline.map(|deadline| started + deadline);
        let connected = target.connect_before(options.timeouts.connect_timeout, deadline);
        let stream = connected.map_err(|error| target.unreachable(&error))?;
        let connect_time = connect_started.elapsed();
        let address = target.address_of(&stream).map_err(|error| target.unreachable(&error.into()))?;
        let first = PingConnection::connected(stream, &options.timeouts, connect_time)
            .map_err(|error| target.unreachable(&error))?;
        // from now on Ctrl-C ends the run with its summary
        let interrupts = Interrupts::watch().map_err(|error| Failure::cannot("watch for an interrupt", &error))?;
        let mut connects = TimeStatistics::default();
        connects.add(connect_time);
        let schedule = PingSchedule::new(options, started.elapsed());
        let connections = vec![first];
        Ok(Self { options, target, address, interrupts, request, schedule, connects, connections, started })
    }

    /// Runs until the schedule is done, or a signal arrives.
    pub fn run(&mut self) -> Result<(), Failure> {
        self.print_header()?;
        loop {
            let now = self.now();
            self.expire(now)?;
            if let Some(due) = self.schedule.take_due(now) {
                self.send(due, now)?;
            }
            if self.schedule.is_done(now) || self.wait()? {
                return Ok(());
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// How requests share connections.
    fn connection_use(&self) -> ConnectionUse {
        if self.options.reconnect { ConnectionUse::PerRequest } else { self.options.protocol.connection_use() }
    }

    /// Waits for the next event and handles it; true if a signal has arrived.
    fn wait(&mut self) -> Result<bool, Failure> {
        let stalls = self.connections.iter().filter_map(PingConnection::send_deadline);
        let next = stalls.chain(self.schedule.next_event()).min();
        let timeout = next.map(|next| next.saturating_sub(self.now()));
        let mut watched = vec![(self.interrupts.as_fd(), Interest::READ)];
        for PingConnection { pipeline, .. } in &self.connections {
            watched.push((pipeline.stream().as_fd(), pipeline.interest()));
        }
        let ready = wait_any_ready(&watched, timeout).map_err(|error| Failure::cannot("wait", &error))?;
        if ready[0].read {
            return Ok(true);
        }
        for (index, _) in ready[1..].iter().enumerate().filter(|(_, ready)| ready.read || ready.write) {
            self.drive(index)?;
        }
        let schedule = &self.schedule;
        self.connections.retain(|connection| {
            let is_needed = connection.pipeline.in_flight().any(|number| schedule.is_in_flight(*number));
            is_needed || !connection.is_retired
        });
        Ok(false)
    }

    /// Sends a request that is due, as soon as there is a connection for it.
    fn send(&mut self, due: Due, now: Duration) -> Result<(), Failure> {
        let number = match due {
            Due::Send(number) => number,
            Due::TooMany(number) => {
                return self.print_lost(number, &format_args!("{MAX_IN_FLIGHT} requests are in flight"));
            }
        };
        let connection_use = self.connection_use();
        let usable = self.connections.iter().position(|connection| connection.takes_request(connection_use));
        let index = match usable.map_or_else(|| self.open(now), Ok) {
            Ok(index) => index,
            Err(error) => {
                self.schedule.lose(number, now);
                return self.print_lost(number, &format_args!("cannot connect: {}", reason(&error)));
            }
        };
        self.connections[index].queue(&self.request, number, now);
        if self.connections[index].connect_time().is_some() {
            self.schedule.start(number, self.now());
            self.connections[index].transfer(now);
        }
        self.take_replies(index)
    }

    fn open(&mut self, now: Duration) -> io::Result<usize> {
        let stream = connector::start(&self.address, None)?;
        let header = self.target.proxy_header(&stream, &self.address)?;
        self.connections.push(PingConnection::start(stream, header, &self.options.timeouts, now)?);
        Ok(self.connections.len() - 1)
    }

    /// Handles an event of a connection.
    fn drive(&mut self, index: usize) -> Result<(), Failure> {
        let now = self.now();
        let connection = &mut self.connections[index];
        if connection.connect_time().is_none() {
            match connection.finish_connect(now) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return self.fail(index, &format_args!("cannot connect: {}", reason(&error))),
            }
            self.connects.add(connection.connect_time().unwrap_or_default());
            for number in connection.pipeline.in_flight() {
                self.schedule.start(*number, now);
            }
        }
        connection.transfer(now);
        self.take_replies(index)
    }

    fn take_replies(&mut self, index: usize) -> Result<(), Failure> {
        loop {
            let pipeline = &mut self.connections[index].pipeline;
            match pipeline.next_reply() {
                Ok(Some((number, body))) => self.on_reply(index, number, &body)?,
                Ok(None) => {
                    // nothing is in flight: a request that is due later gets another connection, and is not lost
                    let is_useless = pipeline.is_closed() || !pipeline.unexpected().is_empty();
                    self.connections[index].is_retired |= is_useless;
                    return Ok(());
                }
                Err(error) => return self.fail(index, &error),
            }
        }
    }

    fn on_reply(&mut self, index: usize, number: u64, body: &[u8]) -> Result<(), Failure> {
        let reconnects = self.connection_use() == ConnectionUse::PerRequest;
        let connection = &mut self.connections[index];
        connection.is_retired |= reconnects;
        if self.request.reply.as_ref().is_some_and(|expected| expected != body) {
            connection.is_retired = true;
            let was_in_flight = self.schedule.lose(number, self.now());
            return if was_in_flight { self.print_lost(number, &"the reply is wrong") } else { Ok(()) };
        }
        let connect_time = connection.connect_time().filter(|_| reconnects);
        let Some(time) = self.schedule.receive(number, self.now()) else { return Ok(()) };
        let mut line = format!("{}: seq={number} time={} ms", counted(body.len(), "byte"), Milliseconds::from(time));
        if let Some(time) = connect_time {
            let _ = write!(line, " connect={} ms", Milliseconds::from(time));
        }
        self.print(&line)
    }

    /// A connection has failed, and with it the requests in flight.
    fn fail(&mut self, index: usize, why: &dyn fmt::Display) -> Result<(), Failure> {
        let now = self.now();
        let connection = &mut self.connections[index];
        connection.is_retired = true;
        let numbers: Vec<u64> = connection.pipeline.in_flight().copied().collect();
        for number in numbers {
            if self.schedule.lose(number, now) {
                self.print_lost(number, why)?;
            }
        }
        Ok(())
    }

    /// Gives up what has waited for too long.
    fn expire(&mut self, now: Duration) -> Result<(), Failure> {
        while let Some(expired) = self.schedule.take_expired(now) {
            match expired {
                Expired::Connection(number) => {
                    self.retire(number);
                    self.print_lost(number, &"cannot connect: connection timed out")?;
                }
                Expired::Reply(number) => {
                    let received = self.retire(number);
                    self.print_lost(number, &ReadError::TimedOut(received))?;
                }
            }
        }
        for index in 0..self.connections.len() {
            if self.connections[index].send_deadline().is_some_and(|deadline| deadline <= now) {
                let time = format_time(self.options.timeouts.write_timeout);
                self.fail(index, &format_args!("cannot send: the server has accepted no bytes for {time}"))?;
            }
        }
        Ok(())
    }

    /// Gives the connection of this request no further one; returns how much of the reply has arrived.
    fn retire(&mut self, number: u64) -> Received {
        let none = Received { bytes: 0, announced: None };
        let has_it = |connection: &&mut PingConnection| connection.pipeline.in_flight().any(|other| *other == number);
        let Some(connection) = self.connections.iter_mut().find(has_it) else { return none };
        connection.is_retired = true;
        let is_first = connection.pipeline.in_flight().next() == Some(&number);
        if is_first { connection.pipeline.received() } else { none }
    }

    fn print_header(&self) -> Result<(), Failure> {
        let (target, address) = (self.target.to_string(), self.address.to_string());
        let name = self.options.protocol.name();
        let details = if target == address { name.to_owned() } else { format!("{address}, {name}") };
        let connect_time = self.connections.first().and_then(PingConnection::connect_time).unwrap_or_default();
        self.print(&format!("{target} ({details}): connected in {} ms", Milliseconds::from(connect_time)))
    }

    fn print_lost(&self, number: u64, why: &dyn fmt::Display) -> Result<(), Failure> {
        self.print(&format!("seq={number} lost: {why}"))
    }

    /// Prints the summary; whatever is in flight is lost.
    pub fn print_summary(&self) -> Result<Status, Failure> {
        let (sent, round_trips) = (self.schedule.sent(), self.schedule.round_trips());
        let received = round_trips.count();
        let (lost, share) = (sent - received, loss_in_percent(sent, sent - received));
        let mut text = format!("\n--- {} ---\n{sent} sent, {received} received, {lost} lost ({share}%)", self.target);
        for (name, statistics) in [("connect", &self.connects), ("round trip", round_trips)] {
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

/// The share in percent, rounded to a tenth; 0 and 100 only if none or all are lost.
fn loss_in_percent(sent: u64, lost: u64) -> String {
    let tenths = (u128::from(lost) * 2000 + u128::from(sent)) / (2 * u128::from(sent.max(1)));
    let tenths = if lost == 0 || lost == sent { tenths } else { tenths.clamp(1, 999) };
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        tenth => format!("{}.{tenth}", tenths / 10),
    }
}

fn print_line(line: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(|error| Failure::output(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_rounded_but_never_to_none_or_all() {
        for (sent, lost, share) in [
            (0, 0, "0"),
            (3, 0, "0"),
            (3, 1, "33.3"),
            (3, 2, "66.7"),
            (2, 1, "50"),
            (3, 3, "100"),
            (100_000, 1, "0.1"),
            (100_000, 99_999, "99.9"),
        ] {
            assert_eq!(loss_in_percent(sent, lost), share, "{lost} of {sent}");
        }
    }
}
