//! `chargen`: a rotating pattern of characters, for as long as the client reads (RFC 864).
//!
//! 95 lines of 72 characters, each line one character further on in printable ASCII, then again from the first.
//! What the client sends is dropped. The pattern is a constant; a connection keeps its place in it.

use crate::protocol::contract::{CallContext, Exchange, Needed, Progress, Protocol};

/// Printable ASCII, the space among it.
const CHARACTERS: usize = 95;
const COLUMNS: usize = 72;
const LINE: usize = COLUMNS + 2;

/// Bytes after which the pattern comes round.
pub const PERIOD: usize = CHARACTERS * LINE;

/// One round of the pattern.
pub static PATTERN: [u8; PERIOD] = pattern();

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

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chargen {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn produce(chargen: &mut Chargen, reply_space: usize) -> Vec<u8> {
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
    fn pieces_of_any_size_make_one_pattern() {
        let mut chargen = Chargen::default();
        let expect: Vec<u8> = PATTERN.iter().cycle().copied().take(3 * PERIOD).collect();
        let mut got = Vec::new();
        for reply_space in [1, 73, 74, 5000, PERIOD, 4096].into_iter().cycle() {
            got.extend(produce(&mut chargen, reply_space));
            if got.len() >= expect.len() {
                break;
            }
        }
        assert_eq!(got[..expect.len()], expect);
    }

    #[test]
    fn what_was_not_sent_is_produced_again() {
        for unsent in [0, 1, 100, PERIOD, 2 * PERIOD + 3] {
            let mut chargen = Chargen::default();
            let first = produce(&mut chargen, 3 * PERIOD);
            chargen.rewind(unsent);
            let again = produce(&mut chargen, unsent);
            assert_eq!(first[first.len() - unsent..], again, "{unsent}");
        }
    }
}
