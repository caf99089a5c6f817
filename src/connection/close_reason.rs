//! Why a connection ended: the one word that every close is counted and logged under.

use std::io;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CloseReason {
    /// The client ended its side and has every answer.
    Finished,
    /// The service is one that closes after its answer.
    Served,
    /// The client ended its side in the middle of a request.
    Truncated,
    /// The client broke the protocol.
    Violation,
    /// The client went away: reset, broken pipe.
    Reset,
    /// Nothing was asked for too long.
    IdleTimeout,
    /// A request was begun and did not become complete.
    RequestTimeout,
    /// The client did not take its answer.
    WriteTimeout,
    /// The client took its answer too slowly while others waited for the memory that the answer held.
    MinRate,
    /// The daemon stops, and nothing was owed.
    Stopped,
    /// The daemon stops at once, or the drain time is over.
    Forced,
    /// Too many connections from one address.
    SourceLimit,
    /// The system refused what the connection needs (memory, a place in epoll).
    Resources,
    /// Any other error of the socket.
    Failed,
}

impl CloseReason {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 14] = [
        Self::Finished,
        Self::Served,
        Self::Truncated,
        Self::Violation,
        Self::Reset,
        Self::IdleTimeout,
        Self::RequestTimeout,
        Self::WriteTimeout,
        Self::MinRate,
        Self::Stopped,
        Self::Forced,
        Self::SourceLimit,
        Self::Resources,
        Self::Failed,
    ];

    /// The word for it in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Served => "served",
            Self::Truncated => "truncated",
            Self::Violation => "violation",
            Self::Reset => "reset",
            Self::IdleTimeout => "idle-timeout",
            Self::RequestTimeout => "request-timeout",
            Self::WriteTimeout => "write-timeout",
            Self::MinRate => "min-rate",
            Self::Stopped => "stopped",
            Self::Forced => "forced",
            Self::SourceLimit => "source-limit",
            Self::Resources => "resources",
            Self::Failed => "failed",
        }
    }

    /// The reason that an error of the client's socket is.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut => Self::Reset,
            io::ErrorKind::OutOfMemory => Self::Resources,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CloseReason;

    #[test]
    fn every_reason_has_its_own_place_and_name() {
        for (place, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(place, reason as usize);
            assert_eq!(CloseReason::ALL.iter().filter(|other| other.name() == reason.name()).count(), 1);
        }
    }
}
