//! The layer over a stream.

use std::io::{self, IoSlice, Read, Write};

use super::kind::{Fault, ImpairmentKind, Kinds};
use super::saved::SavedImpairment;
use super::state::{End, Impairment};
use crate::connection::millis::Millis;
use crate::connection::stream::{Interest, SentBack, Stream};

/// A stream that may be impaired. Without an impairment every call costs one branch.
///
/// The contract of its caller, beside that of [`Connection`](crate::connection::Connection):
///
/// 1. [`Impaired::begin_call`] before each call of the connection, and before [`Impaired::send_due`].
/// 2. [`Impaired::send_due`] at [`Impaired::deadline`], and when the stream has room for output.
/// 3. After each of these, if [`Impaired::end`] returns a fault:
///    [`Connection::on_fault`](crate::connection::Connection::on_fault). The stream is to be watched for
///    [`Impaired::interest`], in place of that of the connection.
#[derive(Debug)]
pub struct Impaired<S> {
    stream: S,
    impairment: Option<Box<Impairment>>,
}

impl<S> Impaired<S> {
    /// The stream with its impairment.
    pub fn new(stream: S, impairment: Option<Impairment>) -> Self {
        Self { stream, impairment: impairment.map(Box::new) }
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream, to be changed.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream alone if it is not impaired: a call of the connection with it does not look for an impairment again.
    #[inline]
    pub fn plain(&mut self) -> Option<&mut S> {
        if self.impairment.is_none() { Some(&mut self.stream) } else { None }
    }

    /// The stream alone; what is delayed is dropped.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Its impairment.
    #[must_use]
    pub fn impairment(&self) -> Option<&Impairment> {
        self.impairment.as_deref()
    }

    /// Impairs it in another way from now on: what is delayed is due at once, a stall ends, and bytes are counted anew.
    /// A stream that was cut or reset stays as it is.
    pub fn impair(&mut self, impairment: Option<Impairment>) {
        if self.end().is_some() {
            return;
        }
        let Some(old) = self.impairment.take() else {
            self.impairment = impairment.map(Box::new);
            return;
        };
        let mut new = impairment.unwrap_or_else(|| Impairment::unimpaired(&old.budget, old.now));
        new.take_over(*old);
        self.impairment = Some(Box::new(new)).filter(|new| !new.is_over());
    }

    /// A call begins at `now`, which never goes back. A connection may have at most `max_delayed` bytes delayed.
    #[inline]
    pub fn begin_call(&mut self, now: Millis, max_delayed: usize) {
        if let Some(impairment) = &mut self.impairment {
            impairment.begin_call(now, max_delayed);
        }
    }

    /// When to call [`Impaired::send_due`]; [`Millis::NEVER`] without a timer.
    #[inline]
    #[must_use]
    pub fn deadline(&self) -> Millis {
        let Some(impairment) = &self.impairment else { return Millis::NEVER };
        let read = if impairment.is_throttled() { impairment.next_read } else { Millis::NEVER };
        impairment.next_send().min(read)
    }

    /// When the next byte that is held back, or the end of the output, will be sent: [`Millis::NEVER`] if none is, or if
    /// that does not depend on a time.
    #[inline]
    #[must_use]
    pub fn next_send(&self) -> Millis {
        self.impairment.as_ref().map_or(Millis::NEVER, |impairment| impairment.next_send())
    }

    /// Whether output, or its end, waits for this server: for [`Impaired::next_send`], or for ever after a stall.
    #[inline]
    #[must_use]
    pub fn holds_back(&self) -> bool {
        self.impairment.as_ref().is_some_and(|impairment| impairment.holds_back())
    }

    /// Whether bytes, or the end of the output, are delayed.
    pub(in crate::connection) fn has_output(&self) -> bool {
        self.impairment.as_ref().is_some_and(|impairment| impairment.has_output())
    }

    /// The events to watch for, for a connection that waits for `wanted`.
    #[inline]
    #[must_use]
    pub fn interest(&self, wanted: Interest) -> Interest {
        let Some(impairment) = &self.impairment else { return wanted };
        let write = impairment.is_blocked && !impairment.has_met_fault || wanted.write && impairment.takes_output();
        Interest { read: wanted.read && !impairment.is_throttled(), write }
    }

    /// The fault after which the connection is to be closed: it is cut or reset.
    #[inline]
    #[must_use]
    pub fn end(&self) -> Option<Fault> {
        let fault = self.impairment.as_ref()?.fault_met()?;
        (fault != Fault::Stall).then_some(fault)
    }

    /// The bytes that were sent to the client since it was impaired in this way.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.impairment.as_ref().map_or(0, |impairment| impairment.sent)
    }

    /// The kinds of impairments that have acted for the first time since the last call of this.
    #[inline]
    pub fn take_acted(&mut self) -> impl Iterator<Item = ImpairmentKind> + use<S> {
        self.impairment.as_mut().map_or(Kinds::default(), |impairment| impairment.take_acted()).iter()
    }

    /// All of the impairment but [`Impaired::delayed_bytes`].
    #[must_use]
    pub fn save(&self) -> Option<SavedImpairment> {
        self.impairment.as_ref().map(|impairment| impairment.save())
    }

    /// The bytes that are delayed, in parts.
    pub fn delayed_bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.impairment.iter().flat_map(|impairment| impairment.queue.bytes())
    }
}

impl<S: Stream> Impaired<S> {
    /// Sends what is due, as far as one call may.
    ///
    /// # Errors
    /// When the client has gone: [`Connection::on_stream_error`](crate::connection::Connection::on_stream_error).
    pub fn send_due(&mut self) -> io::Result<()> {
        let Some(impairment) = &mut self.impairment else { return Ok(()) };
        let result = impairment.flush(&mut self.stream);
        if impairment.is_over() {
            self.impairment = None;
        }
        result
    }
}

impl Impairment {
    /// Reads as much as the rate allows.
    fn read_into<S: Read>(&mut self, stream: &mut S, into: &mut [u8]) -> io::Result<usize> {
        self.read(into.len(), |most| stream.read(&mut into[..most]))
    }

    /// Takes output, and sends what is due.
    fn write<S: Stream>(&mut self, stream: &mut S, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut taken = 0;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            match self.take(part) {
                Ok(n) => taken += n,
                Err(error) if taken == 0 => return Err(error),
                Err(_) => break,
            }
        }
        self.flush(stream)?;
        Ok(taken)
    }
}

impl<S: Read> Read for Impaired<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let stream = &mut self.stream;
        match &mut self.impairment {
            None => stream.read(into),
            Some(impairment) => impairment.read_into(stream, into),
        }
    }
}

impl<S: Stream> Write for Impaired<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.impairment {
            None => self.stream.write(bytes),
            Some(impairment) => impairment.write(&mut self.stream, &[IoSlice::new(bytes)]),
        }
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.impairment {
            None => self.stream.write_vectored(parts),
            Some(impairment) => impairment.write(&mut self.stream, parts),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Stream> Stream for Impaired<S> {
    fn shutdown_write(&mut self) -> io::Result<()> {
        match &mut self.impairment {
            None => self.stream.shutdown_write(),
            Some(impairment) => {
                impairment.end_output();
                impairment.flush(&mut self.stream)
            }
        }
    }

    fn unacknowledged(&self) -> Option<usize> {
        let below = self.stream.unacknowledged();
        let Some(impairment) = &self.impairment else { return below };
        let end = matches!(impairment.end, End::Delayed(_) | End::Slow(_));
        let delayed = impairment.queue.len() + usize::from(end);
        if delayed == 0 { below } else { Some(below.unwrap_or(0) + delayed) }
    }

    fn discard(&mut self, n: usize) -> Option<io::Result<usize>> {
        let stream = &mut self.stream;
        let Some(impairment) = &mut self.impairment else { return stream.discard(n) };
        let mut can_discard = true;
        let result = impairment.read(n, |most| {
            stream.discard(most).unwrap_or_else(|| {
                can_discard = false;
                Ok(0)
            })
        });
        can_discard.then_some(result)
    }

    fn send_back(&mut self, n: usize) -> Option<io::Result<SentBack>> {
        if self.impairment.is_none() { self.stream.send_back(n) } else { None }
    }

    fn send_held(&mut self, n: usize) -> io::Result<usize> {
        self.stream.send_held(n)
    }

    fn take_held(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.take_held(into)
    }

    #[inline]
    fn last_held(&self) -> Millis {
        self.impairment.as_ref().map_or(Millis::ZERO, |impairment| impairment.last_held())
    }

    #[inline]
    fn delays_end(&self) -> bool {
        self.impairment.as_ref().is_some_and(|impairment| impairment.delays_end())
    }
}
