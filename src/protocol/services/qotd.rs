//! `qotd`: one quote, chosen at random, then closes (RFC 865).
//!
//! Quotes come from a file in the form that fortune(6) reads: each ends at a line that is a single `%`, or with the
//! file. This module parses the text of such a file; whoever starts the service reads the file.

use crate::protocol::contract::{CallContext, CloseCause, Exchange, Progress, Protocol};
use std::sync::Arc;

use crate::protocol::chunk;
use crate::protocol::settings::ProtocolSettings;
use crate::transform::RandomSource;

/// The server's side of a connection.
#[derive(Clone, Debug)]
pub struct Qotd {
    quotes: Arc<[String]>,
}

impl Qotd {
    /// Chooses from the quotes in `settings`.
    #[must_use]
    pub fn new(settings: &ProtocolSettings) -> Self {
        Self { quotes: Arc::clone(&settings.quotes) }
    }
}

impl Protocol for Qotd {
    fn open(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        if !self.quotes.is_empty() {
            let chosen = context.random.next_request().below(self.quotes.len());
            exchange.reply(self.quotes[chosen].as_bytes());
            chunk::count(exchange, "qotd", 0);
        }
        Progress::Close(CloseCause::Complete)
    }

    fn process(&mut self, _exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        Progress::Close(CloseCause::Complete)
    }
}
