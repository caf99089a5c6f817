//! `frame-2021`: `frame` with the action codes of the 2021 edition.

use crate::protocol::contract::{CallContext, Exchange, Progress, Protocol};
use crate::protocol::framed_text::{self, Framing};
use crate::protocol::services::frame::{self, Binary, Edition};

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame2021;

impl Protocol for Frame2021 {
    fn process(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        frame::process(Edition::Of2021, exchange, context)
    }

    fn on_skipped(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {
        exchange.reply(Binary::ERROR_REPLY);
    }

    fn on_eof(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {
        framed_text::truncated::<Binary>(exchange);
    }
}
