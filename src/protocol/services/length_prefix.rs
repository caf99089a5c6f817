//! `length-prefix`: each message back in the form in which it came, its length in four bytes and then itself.
//!
//! A message is answered when it is there whole, and where it stands: each answer is all that was taken, so they
//! follow one another without gaps. A message over the limit ends the connection.

use crate::protocol::{Ending, Env, Need, Protocol, Request, Step, Turn};

/// Bytes of the length.
pub const PREFIX: usize = 4;

/// A connection; its unread input is all its state.
#[derive(Clone, Copy, Debug, Default)]
pub struct LengthPrefix;

impl Protocol for LengthPrefix {
    fn advance(&mut self, turn: &mut Turn<'_>, env: &mut Env<'_>) -> Step {
        while let Some(prefix) = turn.rest().first_chunk::<PREFIX>() {
            let length = u32::from_be_bytes(*prefix) as usize;
            let need = Need { input: length.saturating_add(PREFIX), ..Need::default() };
            if !env.limits.allow(length, need) {
                return Step::Close(Ending::Violation("message longer than the limit"));
            }
            if turn.rest().len() < need.input {
                return Step::More(need);
            }
            turn.answer_in_place(need.input);
            turn.request(Request { action: "length-prefix", length, refused: false });
        }
        Step::More(Need::default())
    }
}
