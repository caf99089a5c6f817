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

/// One period of the pattern.
static PATTERN: [u8; PERIOD] = pattern();

const fn pattern() -> [u8; PERIOD] {
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
    /// Index of the next byte in [`PATTERN`].
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

    fn generate(&mut self, exchange: &mut Exchange<'_>) {
        while exchange.remaining() > 0 {
            let line = &PATTERN[self.position..];
            let length = line.len().min(exchange.remaining());
            exchange.reply(&line[..length]);
            self.position = (self.position + length) % PERIOD;
        }
    }

    fn rewind(&mut self, unsent: usize) {
        self.position = (self.position + PERIOD - unsent % PERIOD) % PERIOD;
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

    fn generate(chargen: &mut Chargen, reply_space: usize) -> Vec<u8> {
        let mut reply_buf = vec![0; reply_space];
        let mut exchange = Exchange::new(&mut [], &mut reply_buf);
        chargen.generate(&mut exchange);
        exchange.replies().concat()
    }

    #[test]
    fn lines_are_those_of_the_rfc() {
        let mut lines = PATTERN.split_inclusive(|byte| *byte == b'\n');
        let first = br##" !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefg"##;
        assert_eq!(lines.next().unwrap(), [&first[..], b"\r\n"].concat());
        assert!(lines.next().unwrap().ends_with(b"bcdefgh\r\n"));
        assert!(PATTERN.ends_with(b"abcdef\r\n"));
        assert!(lines.all(|line| line.len() == LINE));
    }

    #[test]
    fn pieces_of_any_size_form_one_pattern() {
        let mut chargen = Chargen::default();
        let expect: Vec<u8> = PATTERN.iter().cycle().copied().take(3 * PERIOD).collect();
        let mut got = Vec::new();
        for reply_space in [1, 73, 74, 5000, PERIOD, 4096].into_iter().cycle() {
            got.extend(generate(&mut chargen, reply_space));
            if got.len() >= expect.len() {
                break;
            }
        }
        assert_eq!(got[..expect.len()], expect);
    }

    #[test]
    fn unsent_bytes_are_generated_again() {
        for unsent in [0, 1, 100, PERIOD, 2 * PERIOD + 3] {
            let mut chargen = Chargen::default();
            let first = generate(&mut chargen, 3 * PERIOD);
            chargen.rewind(unsent);
            let again = generate(&mut chargen, unsent);
            assert_eq!(first[first.len() - unsent..], again, "{unsent}");
        }
    }
}
