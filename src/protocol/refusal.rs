//! Why a request is refused, as the log names it.

use std::fmt;

/// The longest message that retortd takes in any protocol, in bytes. Derived: the header of `frame` has 27 bits for the
/// length.
pub const MAX_MESSAGE: usize = (1 << 27) - 1;

/// Why a request gets an error as its reply, or why the connection closes instead.
///
/// It takes two bytes and no memory of its own: a request is refused at the cost of a request that is answered. The text
/// is made only if it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The protocol has no action of this code.
    UnknownCode(u8),
    /// The protocol has no action of the name in the request.
    UnknownName,
    /// The message is not UTF-8.
    NotUtf8,
    /// The message is longer than [`RequestLimits::message`](super::RequestLimits::message).
    MessageTooLong,
    /// The message is longer than the maximum of `--max-message`.
    LongerThanProtocol,
    /// The line is longer than [`RequestLimits::line`](super::RequestLimits::line).
    LineTooLong,
    /// Request and reply may need more than [`RequestLimits::memory`](super::RequestLimits::memory).
    TooMuchMemory,
    /// The bytes are no header of a request in words.
    NoHeader,
    /// The client half-closed inside the request.
    Truncated,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::UnknownCode(code) => return write!(f, "action {code} does not exist"),
            Self::UnknownName => "no action has that name",
            Self::NotUtf8 => "the message is not UTF-8",
            Self::MessageTooLong => "the message is longer than the limit (--max-message)",
            Self::LongerThanProtocol => {
                return write!(f, "the message is longer than retortd allows in any protocol ({MAX_MESSAGE} bytes)");
            }
            Self::LineTooLong => "the line is longer than the limit (--max-line)",
            Self::TooMuchMemory => "request and reply may need more memory than one request gets (--max-buffered)",
            Self::NoHeader => "ACTION LENGTH MESSAGE was expected",
            Self::Truncated => "the client half-closed inside the request",
        };
        f.write_str(text)
    }
}
