//! What the log says of a connection.

use std::fmt;
use std::time::Duration;

use log::{Level, debug, info, log, log_enabled, trace};

use super::close_reason::CloseReason;
use super::impairment::ImpairmentKind;
use super::millis::Millis;
use super::traffic::Traffic;
use crate::protocol::{Exchange, LogEvent, RequestRecord};

/// Bytes of a connection's input or output that one line of `-vvv` shows. Chosen so that the line fits a wide terminal.
const MAX_TRACED: usize = 64;

/// The label of a client in the log: the name of the protocol, a space, and the peer. A connection that was accepted
/// while nothing was logged has none until something is.
#[derive(Debug)]
pub struct ClientLabel(Option<Box<str>>);

impl fmt::Display for ClientLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("a client"))
    }
}

impl ClientLabel {
    /// The label with this text.
    #[must_use]
    pub fn new(text: Option<Box<str>>) -> Self {
        Self(text)
    }

    /// Its text.
    pub(super) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Whether the client has no label.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The listener of the client, by the name of its protocol: the pair `listener` of lines about a connection.
    #[must_use]
    pub fn listener(&self) -> Option<&str> {
        self.parts().map(|(listener, _)| listener)
    }

    /// The client as messages show it, with the balancer that has announced it: the pair `peer`.
    #[must_use]
    pub fn peer(&self) -> Option<&str> {
        self.parts().map(|(_, peer)| peer)
    }

    /// The name of a protocol contains no space.
    fn parts(&self) -> Option<(&str, &str)> {
        self.0.as_deref()?.split_once(' ')
    }

    /// The label of the peer before it has announced this client; `None` if the client is the peer.
    pub(super) fn before_announced(&self) -> Option<Self> {
        let (listener, peer) = self.parts()?;
        let (_, via) = peer.split_once(" via ")?;
        Some(Self(Some(format!("{listener} {via}").into())))
    }

    /// Logs that a connection, which has carried this `traffic`, closes at `now`.
    pub fn log_closed(&self, level: Level, reason: CloseReason, traffic: &Traffic, now: Millis) {
        if !log_enabled!(level) {
            return;
        }
        let (reason, summary) = (reason.name(), traffic.until(now));
        log!(
            level,
            listener = self.listener(),
            peer = self.peer(),
            reason = reason,
            duration = summary.duration,
            requests = summary.requests,
            bytes_in = summary.bytes_in,
            bytes_out = summary.bytes_out;
            "{self}: closed: {reason} {summary}"
        );
    }

    /// Logs what a call of the protocol did: its requests, and the bytes of its replies.
    pub(super) fn log_call(&self, exchange: &mut Exchange<'_>, took: Duration) {
        if log_enabled!(Level::Trace) {
            let parts = exchange.replies().into_iter().filter(|part| !part.is_empty());
            parts.for_each(|part| trace_bytes(self, "answered", part));
        }
        self.log_events(exchange.drain_log_events(), took);
    }

    /// Logs what the protocol reports of its requests.
    pub(super) fn log_events(&self, events: impl IntoIterator<Item = LogEvent>, took: Duration) {
        let (listener, peer, duration) = (self.listener(), self.peer(), took.as_secs_f64());
        for event in events {
            match event {
                LogEvent::Request(RequestRecord { action, length, refusal: None }) => debug!(
                    listener = listener, peer = peer, action = action, length = length, duration = duration;
                    "{self}: {action} of {length} bytes answered in {took:?}"
                ),
                LogEvent::Request(RequestRecord { action, length, refusal: Some(refusal) }) => debug!(
                    listener = listener, peer = peer, action = action, length = length, duration = duration,
                    refusal:% = refusal;
                    "{self}: {action} of {length} bytes refused in {took:?}: {refusal}"
                ),
                LogEvent::Protocol(text) => self.info(text),
            }
        }
    }

    /// Logs at `-v` that an impairment has acted on the connection for the first time, when `sent` bytes had been sent.
    pub fn log_impaired(&self, kind: ImpairmentKind, sent: u64) {
        let kind = kind.name();
        info!(
            listener = self.listener(), peer = self.peer(), impairment = kind, bytes_out = sent;
            "{self}: impaired by {kind}, {sent} bytes sent"
        );
    }

    /// Logs a line about the connection at `-v`.
    pub fn info(&self, message: impl fmt::Display) {
        info!(listener = self.listener(), peer = self.peer(); "{self}: {message}");
    }
}

/// Logs bytes, escaped: as they are, a client could forge lines with them.
pub(super) fn trace_bytes(label: &ClientLabel, what: &str, bytes: &[u8]) {
    let ellipsis = if bytes.len() > MAX_TRACED { "..." } else { "" };
    let shown = bytes[..bytes.len().min(MAX_TRACED)].escape_ascii();
    trace!(
        listener = label.listener(), peer = label.peer(), length = bytes.len();
        "{label}: {what} {} bytes: {shown}{ellipsis}", bytes.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_has_the_listener_and_the_peer() {
        let label = ClientLabel(Some("frame 192.0.2.10:56324 via 10.0.0.5:41234".into()));
        assert_eq!(label.listener(), Some("frame"));
        assert_eq!(label.peer(), Some("192.0.2.10:56324 via 10.0.0.5:41234"));
        let peer = label.before_announced().expect("an announced client");
        assert_eq!((peer.to_string(), peer.before_announced().is_none()), ("frame 10.0.0.5:41234".into(), true));
        let none = ClientLabel(None);
        assert_eq!((none.listener(), none.peer(), none.to_string()), (None, None, "a client".into()));
    }
}
