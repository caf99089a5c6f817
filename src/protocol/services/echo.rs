//! `echo`: every byte back, unchanged and in order (RFC 862).

use crate::protocol::{Env, Need, Protocol, Step, Turn, chunk};

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Protocol for Echo {
    fn advance(&mut self, turn: &mut Turn<'_>, _env: &mut Env<'_>) -> Step {
        let length = turn.rest().len();
        if length > 0 {
            turn.answer_in_place(length);
            chunk::count(turn, "echo", length);
        }
        Step::More(Need::default())
    }

    fn copies(&self) -> bool {
        true
    }
}
