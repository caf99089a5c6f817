//! Why a connection closed: the word under which every close is counted and logged.

use std::io;

use serde::{Deserialize, Serialize};

/// Why a connection closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum CloseReason {
    /// The client half-closed, and has every reply.
    Finished,
    /// The protocol closes after its reply.
    Served,
    /// The client half-closed in the middle of a request.
    Truncated,
    /// The client violated the protocol.
    Violation,
    /// The client has gone: ECONNRESET, EPIPE and the like.
    Reset,
    /// No request was in progress for the idle timeout.
    IdleTimeout,
    /// A request did not become complete within the request timeout.
    RequestTimeout,
    /// The client took nothing of its replies within the write timeout.
    WriteTimeout,
    /// The client took its replies more slowly than `--min-rate` while other connections waited for memory.
    MinRate,
    /// The server stops, and no request was in progress.
    Stopped,
    /// The server stops at once, or the drain timeout has expired.
    Forced,
    /// There were too many connections from the client's source.
    SourceLimit,
    /// New connections came too fast from the client's source.
    RateLimit,
    /// The access lists deny the client's address.
    Denied,
    /// The bytes in front of the protocol were no PROXY header, or it was incomplete when the client half-closed.
    ProxyHeader,
    /// The PROXY header was not complete in time.
    ProxyTimeout,
    /// The peer may not announce clients by PROXY headers.
    ProxyUntrusted,
    /// An impairment of its listener has cut, reset or refused the connection.
    Impaired,
    /// The system lacks what the connection needs: memory, a place in epoll.
    Resources,
    /// The predecessor handed the connection over, and its state or its socket was missing or invalid.
    HandoverFailed,
    /// The socket failed in another way.
    Failed,
}

impl CloseReason {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 21] = [
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
        Self::RateLimit,
        Self::Denied,
        Self::ProxyHeader,
        Self::ProxyTimeout,
        Self::ProxyUntrusted,
        Self::Impaired,
        Self::Resources,
        Self::HandoverFailed,
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
            Self::RateLimit => "rate-limit",
            Self::Denied => "denied",
            Self::ProxyHeader => "proxy-header",
            Self::ProxyTimeout => "proxy-timeout",
            Self::ProxyUntrusted => "proxy-untrusted",
            Self::Impaired => "impaired",
            Self::Resources => "resources",
            Self::HandoverFailed => "handover-failed",
            Self::Failed => "failed",
        }
    }

    /// The reason for a close after an error of the client's socket.
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
    fn every_reason_is_written_down_by_its_name() {
        for reason in CloseReason::ALL {
            assert_eq!(serde_json::to_value(reason).expect("JSON"), reason.name());
        }
    }

    #[test]
    fn every_reason_has_its_own_place_and_name() {
        for (place, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(place, reason as usize);
            assert_eq!(CloseReason::ALL.iter().filter(|other| other.name() == reason.name()).count(), 1);
        }
    }
}
