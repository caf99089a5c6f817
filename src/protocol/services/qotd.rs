//! `qotd`: sends one quote, chosen at random, then closes (RFC 865).
//!
//! The quotes are a part of [`ProtocolSettings`].

use std::sync::Arc;

use crate::protocol::client_side::ClientSide;
use crate::protocol::contract::{CallContext, CloseCause, Exchange, Progress, Protocol};
use crate::protocol::example::{Example, Reply};
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};
use crate::protocol::opening;
use crate::protocol::settings::ProtocolSettings;
use crate::transform::RandomSource;

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "qotd",
    port: Some(17),
    summary: "a quote, then close",
    rfc: Some(865),
    input: Input::Ignored,
    socket_unit: SocketUnit { port: 17, description: "Quote of the day, RFC 865" },
    new: |settings, _| Box::new(Qotd::new(settings)),
    client: ClientSide::DEFAULT,
    examples: &[
        // 512 characters of four bytes
        Example::spoken("a quote", Reply::Form { start: b"", end: b"\n", lengths: (2, 2048) }),
    ],
    try_it: "nc localhost {port} < /dev/null",
};

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
        if self.quotes.is_empty() {
            return Progress::Close(CloseCause::Complete);
        }
        let chosen = context.random.next_request().below(self.quotes.len());
        opening::reply_and_close(exchange, "qotd", self.quotes[chosen].as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::test_util::{Config, DEFAULT, run};

    #[test]
    fn every_quote_is_chosen_sometimes() {
        let quotes = ["one", "two", "three"].map(str::to_owned);
        let replies: Vec<_> =
            (0..100).map(|seed| run("qotd", &[], Config { seed, quotes: &quotes, ..DEFAULT }).replies).collect();
        assert!(quotes.iter().all(|quote| replies.iter().any(|reply| reply == quote.as_bytes())));
    }
}
