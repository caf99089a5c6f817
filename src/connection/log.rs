//! What the log is told of a connection.

use std::time::Duration;

use log::{Level, debug, info, log_enabled, trace};

use super::{Connection, Label};
use crate::protocol::{Exchange, LogEvent};

/// Bytes of a connection's input or output that `-vvv` shows.
const SHOWN: usize = 64;

impl Connection {
    /// Tells what a turn did: its requests, and the bytes of its answers.
    pub(super) fn tell_turn(&self, exchange: &mut Exchange<'_>, took: Duration) {
        if log_enabled!(Level::Trace) {
            exchange
                .replies()
                .into_iter()
                .filter(|part| !part.is_empty())
                .for_each(|part| show(&self.label, "answered", part));
        }
        self.tell(exchange.drain_log_events(), took);
    }

    pub(super) fn tell(&self, notes: impl IntoIterator<Item = LogEvent>, took: Duration) {
        for note in notes {
            match note {
                LogEvent::Request(request) => debug!(
                    "{}: {} of {} bytes {} in {took:?}",
                    self.label,
                    request.action,
                    request.length,
                    if request.refused { "refused" } else { "answered" },
                ),
                LogEvent::Protocol(text) => info!("{}: {text}", self.label),
            }
        }
    }
}

/// What a client sent never reaches the log as it is: it could forge lines.
pub(super) fn show(label: &Label, what: &str, bytes: &[u8]) {
    let cut = if bytes.len() > SHOWN { "..." } else { "" };
    let shown = bytes[..bytes.len().min(SHOWN)].escape_ascii();
    trace!("{label}: {what} {} bytes: {shown}{cut}", bytes.len());
}
