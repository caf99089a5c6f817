//! The resources that a protocol gets for the time of one call.

use super::progress::Needed;
use super::refusal::{MAX_MESSAGE, Refusal};
use super::rng::RequestRng;

/// Random numbers, time and limits of one call.
pub struct CallContext<'a> {
    /// The random source for shuffle, random and qotd.
    pub random: &'a mut RequestRng,
    /// Returns the time of day, in seconds since 1970-01-01 00:00 UTC.
    pub unix_time: fn() -> u64,
    /// The limits of one request.
    pub limits: RequestLimits,
    /// Whether the call may take long. False on the event loop: long work must be returned as
    /// [`Progress::Offload`](super::Progress::Offload) there.
    pub may_block: bool,
}

/// Limits of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Maximum length of a message, in bytes.
    pub message: usize,
    /// Maximum memory of a request and its reply together, in bytes.
    pub memory: usize,
    /// Maximum length of a line without its newline, in bytes, where a request is a line; `None`: that of a message.
    pub line: Option<usize>,
}

impl RequestLimits {
    /// Checks whether a message of `length` bytes whose request takes `needed` is within the limits.
    ///
    /// # Errors
    /// The limit that it exceeds.
    #[inline]
    pub fn check(&self, length: usize, needed: Needed) -> Result<(), Refusal> {
        if length > self.message {
            return Err(if length > MAX_MESSAGE { Refusal::LongerThanProtocol } else { Refusal::MessageTooLong });
        }
        if needed.memory() > self.memory {
            return Err(Refusal::TooMuchMemory);
        }
        Ok(())
    }

    /// Length of the longest line without its newline, in bytes.
    #[must_use]
    pub fn max_line(&self) -> usize {
        self.line.unwrap_or(self.message).min(self.memory)
    }

    /// Checks whether a line of `length` bytes is within the limits.
    ///
    /// # Errors
    /// The limit that it exceeds.
    pub fn check_line(&self, length: usize) -> Result<(), Refusal> {
        match self.line {
            Some(max) if length > max => return Err(Refusal::LineTooLong),
            None => self.check(length, Needed::default())?,
            Some(_) => {}
        }
        if length > self.memory { Err(Refusal::TooMuchMemory) } else { Ok(()) }
    }
}
