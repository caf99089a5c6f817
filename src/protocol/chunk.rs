//! What the services share that answer chunk by chunk.
//!
//! A chunk is what one read delivered, cut into pieces of at most [`CHUNK`] bytes: a bound, never a wait.

use super::contract::{Exchange, RequestRecord};
use std::ops::Range;

/// The most bytes of a chunk.
pub const CHUNK: usize = 1024;

/// Bytes of the next chunk; 0 when there is none.
pub fn next(exchange: &mut Exchange<'_>) -> usize {
    exchange.input().len().min(CHUNK)
}

/// Counts a chunk of `length` bytes that was answered as asked.
pub fn count(exchange: &mut Exchange<'_>, action: &'static str, length: usize) {
    exchange.count_request(RequestRecord { action, length, refused: false });
}

/// Answers the next `length` bytes where they stand, without the white space at both ends: the turn's only answer.
pub fn answer_stripped(exchange: &mut Exchange<'_>, action: &'static str, length: usize) {
    let bytes = &exchange.input()[..length];
    let start = bytes.iter().position(|byte| !is_space(*byte)).unwrap_or(length);
    let end = bytes.iter().rposition(|byte| !is_space(*byte)).map_or(start, |last| last + 1);
    answer_part(exchange, action, length, start..end);
}

/// Answers a `part` of the next `length` bytes where it stands: the turn's only answer.
pub fn answer_part(exchange: &mut Exchange<'_>, action: &'static str, length: usize, part: Range<usize>) {
    exchange.consume(part.start);
    exchange.reply_in_place(part.len());
    count(exchange, action, length);
}

/// White space as `bytes.strip()` has it: with the vertical tab, which Rust's ASCII white space leaves out.
pub fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}
