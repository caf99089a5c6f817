//! `upper`: the first chunk back, without white space at its ends and in ASCII upper case, then closes.

use crate::protocol::{Ending, Env, Need, Protocol, Step, Turn, chunk};

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upper;

impl Protocol for Upper {
    fn advance(&mut self, turn: &mut Turn<'_>, _env: &mut Env<'_>) -> Step {
        let length = chunk::next(turn);
        if length == 0 {
            return Step::More(Need::default());
        }
        turn.rest()[..length].make_ascii_uppercase();
        chunk::answer_stripped(turn, "upper", length);
        Step::Close(Ending::Done)
    }
}
