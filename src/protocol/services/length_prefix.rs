//! `length-prefix`: each message back in the form in which it came, its length in four bytes and then itself.
//!
//! A message is answered when it is there whole, and where it stands: each answer is all that was taken, so they
//! follow one another without gaps. A message over the limit ends the connection.

use crate::protocol::contract::{CallContext, CloseCause, Exchange, Needed, Progress, Protocol, RequestRecord};

/// Bytes of the length.
pub const PREFIX: usize = 4;

/// A connection; its unread input is all its state.
#[derive(Clone, Copy, Debug, Default)]
pub struct LengthPrefix;

impl Protocol for LengthPrefix {
    fn process(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        while let Some(prefix) = exchange.input().first_chunk::<PREFIX>() {
            let length = u32::from_be_bytes(*prefix) as usize;
            let needed = Needed { request_len: length.saturating_add(PREFIX), ..Needed::default() };
            if !context.limits.allow(length, needed) {
                return Progress::Close(CloseCause::ProtocolError("message longer than the limit"));
            }
            if exchange.input().len() < needed.request_len {
                return Progress::NeedInput(needed);
            }
            exchange.reply_in_place(needed.request_len);
            exchange.count_request(RequestRecord { action: "length-prefix", length, refused: false });
        }
        Progress::NeedInput(Needed::default())
    }
}
