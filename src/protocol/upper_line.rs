//! `upper-line`: one line back, without white space at its ends and in ASCII upper case, then closes.
//!
//! A line ends with a newline, or where the client ends its side. What has arrived of it is changed at once, where it
//! stands, so that no call has more work than what is new in it.

use super::{Ending, Env, Need, Protocol, Step, Turn, chunk};

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpperLine {
    /// So many bytes at the front of the input hold no newline, and are in upper case.
    scanned: usize,
}

impl Protocol for UpperLine {
    fn advance(&mut self, turn: &mut Turn<'_>, env: &mut Env<'_>) -> Step {
        let rest = turn.rest();
        let fresh = &mut rest[self.scanned..];
        fresh.make_ascii_uppercase();
        let newline = fresh.iter().position(|byte| *byte == b'\n').map(|found| self.scanned + found);
        self.scanned = newline.unwrap_or(rest.len());
        if !env.limits.allow(self.scanned, Need { input: self.scanned, ..Need::default() }) {
            return Step::Close(Ending::Violation("line too long"));
        }
        let Some(newline) = newline else { return Step::More(Need::default()) };
        chunk::answer_stripped(turn, "upper-line", newline);
        Step::Close(Ending::Done)
    }

    fn end(&mut self, turn: &mut Turn<'_>, _env: &mut Env<'_>) {
        let length = turn.rest().len();
        chunk::answer_stripped(turn, "upper-line", length);
    }
}
