//! The operations of the load generator on one of its connections: connect, queue, send, receive, count, fail.

use std::io;

use super::LoadGenerator;
use crate::client::bench::connect::PORT_REMEDY;
use crate::client::bench::connection::{Arrival, ConnectionError};
use crate::client::bench::measurement::ErrorClass;
use crate::client::bench::model::LoadModel;
use crate::client::bench::timeline::{BenchPhase, nanoseconds};
use crate::client::connector::BACKOFF;
use crate::sys::StreamSocket;

/// The most reads of a ready connection in one iteration. Chosen: 4 MiB, which take about a millisecond; a server that
/// sends without end must not keep the loop from the other connections and from the clock.
const MAX_READS: usize = 16;

/// The result of an event of a connection.
enum EventOutcome {
    /// It stays in use.
    Continues,
    /// It has carried all that it was made for, or the server has closed it.
    Done,
}

/// The result of a series of reads.
struct ReadOutcome {
    closed: bool,
    /// The time after the last read.
    now: u64,
}

impl LoadGenerator<'_> {
    /// Begins to connect, if the connection is closed and has something to carry, and queues its first requests.
    pub(super) fn open(&mut self, index: usize) {
        let now = self.timeline.now();
        let connection = &mut self.connections[index];
        let needless = match self.model {
            LoadModel::Open { reconnect, .. } => reconnect && connection.waiting.is_empty(),
            LoadModel::Closed { .. } | LoadModel::Reconnect => {
                now >= self.timeline.measured_until || self.requests_left == 0
            }
        };
        if needless || connection.stream().is_some() || now < connection.retry_at {
            return;
        }
        self.queue(index, now);
        self.next_connection = self.next_connection.wrapping_add(self.threads);
        match self.start_connect() {
            Ok((stream, header)) => self.connections[index].start(stream, header, now),
            Err(error) => return self.fail(index, ConnectionError::from(error)),
        }
        match self.send(index).and_then(|()| self.register(index)) {
            Ok(()) => self.count_connect(index),
            Err(error) => self.fail(index, error),
        }
    }

    /// A connection in progress, and what it begins with.
    fn start_connect(&self) -> io::Result<(StreamSocket, Vec<u8>)> {
        let stream = self.sources.start_connect(&self.address, self.next_connection)?;
        let header = self.target.proxy_header(&stream, &self.address)?;
        Ok((stream, header))
    }

    /// Counts the time to connect, once the connection is made, where each request has one.
    fn count_connect(&mut self, index: usize) {
        if !self.model.reconnects() {
            return;
        }
        let from = self.timeline.measured_from;
        let is_measured = self.connections[index].in_flight_since(from) > 0;
        if let Some(since) = self.connections[index].take_connect_start().filter(|since| is_measured && *since >= from)
        {
            self.measurement.connects.record(self.timeline.now() - since, 1);
        }
    }

    /// Queues the requests that the model allows this connection now.
    pub(super) fn queue(&mut self, index: usize, now: u64) {
        let (connection, length) = (&mut self.connections[index], self.workload.request.len());
        let more = now < self.timeline.measured_until && self.requests_left > 0;
        match self.model {
            LoadModel::Closed { depth } if more && connection.in_flight() < depth => {
                let room = depth - connection.in_flight();
                let requests = usize::try_from(self.requests_left).map_or(room, |left| left.min(room));
                self.requests_left -= requests as u64;
                connection.queue(now, requests, length);
            }
            LoadModel::Reconnect if more && connection.in_flight() == 0 => {
                self.requests_left -= 1;
                connection.queue(now, 1, length);
            }
            LoadModel::Open { reconnect: true, .. } if connection.in_flight() == 0 => {
                if let Some(due) = connection.waiting.pop_front() {
                    connection.queue(due, 1, length);
                }
            }
            LoadModel::Open { reconnect: false, .. } => {
                while let Some(due) = connection.waiting.pop_front() {
                    connection.queue(due, 1, length);
                }
            }
            _ => {}
        }
    }

    /// Sends what has become due, if the connection is open.
    pub(super) fn send_due(&mut self, index: usize, now: u64) {
        if self.connections[index].stream().is_none() {
            return;
        }
        self.queue(index, now);
        if let Err(error) = self.send(index).and_then(|()| self.reregister(index)) {
            self.fail(index, error);
        }
    }

    fn send(&mut self, index: usize) -> Result<(), ConnectionError> {
        let half_close = self.model.reconnects() && self.workload.verifier.is_close_delimited();
        Ok(self.connections[index].send(&self.batch, self.workload.request.len(), half_close)?)
    }

    fn register(&mut self, index: usize) -> Result<(), ConnectionError> {
        let connection = &mut self.connections[index];
        connection.watched = connection.interest();
        match connection.stream() {
            Some(stream) => Ok(self.poller.add(stream, index as u64, connection.watched)?),
            None => Ok(()),
        }
    }

    fn reregister(&mut self, index: usize) -> Result<(), ConnectionError> {
        let connection = &mut self.connections[index];
        let interest = connection.interest();
        match connection.stream() {
            Some(stream) if interest != connection.watched => {
                self.poller.change(stream, index as u64, interest)?;
                connection.watched = interest;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn on_event(&mut self, index: usize) {
        match self.drive(index) {
            Ok(EventOutcome::Done) => {
                self.connections[index].close();
                self.open(index);
            }
            Ok(EventOutcome::Continues) => {}
            Err(error) => self.fail(index, error),
        }
    }

    /// Receives, counts, queues the next requests and sends them.
    fn drive(&mut self, index: usize) -> Result<EventOutcome, ConnectionError> {
        if self.connections[index].is_connecting() {
            if !self.connections[index].finish_connect()? {
                return Ok(EventOutcome::Continues);
            }
            self.count_connect(index);
        }
        let ReadOutcome { closed, now } = self.receive(index)?;
        let in_flight = self.connections[index].in_flight();
        if closed && in_flight > 0 {
            return Err(ConnectionError::from(ErrorClass::ClosedEarly));
        }
        if in_flight == 0 && (closed || self.model.reconnects()) {
            return Ok(EventOutcome::Done);
        }
        self.queue(index, now);
        self.send(index)?;
        self.reregister(index)?;
        Ok(EventOutcome::Continues)
    }

    /// Reads until there is no more, at most [`MAX_READS`] times, and counts replies.
    fn receive(&mut self, index: usize) -> Result<ReadOutcome, ConnectionError> {
        let mut now = 0;
        for _ in 0..MAX_READS {
            let (buffer, verifier) = (&mut self.buffer, &self.workload.verifier);
            let mut bytes = 0;
            let arrival = self.connections[index].receive(buffer, verifier, &mut bytes);
            now = self.timeline.now();
            self.end_intervals(now);
            if self.timeline.is_measuring(now) {
                self.measurement.count_received(bytes);
            }
            match arrival? {
                Arrival::Bytes { replies, more } => {
                    self.count_replies(index, replies, now);
                    self.connections[index].note_first_byte(verifier, now);
                    if !more {
                        break;
                    }
                }
                Arrival::Closed { replies } => {
                    self.count_replies(index, replies, now);
                    return Ok(ReadOutcome { closed: true, now });
                }
            }
        }
        Ok(ReadOutcome { closed: false, now })
    }

    /// Counts the replies to requests of the measurement, and those that arrive within it. A reply after the read timeout
    /// is an error, also if the search for overdue connections has not found it.
    pub(super) fn count_replies(&mut self, index: usize, replies: usize, now: u64) {
        if replies == 0 {
            return;
        }
        self.last_end = now;
        self.outstanding = self.outstanding.saturating_sub(replies as u64);
        if self.timeline.phase == BenchPhase::WarmUp {
            return self.connections[index].complete(replies, |_, _, _| {});
        }
        let (counts_from, arrivals_from) = (self.counts_from(), self.arrivals_from());
        let (measurement, timeline) = (&mut self.measurement, &self.timeline);
        let (from, is_late) = (timeline.measured_from, now >= timeline.measured_until);
        let limit = self.limits.read;
        self.connections[index].complete(replies, |due, count, first_byte| {
            let count = u64::from(count);
            if due + limit < now {
                let (errors, before) = if due >= counts_from { (count, 0) } else { (0, count) };
                measurement.failed_before += before;
                return measurement.count_errors(ErrorClass::Timeout, errors);
            }
            if due >= from {
                measurement.record_latency(due - from, now - due, count, !is_late);
                if let Some(time) = first_byte {
                    measurement.record_first_byte(time.saturating_sub(due), now - due);
                }
            }
            if due >= counts_from {
                *if is_late { &mut measurement.late } else { &mut measurement.requests } += count;
            }
            if due >= arrivals_from && !is_late {
                measurement.count_arrived(count);
            }
        });
    }

    /// Closes a connection, counts its requests in flight as errors, and backs off.
    ///
    /// A connection that fails while it has no requests is an error, too: the server has sent what nobody has asked for,
    /// for example. An attempt to connect without requests is none: in an open loop, they have still to become due.
    pub(super) fn fail(&mut self, index: usize, error: ConnectionError) {
        let counted = self.connections[index].in_flight_since(self.counts_from());
        let was_connected = self.connections[index].is_connected();
        let requests = self.connections[index].close() as u64;
        self.outstanding = self.outstanding.saturating_sub(requests);
        let now = self.timeline.now();
        self.last_end = now;
        if self.timeline.phase != BenchPhase::WarmUp {
            if !was_connected {
                self.measurement.connect_failure.get_or_insert(error.class);
            }
            let errors = if requests == 0 && was_connected { 1 } else { counted };
            self.measurement.failed_before += requests - counted;
            self.measurement.count_errors(error.class, errors);
            if self.measurement.example.is_none() {
                self.measurement.example = example(error);
            }
        }
        self.connections[index].retry_at = now + nanoseconds(BACKOFF);
        self.backing_off.push(index);
    }
}

/// The message of an error, if it says more than the class, and what a user can do about it.
fn example(error: ConnectionError) -> Option<String> {
    match error.class {
        ErrorClass::Other => error.message,
        ErrorClass::NoFreePort => error.message.map(|message| format!("{message}: {PORT_REMEDY}")),
        _ => None,
    }
}
