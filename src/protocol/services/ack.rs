//! `ack`: says that the first chunk has arrived, then closes.

use crate::protocol::{Ending, Env, Need, Protocol, Step, Turn, chunk};

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ack;

impl Protocol for Ack {
    fn advance(&mut self, turn: &mut Turn<'_>, _env: &mut Env<'_>) -> Step {
        let length = chunk::next(turn);
        if length == 0 {
            return Step::More(Need::default());
        }
        turn.take(length);
        turn.answer(b"Message received!");
        chunk::count(turn, "ack", length);
        Step::Close(Ending::Done)
    }
}
