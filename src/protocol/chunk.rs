//! Functions for the services that reply chunk by chunk.
//!
//! A chunk is the input that one read returns, split into pieces of at most [`CHUNK`] bytes. No service waits for a
//! full chunk.

use std::ops::Range;

use super::contract::{Exchange, RequestRecord};

/// The longest chunk, in bytes. A part of the protocols.
pub const CHUNK: usize = 1024;

/// Length of the next chunk, in bytes; 0 if there is no input.
pub fn next(exchange: &mut Exchange<'_>) -> usize {
    exchange.input().len().min(CHUNK)
}

/// Counts a chunk of `length` bytes that got a reply without an error.
pub fn count(exchange: &mut Exchange<'_>, action: &'static str, length: usize) {
    exchange.count_request(RequestRecord { action, length, refusal: None });
}

/// Sends the next `length` bytes back in place, without white space at both ends: the only reply of the exchange.
pub fn reply_stripped(exchange: &mut Exchange<'_>, action: &'static str, length: usize) {
    let part = stripped(&exchange.input()[..length]);
    reply_part(exchange, action, length, part);
}

/// The range of `bytes` without white space at both ends.
pub fn stripped(bytes: &[u8]) -> Range<usize> {
    let start = bytes.iter().position(|byte| !is_space(*byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_space(*byte)).map_or(start, |last| last + 1);
    start..end
}

/// Sends a `part` of the next `length` bytes back in place: the only reply of the exchange.
pub fn reply_part(exchange: &mut Exchange<'_>, action: &'static str, length: usize, part: Range<usize>) {
    exchange.consume(part.start);
    exchange.reply_in_place(part.len());
    count(exchange, action, length);
}

/// White space as Python's `bytes.strip()` defines it: Rust's ASCII white space and the vertical tab.
pub fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}
