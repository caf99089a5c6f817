//! The lines of the log that a connection begins and ends with.

use log::{Level, log_enabled};

use super::close_reason::CloseReason;
use super::first_input::FirstInput;
use super::impairment::ImpairmentKind;
use super::log::ClientLabel;
use super::millis::Millis;
use super::state::Connection;

impl Connection {
    /// The connection is open. Unless details are logged, the line about that is put off until the connection has
    /// carried a byte: a probe of a balancer has no lines then.
    pub(super) fn log_opened(&mut self) {
        if log_enabled!(Level::Debug) {
            self.log_accepted();
        }
    }

    /// Logs, once, that the connection was accepted, and that its peer has announced a client.
    #[inline]
    pub(super) fn log_accepted(&mut self) {
        if !self.is_logged {
            self.write_accepted();
        }
    }

    // not inlined: that would make every call of the driver longer
    #[cold]
    #[inline(never)]
    fn write_accepted(&mut self) {
        self.is_logged = true;
        match self.label.before_announced() {
            Some(peer) => {
                peer.info("accepted");
                self.label.info("announced");
            }
            None => self.label.info("accepted"),
        }
    }

    /// The peer has announced a client, which has this label. If the line about the peer is put off, so is that about
    /// the client.
    pub fn set_announced(&mut self, label: Option<Box<str>>) {
        self.label = ClientLabel::new(label);
        if self.is_logged {
            self.label.info("announced");
        }
    }

    /// Logs that the connection closes for `reason` at `now`; if it was a probe, as a detail.
    pub fn log_closed(&mut self, reason: CloseReason, now: Millis) {
        let level = if self.is_probe(reason) {
            Level::Debug
        } else {
            self.log_accepted();
            Level::Info
        };
        self.label.log_closed(level, reason, &self.traffic, now);
    }

    /// Logs that an impairment has acted on the connection for the first time, when `sent` bytes had been sent.
    pub fn log_impaired(&mut self, kind: ImpairmentKind, sent: u64) {
        self.log_accepted();
        self.label.log_impaired(kind, sent);
    }

    /// Whether the peer closes or resets a connection that has carried nothing but a PROXY header.
    fn is_probe(&self, reason: CloseReason) -> bool {
        let is_behind_header = matches!(self.first_input, FirstInput::AfterLocal | FirstInput::AfterClient);
        matches!(reason, CloseReason::Finished | CloseReason::Reset)
            && (self.traffic.is_none() || is_behind_header && !self.traffic.has_sent())
    }
}
