//! `upper-line`: sends the first line back in ASCII upper case, without white space at both ends, then closes.
//!
//! A line ends with a newline or at the end of input. Each call transforms the new bytes where they are in the input
//! and remembers the white space, so that its work depends on the new bytes alone.

use crate::protocol::chunk;
use crate::protocol::client_side::ClientSide;
use crate::protocol::contract::{
    CallContext, CloseCause, Exchange, InvalidState, Needed, Progress, Protocol, ProtocolState, Unconsumed,
};
use crate::protocol::example::Example;
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};

/// From this length on, a line gets a buffer for the longest line ([`Needed::request_len`]), in bytes. Chosen: half of
/// the 4 KiB that a request of unknown length may have.
const LONG: usize = 2 * 1024;

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "upper-line",
    port: None,
    summary: "the first line back, stripped and in upper case, then close",
    rfc: None,
    input: Input::Stream,
    socket_unit: SocketUnit { port: 8089, description: "One-shot upper-casing of a line" },
    new: |_, _| Box::new(UpperLine::default()),
    client: ClientSide {
        write_request: |_, message, wire| {
            wire.extend_from_slice(message);
            wire.push(b'\n');
            Ok(())
        },
        expected: |_, message| Some(message[chunk::stripped(message)].to_ascii_uppercase()),
        ..ClientSide::DEFAULT
    },
    examples: &[
        Example::stream("a line", b" hello world \r\nmore", b"HELLO WORLD"),
        Example::stream("an unfinished line", b" hello\tworld ", b"HELLO\tWORLD"),
        Example::stream("an empty line", b"\nmore", b""),
        Example::stream("bytes, not text", b"\xe9a\xff\x0b\n", b"\xe9A\xff"),
    ],
    try_it: "echo ' hello ' | nc localhost {port}",
};

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpperLine {
    /// Bytes at the front of the input that contain no newline and are in upper case.
    scanned: usize,
    /// Index of the first scanned byte that is not white space.
    start: usize,
    /// Index behind the last scanned byte that is not white space; 0 if there is none.
    end: usize,
}

impl UpperLine {
    /// Transforms and scans the bytes of the line that follow the scanned ones.
    fn scan(&mut self, fresh: &mut [u8]) {
        fresh.make_ascii_uppercase();
        if let Some(last) = fresh.iter().rposition(|byte| !chunk::is_space(*byte)) {
            let first = fresh.iter().position(|byte| !chunk::is_space(*byte)).unwrap_or(last);
            self.start = if self.end == 0 { self.scanned + first } else { self.start };
            self.end = self.scanned + last + 1;
        }
        self.scanned += fresh.len();
    }

    fn reply(&self, exchange: &mut Exchange<'_>) {
        chunk::reply_part(exchange, "upper-line", self.scanned, self.start..self.end);
    }
}

impl Protocol for UpperLine {
    fn process(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        let fresh = &mut exchange.input()[self.scanned..];
        let newline = fresh.iter().position(|byte| *byte == b'\n');
        let length = newline.unwrap_or(fresh.len());
        self.scan(&mut fresh[..length]);
        if let Err(refusal) = context.limits.check_line(self.scanned) {
            return Progress::Close(CloseCause::ProtocolError(refusal));
        }
        if newline.is_some() {
            self.reply(exchange);
            return Progress::Close(CloseCause::Complete);
        }
        let request_len = if self.scanned < LONG { 0 } else { context.limits.max_line() + 1 };
        Progress::NeedInput(Needed { request_len, reply_capacity: 0, preprocessed: self.scanned })
    }

    fn on_eof(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> CloseCause {
        self.reply(exchange);
        CloseCause::Complete
    }

    /// The line is scanned again from its beginning: upper case stays what it is.
    fn restore(&mut self, state: &ProtocolState, _unconsumed: Unconsumed<'_>) -> Result<(), InvalidState> {
        state.values::<0>(0).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::test_util::{Config, DEFAULT, Outcome, run};

    fn limited(pieces: &[&[u8]], line: usize) -> Outcome {
        let limits = crate::protocol::RequestLimits { line: Some(line), ..DEFAULT.limits };
        run("upper-line", pieces, Config { limits, ..DEFAULT })
    }

    #[test]
    fn white_space_is_stripped_however_the_line_is_split() {
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

    /// Fault 37: the last byte of a long line is scanned alone.
    #[test]
    fn a_newline_after_a_long_line_scans_new_bytes_only() {
        let mut line = UpperLine { scanned: 1 << 20, start: 10, end: 11 };
        let (mut input, mut reply_buf) = (vec![b'a'; (1 << 20) + 1], [0; 16]);
        input[1 << 20] = b'\n';
        let mut exchange = Exchange::new(&mut input, &mut reply_buf);
        let limits = crate::protocol::RequestLimits { line: Some(1 << 21), ..DEFAULT.limits };
        let random = &mut crate::protocol::RequestRng::new(None);
        let mut context = CallContext { random, unix_time: || 0, limits, may_block: false };
        assert_eq!(line.process(&mut exchange, &mut context), Progress::Close(CloseCause::Complete));
        assert_eq!(exchange.replies().concat(), b"a", "bytes that were scanned before are not changed again");
    }
}
