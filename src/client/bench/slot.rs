//! One connection of a benchmark: its socket, what it still has to send, and what it waits for.
//!
//! Owns the bookkeeping of requests under way. Guarantees: each request is either answered or failed, once. Does not
//! decide when requests are made, nor count.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use super::judge::{Judge, Track};
use super::tally::Trouble;
use crate::sys::Interest;

/// A connection, or the place of one.
#[derive(Debug, Default)]
pub struct Slot {
    stream: Option<TcpStream>,
    connected: bool,
    /// Our side has been ended.
    ended: bool,
    /// Bytes of requests still to be sent.
    to_send: usize,
    /// Bytes of the request being sent that have gone.
    phase: usize,
    /// Requests under way: when they were due (nanoseconds), and how many at that time.
    under_way: VecDeque<(u64, u32)>,
    outstanding: usize,
    track: Track,
    /// What the poller watches for.
    pub watched: Interest,
    /// Requests that are due and not yet under way (the open loop alone).
    pub waiting: VecDeque<u64>,
    /// Not to be connected before (nanoseconds).
    pub rest_until: u64,
}

/// What a read has brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// So many answers, and whether there may be more to read.
    Answers(usize, bool),
    /// The server has closed; so many answers were completed by that.
    Closed(usize),
}

impl Slot {
    /// Whether there is a socket.
    #[must_use]
    pub fn stream(&self) -> Option<&TcpStream> {
        self.stream.as_ref()
    }

    /// Whether the connection is not made yet.
    #[must_use]
    pub fn connecting(&self) -> bool {
        self.stream.is_some() && !self.connected
    }

    /// Requests under way.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// When the oldest request under way was due.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.under_way.front().map(|&(due, _)| due)
    }

    /// What to watch for.
    #[must_use]
    pub fn interest(&self) -> Interest {
        Interest { read: self.connected, write: !self.connected || self.to_send > 0 }
    }

    /// Takes a socket on which a connection has been begun.
    pub fn begin(&mut self, stream: TcpStream) {
        self.stream = Some(stream);
    }

    /// Whether the connection is made now; the error says why it never will be.
    pub fn settle(&mut self) -> io::Result<bool> {
        let Some(stream) = &self.stream else { return Ok(false) };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => self.connected = true,
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            Err(error) => return Err(error),
        }
        Ok(self.connected)
    }

    /// So many requests of `length` bytes each are under way from now on; they were due at this time.
    pub fn ask(&mut self, due: u64, requests: usize, length: usize) {
        self.to_send += requests * length;
        self.outstanding += requests;
        match self.under_way.back_mut() {
            Some((last, count)) if *last == due => *count += requests as u32,
            _ => self.under_way.push_back((due, requests as u32)),
        }
    }

    /// Sends what it can, which on a connection that is still being made is nothing. `batch` is the request, repeated; `ends` tells the server that there is no more.
    pub fn send(&mut self, batch: &[u8], length: usize, ends: bool) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        while self.to_send > 0 {
            // All requests are the same: any one in the batch continues the one that was begun.
            let end = batch.len().min(self.phase + self.to_send);
            match stream.write(&batch[self.phase..end]) {
                Ok(n) => {
                    self.connected = true;
                    self.to_send -= n;
                    self.phase = (self.phase + n) % length;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if ends && self.connected && !std::mem::replace(&mut self.ended, true) {
            stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// Reads once.
    pub fn receive(&mut self, buffer: &mut [u8], judge: &Judge, received: &mut u64) -> Result<Arrival, Loss> {
        let Some(stream) = &mut self.stream else { return Ok(Arrival::Answers(0, false)) };
        match stream.read(buffer) {
            Ok(0) => Ok(Arrival::Closed(judge.end(&mut self.track).map_err(Loss::of)?)),
            Ok(n) => {
                *received += n as u64;
                let answers = judge.take(&mut self.track, &buffer[..n]).map_err(Loss::of)?;
                if answers > self.outstanding {
                    return Err(Loss::from(Trouble::WrongLength));
                }
                Ok(Arrival::Answers(answers, n == buffer.len()))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Ok(Arrival::Answers(0, false))
            }
            Err(error) => Err(Loss::from(error)),
        }
    }

    /// So many requests have been answered: tells for each group when it was due.
    pub fn answered(&mut self, mut answers: usize, mut tell: impl FnMut(u64, u32)) {
        self.outstanding -= answers;
        while answers > 0 {
            let Some((due, count)) = self.under_way.front_mut() else { return };
            let taken = answers.min(*count as usize) as u32;
            tell(*due, taken);
            *count -= taken;
            answers -= taken as usize;
            if *count == 0 {
                self.under_way.pop_front();
            }
        }
    }

    /// Closes, and forgets what was under way; returns how many requests that were.
    pub fn close(&mut self) -> usize {
        let lost = self.outstanding;
        let (waiting, rest_until) = (std::mem::take(&mut self.waiting), self.rest_until);
        *self = Self { waiting, rest_until, ..Self::default() };
        lost
    }
}

/// Why a connection is lost.
#[derive(Debug)]
pub struct Loss {
    /// The kind.
    pub trouble: Trouble,
    /// The system's words.
    pub words: Option<String>,
}

impl Loss {
    fn of(wrong: super::judge::Wrong) -> Self {
        Self::from(Trouble::from(wrong))
    }
}

impl From<Trouble> for Loss {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, words: None }
    }
}

impl From<io::Error> for Loss {
    fn from(error: io::Error) -> Self {
        Self { trouble: Trouble::from(&error), words: Some(error.to_string()) }
    }
}
