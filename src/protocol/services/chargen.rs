//! `chargen`: sends a rotating pattern of characters, for as long as the client reads (RFC 864).
//!
//! 95 lines of 72 characters; each line starts one character later in printable ASCII than the line before. Then the
//! pattern repeats. Input is dropped. The pattern is a constant, and a connection is an index into it.

#![allow(clippy::cast_possible_truncation, reason = "a remainder of CHARACTERS fits in a byte")]

use crate::protocol::client_side::{ClientSide, ConnectionUse};
use crate::protocol::contract::{
    CallContext, Exchange, InvalidState, Needed, Progress, Protocol, ProtocolState, Unconsumed,
};
use crate::protocol::example::{Example, Reply};
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "chargen",
    port: Some(19),
    summary: "a rotating pattern, for as long as the client reads",
    rfc: Some(864),
    input: Input::Ignored,
    socket_unit: SocketUnit { port: 19, description: "Character generator, RFC 864" },
    new: |_, _| Box::new(Chargen::default()),
    client: ClientSide { connection_use: ConnectionUse::Streaming, ..ClientSide::DEFAULT },
    examples: &[Example::spoken(
        "the first line",
        Reply::Form {
            start: br##" !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefg"##,
            end: b"\r\n",
            lengths: (74, 74),
        },
    )],
    try_it: "nc localhost {port} < /dev/null | head -5",
};

/// Number of printable ASCII characters, space included.
const CHARACTERS: usize = 95;
/// Characters per line (RFC 864).
const COLUMNS: usize = 72;
/// Length of a line with its line end, in bytes.
const LINE: usize = COLUMNS + 2;

/// Length after which the pattern repeats, in bytes.
const PERIOD: usize = CHARACTERS * LINE;

/// Periods in [`PATTERN`]. Derived: 256 KiB, more than one write of a connection, begin anywhere in the first one.
const REPETITIONS: usize = (256 * 1024_usize).div_ceil(PERIOD) + 1;

/// The pattern, repeated so that it is sent from here without copies.
static PATTERN: [[u8; PERIOD]; REPETITIONS] = [period(); REPETITIONS];

const fn period() -> [u8; PERIOD] {
    let mut bytes = [0; PERIOD];
    let mut at = 0;
    while at < PERIOD {
        bytes[at] = match at % LINE {
            COLUMNS => b'\r',
            column if column < COLUMNS => b' ' + ((at / LINE + column) % CHARACTERS) as u8,
            _ => b'\n',
        };
        at += 1;
    }
    bytes
}

/// The version of the saved state: the position in the pattern.
const VERSION: u32 = 1;

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chargen {
    /// Index of the next byte in the first period.
    position: usize,
}

impl Protocol for Chargen {
    fn process(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        let length = exchange.input().len();
        exchange.consume(length);
        Progress::NeedInput(Needed::default())
    }

    fn is_generator(&self) -> bool {
        true
    }

    fn generate(&self, most: usize) -> &[u8] {
        let bytes = &PATTERN.as_flattened()[self.position..];
        &bytes[..bytes.len().min(most)]
    }

    fn on_generated(&mut self, n: usize) {
        self.position = (self.position + n) % PERIOD;
    }

    fn save(&self) -> ProtocolState {
        ProtocolState::new(VERSION, [self.position as u64])
    }

    fn restore(&mut self, state: &ProtocolState, _unconsumed: Unconsumed<'_>) -> Result<(), InvalidState> {
        let [position] = state.values(VERSION)?;
        self.position = usize::try_from(position)
            .ok()
            .filter(|position| *position < PERIOD)
            .ok_or(InvalidState("the position is outside of the pattern"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate(chargen: &mut Chargen, most: usize) -> Vec<u8> {
        let bytes = chargen.generate(most).to_vec();
        chargen.on_generated(bytes.len());
        bytes
    }

    #[test]
    fn lines_are_those_of_the_rfc() {
        let mut lines = PATTERN[0].split_inclusive(|byte| *byte == b'\n');
        let first = br##" !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefg"##;
        assert_eq!(lines.next().unwrap(), [&first[..], b"\r\n"].concat());
        assert!(lines.next().unwrap().ends_with(b"bcdefgh\r\n"));
        assert!(PATTERN[0].ends_with(b"abcdef\r\n"));
        assert!(lines.all(|line| line.len() == LINE));
    }

    #[test]
    fn pieces_of_any_size_form_one_pattern() {
        let mut chargen = Chargen::default();
        let expect: Vec<u8> = PATTERN[0].iter().cycle().copied().take(3 * PERIOD).collect();
        let mut got = Vec::new();
        for most in [1, 73, 74, 5000, PERIOD, 4096].into_iter().cycle() {
            got.extend(generate(&mut chargen, most));
            if got.len() >= expect.len() {
                break;
            }
        }
        assert_eq!(got[..expect.len()], expect);
    }

    #[test]
    fn bytes_that_were_not_sent_are_generated_again() {
        let mut chargen = Chargen::default();
        generate(&mut chargen, 100);
        let again = chargen.generate(PERIOD).to_vec();
        chargen.on_generated(0);
        assert_eq!(chargen.generate(PERIOD), again);
        chargen.on_generated(1);
        assert_eq!(chargen.generate(PERIOD - 1), &again[1..]);
    }

    #[test]
    fn one_write_is_generated_from_every_position() {
        for position in [0, 1, PERIOD - 1] {
            assert_eq!(Chargen { position }.generate(256 * 1024).len(), 256 * 1024);
        }
    }
}
