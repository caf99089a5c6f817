//! `echo-prefix`: each chunk back, behind `Echo: `.

use crate::protocol::chunk;
use crate::protocol::{Env, Need, Protocol, Step, Turn};

const PREFIX: &[u8] = b"Echo: ";

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoPrefix;

impl Protocol for EchoPrefix {
    fn advance(&mut self, turn: &mut Turn<'_>, _env: &mut Env<'_>) -> Step {
        loop {
            let length = chunk::next(turn);
            if length == 0 {
                return Step::More(Need::default());
            }
            if turn.room() < PREFIX.len() + length {
                return Step::Full;
            }
            let (rest, spare) = turn.rest_and_spare();
            spare[..PREFIX.len()].copy_from_slice(PREFIX);
            spare[PREFIX.len()..][..length].copy_from_slice(&rest[..length]);
            turn.take(length);
            turn.commit(PREFIX.len() + length);
            chunk::count(turn, "echo-prefix", length);
        }
    }
}
