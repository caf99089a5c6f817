//! One request and its reply on a connection.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::request::PingRequest;
use crate::client::client_protocol::ReplyFraming;
use crate::client::options::Timeouts;
use crate::client::reply::reader::ReplyReader;
use crate::sys::{Interrupts, Woken};

/// Bytes of a reply to read at once. Chosen: small, because the time to allocate the buffer is part of the round trip.
const READ_SIZE: usize = 4096;

/// The parts of one round trip.
pub struct PingExchange<'a> {
    /// The connection.
    pub stream: &'a TcpStream,
    /// The request.
    pub request: &'a PingRequest,
    /// The signals that end the wait.
    pub interrupts: &'a Interrupts,
    /// The most time that each step may take.
    pub timeouts: &'a Timeouts,
}

/// A reply.
pub struct PingReply {
    /// Its body.
    pub body: Vec<u8>,
    /// From before the request was sent until the reply was complete.
    pub time: Duration,
}

/// Why there is no correct reply.
pub enum NoReply {
    /// It is missing or wrong, for this reason.
    Lost(String),
    /// A signal arrived first.
    Interrupted,
}

impl PingExchange<'_> {
    /// Sends the request, and waits for its reply.
    pub fn run(&self) -> Result<PingReply, NoReply> {
        let started = Instant::now();
        self.send().map_err(NoReply::Lost)?;
        let mut reader = InterruptibleReader { exchange: self, started, interrupted: false };
        let reply = ReplyReader::with_buffer(&mut reader, READ_SIZE).next(
            self.request.framing,
            self.request.reply_limit,
            &mut || false,
        );
        match reply {
            _ if reader.interrupted => Err(NoReply::Interrupted),
            Ok(body) => Ok(PingReply { body, time: started.elapsed() }),
            Err(error) => Err(NoReply::Lost(error.to_string())),
        }
    }

    fn send(&self) -> Result<(), String> {
        let mut stream = self.stream;
        stream.set_write_timeout(Some(self.timeouts.write_timeout)).map_err(|error| error.to_string())?;
        stream.write_all(&self.request.wire).map_err(|error| format!("cannot send: {error}"))?;
        if self.request.framing == ReplyFraming::CloseDelimited {
            let _ = stream.shutdown(Shutdown::Write);
        }
        Ok(())
    }
}

/// Reads from the server until the read timeout has passed since the request was sent, or a signal arrives.
struct InterruptibleReader<'a> {
    exchange: &'a PingExchange<'a>,
    started: Instant,
    interrupted: bool,
}

impl Read for InterruptibleReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.exchange.timeouts.read_timeout.saturating_sub(self.started.elapsed());
        // Checked before the socket: one to which a server never stops sending is always readable.
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        let mut stream = self.exchange.stream;
        match self.exchange.interrupts.wait(Some(stream), left)? {
            Woken::Readable => stream.read(buffer),
            Woken::TimedOut => Err(ErrorKind::TimedOut.into()),
            Woken::Interrupted => {
                self.interrupted = true;
                Err(ErrorKind::TimedOut.into())
            }
        }
    }
}
