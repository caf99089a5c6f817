//! `upper-line`: the first line back, without white space at its ends and in ASCII upper case, then closes.
//!
//! A line ends with a newline, or where the client ends its side. What has arrived of it is changed at once, where it
//! stands, and its white space noticed, so that no call has more work than what is new in it.

use crate::protocol::chunk;
use crate::protocol::contract::{CallContext, CloseCause, Exchange, Needed, Progress, Protocol};

/// From this length on a line has a buffer for all that it may become, in bytes; [`Needed::input`] asks for one then.
const LONG: usize = 2 * 1024;

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpperLine {
    /// Bytes at the front of the input that hold no newline, and are in upper case.
    scanned: usize,
    /// Of these, the white space at the front, and all up to the last byte that is none.
    start: usize,
    end: usize,
}

impl UpperLine {
    /// Looks at bytes of the line that come behind those that it knows.
    fn scan(&mut self, fresh: &mut [u8]) {
        fresh.make_ascii_uppercase();
        if let Some(last) = fresh.iter().rposition(|byte| !chunk::is_space(*byte)) {
            let first = fresh.iter().position(|byte| !chunk::is_space(*byte)).unwrap_or(last);
            self.start = if self.end == 0 { self.scanned + first } else { self.start };
            self.end = self.scanned + last + 1;
        }
        self.scanned += fresh.len();
    }

    fn answer(&self, exchange: &mut Exchange<'_>) {
        chunk::answer_part(exchange, "upper-line", self.scanned, self.start..self.end);
    }
}

impl Protocol for UpperLine {
    fn process(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        let fresh = &mut exchange.input()[self.scanned..];
        let newline = fresh.iter().position(|byte| *byte == b'\n');
        let length = newline.unwrap_or(fresh.len());
        self.scan(&mut fresh[..length]);
        if self.scanned > context.limits.line {
            return Progress::Close(CloseCause::ProtocolError("line too long"));
        }
        if newline.is_some() {
            self.answer(exchange);
            return Progress::Close(CloseCause::Complete);
        }
        let whole = if self.scanned < LONG { 0 } else { context.limits.line + 1 };
        Progress::NeedInput(Needed { request_len: whole, reply_capacity: 0, preprocessed: self.scanned })
    }

    fn on_eof(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {
        self.answer(exchange);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::test_util::{Config, DEFAULT, Outcome, run};

    fn limited(pieces: &[&[u8]], line: usize) -> Outcome {
        let limits = crate::protocol::RequestLimits { line, ..DEFAULT.limits };
        run("upper-line", pieces, Config { limits, ..DEFAULT })
    }

    #[test]
    fn white_space_is_left_out_however_the_line_is_cut() {
        for line in ["", " ", "  a", "a \t", " a b\x0b c ", "\r\n", " x\nrest"] {
            let whole = line.split('\n').next().unwrap().to_ascii_uppercase();
            let expect = whole.trim_matches([' ', '\t', '\x0b', '\r']);
            let pieces: Vec<&[u8]> = line.as_bytes().chunks(1).collect();
            assert_eq!(limited(&pieces, 100).replies, expect.as_bytes(), "{line:?}");
            assert_eq!(limited(&[line.as_bytes()], 100).replies, expect.as_bytes(), "{line:?}");
        }
    }

    #[test]
    fn the_limit_on_lines_is_exact() {
        assert_eq!(limited(&[b"abc", b"de\n"], 5).replies, b"ABCDE");
        assert_eq!(limited(&[b"abc", b"def\n"], 5).replies, b"");
        assert_eq!(limited(&[b"abcdef"], 5).replies, b"");
    }

    /// Fault 37: the last byte of a long line costs no look at the others.
    #[test]
    fn a_newline_behind_a_long_line_looks_at_itself_only() {
        let mut line = UpperLine { scanned: 1 << 20, start: 10, end: 11 };
        let (mut input, mut reply_buf) = (vec![b'a'; (1 << 20) + 1], [0; 16]);
        input[1 << 20] = b'\n';
        let mut exchange = Exchange::new(&mut input, &mut reply_buf);
        let limits = crate::protocol::RequestLimits { line: 1 << 21, ..DEFAULT.limits };
        let random = &mut crate::protocol::RequestRng::new(None);
        let mut context = CallContext { random, unix_time: || 0, limits, may_block: false };
        assert_eq!(line.process(&mut exchange, &mut context), Progress::Close(CloseCause::Complete));
        assert_eq!(exchange.replies().concat(), b"a", "what was scanned before is not changed again");
    }
}
