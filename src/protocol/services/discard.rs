//! `discard`: takes whatever comes and answers nothing (RFC 863).

use crate::protocol::{Env, Need, Protocol, Step, Turn};

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Protocol for Discard {
    fn advance(&mut self, turn: &mut Turn<'_>, _env: &mut Env<'_>) -> Step {
        let length = turn.rest().len();
        turn.take(length);
        Step::More(Need::default())
    }

    fn copies(&self) -> bool {
        true
    }
}
