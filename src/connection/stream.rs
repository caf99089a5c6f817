//! What a connection reads from and writes to.

use std::io::{self, Read, Write};

use super::millis::Millis;

/// A non-blocking byte stream to one client: both directions return [`WouldBlock`](io::ErrorKind::WouldBlock) when they
/// cannot move a byte.
pub trait Stream: Read + Write {
    /// Half-closes: the client sees the end of input after the last reply (shutdown(2) with `SHUT_WR`).
    ///
    /// # Errors
    /// When the client has gone.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Bytes that were written and that the client's kernel has not acknowledged (`SIOCOUTQ`, tcp(7)); the end of the
    /// output counts as one. `None` where that cannot be known.
    fn unacknowledged(&self) -> Option<usize>;

    /// Reads at most `n` bytes without copying them, and drops them; 0 is the end of input. `None` where the stream
    /// cannot do that: then [`Read::read`] has to do.
    fn discard(&mut self, _n: usize) -> Option<io::Result<usize>> {
        None
    }

    /// Sends at most `n` received bytes back without copying them. Those that the client has no room for stay in the
    /// stream, and the caller must not read or write before all of them are [sent](Stream::send_held). `None` where the
    /// stream cannot do that, or not now.
    fn send_back(&mut self, _n: usize) -> Option<io::Result<SentBack>> {
        None
    }

    /// Sends at most `n` of the bytes that [`Stream::send_back`] has left in the stream.
    ///
    /// # Errors
    /// As [`Write::write`].
    fn send_held(&mut self, _n: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes bytes that [`Stream::send_back`] has left out of the stream, in place of sending them.
    ///
    /// # Errors
    /// When it has none.
    fn take_held(&mut self, _into: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The last moment at which output, or its end, or input waited for this server by its own choice, not for the
    /// client: the moment of the call if something does now. [`Millis::ZERO`] where nothing ever does.
    fn last_held(&self) -> Millis {
        Millis::ZERO
    }

    /// Whether the end of the output, and what was written before, reaches the client only if the stream stays open:
    /// the stream sends it later by its own choice.
    fn delays_end(&self) -> bool {
        false
    }
}

/// What [`Stream::send_back`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentBack {
    /// Bytes that were received; 0 at the end of the input.
    pub received: usize,
    /// Bytes of them that were sent.
    pub sent: usize,
}

/// What a connection waits for from its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Input, or its end.
    pub read: bool,
    /// Room for output.
    pub write: bool,
}
