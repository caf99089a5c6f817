//! Checks of the small services: echo, discard, daytime, time, qotd, chargen.

#![allow(
    clippy::cast_possible_truncation,
    reason = "the seconds since 1900 wrap around at 32 bits (RFC 868); a remainder of 95 fits in a byte"
)]

use std::time::Duration;

use super::sample::text;
use crate::client::check::context::CheckContext;
use crate::client::check::failure::{CheckFailure, CheckResult};
use crate::client::judge::mismatch::Observed;
use crate::client::judge::outcome::Pass;
use crate::protocol::calendar::Moment;
use crate::sys;

/// Seconds from 1900-01-01 to 1970-01-01, RFC 868.
const SINCE_1900: u64 = 2_208_988_800;

pub fn every_byte(context: &CheckContext) -> CheckResult {
    let bytes: Vec<u8> = (0..=255).collect();
    context.exchange(&bytes, &bytes).map(|()| Pass::Clean)
}

pub fn at_once(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    for byte in [b"a", b"\n", b"\0"] {
        connection.send(byte)?;
        connection.expect(byte)?;
    }
    Ok(Pass::Clean)
}

/// The time in which a wrong reply to a megabyte would arrive. Chosen: far more than the server needs to read it.
const SILENCE: Duration = Duration::from_millis(100);

pub fn discards(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    connection.send(&text(1 << 20))?;
    connection.expect_silence(SILENCE)?;
    connection.half_close();
    connection.expect_close()?;
    Ok(Pass::Clean)
}

/// The longest line of `daytime`, in bytes. RFC 867 has no limit; chosen far above the 39 of its longer example.
const MAX_DAYTIME: usize = 512;

/// The longest quote, in bytes. Derived: RFC 865 allows 512 characters, of up to four bytes each in UTF-8, and the last
/// line may end with CR LF.
const MAX_QUOTE: usize = 4 * 512 + 2;

/// The reply of `time`, in bytes, RFC 868.
const TIME: usize = 4;

/// Everything that the server sends on a connection of its own; more than `limit` bytes are a failure.
fn receive_all(context: &CheckContext, limit: usize) -> Result<Vec<u8>, CheckFailure> {
    context.connect()?.reply_until_close(limit)
}

fn wrong_reply(expected: &str, received: Vec<u8>) -> CheckFailure {
    CheckFailure { received: Observed::Bytes(received), ..CheckFailure::in_words(expected, "") }
}

pub fn daytime_line(context: &CheckContext) -> CheckResult {
    let line = receive_all(context, MAX_DAYTIME)?;
    let words = line.trim_ascii_end();
    let printable = words.iter().all(|byte| (b' '..=b'~').contains(byte));
    if words.is_empty() || !printable {
        return Err(wrong_reply("one line of printable ASCII", line));
    }
    Ok(Pass::Clean)
}

pub fn daytime_year(context: &CheckContext) -> CheckResult {
    let line = receive_all(context, MAX_DAYTIME)?;
    let year = Moment::new(sys::unix_time()).year.to_string();
    if String::from_utf8_lossy(&line).contains(&year) {
        return Ok(Pass::Clean);
    }
    // RFC 867 does not prescribe the format of the line.
    Ok(Pass::WithNote(format!("{year} is not in the line: {}", line.escape_ascii())))
}

pub fn time_bytes(context: &CheckContext) -> CheckResult {
    let bytes = receive_all(context, TIME)?;
    if bytes.len() == TIME { Ok(Pass::Clean) } else { Err(wrong_reply("four bytes", bytes)) }
}

pub fn time_now(context: &CheckContext) -> CheckResult {
    let bytes = receive_all(context, TIME)?;
    let now = sys::unix_time();
    // A second or two are the network's and the clocks' error.
    match difference_to_time(&bytes, now) {
        None => Err(wrong_reply("four bytes", bytes)),
        Some(0..=5) => Ok(Pass::Clean),
        Some(seconds @ 6..=86_400) => Ok(Pass::WithNote(format!("differs from this machine's clock by {seconds} s"))),
        Some(_) => Err(wrong_reply(&format!("{}, or close to it", since_1900(now)), bytes)),
    }
}

/// The seconds between a reply of `time` and a time since 1970; `None` if it is not four bytes. The count wraps in 2036,
/// and so does the difference.
pub fn difference_to_time(reply: &[u8], unix_time: u64) -> Option<u32> {
    let (theirs, ours) = (u32::from_be_bytes(reply.try_into().ok()?), since_1900(unix_time));
    Some(theirs.wrapping_sub(ours).min(ours.wrapping_sub(theirs)))
}

fn since_1900(unix_time: u64) -> u32 {
    (unix_time + SINCE_1900) as u32
}

pub fn quote(context: &CheckContext) -> CheckResult {
    let quote = receive_all(context, MAX_QUOTE)?;
    let characters = String::from_utf8_lossy(&quote).trim_end().chars().count();
    if (1..=512).contains(&characters) { Ok(Pass::Clean) } else { Err(wrong_reply("1 to 512 characters", quote)) }
}

/// A line of the usual pattern with CR LF, in bytes, RFC 864.
const LINE: usize = 74;

/// Whether these bytes begin a line of the usual pattern, RFC 864, and continue it: lines of 72 printable characters, each
/// one character further along the ring of 95.
pub fn is_chargen_pattern(bytes: &[u8]) -> bool {
    let Some(start) = bytes.first().and_then(|first| first.checked_sub(b' ')).map(usize::from) else { return false };
    let ring = |i: usize| b' ' + (i % 95) as u8;
    let line = |number: usize| (0..LINE - 2).map(move |i| ring(start + number + i)).chain(*b"\r\n");
    bytes.iter().copied().eq((0..).flat_map(line).take(bytes.len()))
}

/// The pattern is whatever the server likes, RFC 864.
pub fn pattern(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    connection.expect_bytes(200 * LINE)?;
    if is_chargen_pattern(&connection.unread()[..200 * LINE]) {
        return Ok(Pass::Clean);
    }
    Ok(Pass::WithNote("not the usual pattern, lines of 72 out of 95 characters: RFC 864 allows any".into()))
}

pub fn endless(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    for _ in 0..16 {
        connection.expect_bytes(65_536)?;
        let portion = connection.unread()[..65_536].to_vec();
        connection.expect(&portion)?;
    }
    Ok(Pass::Clean)
}

pub fn input_ignored(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    connection.send(b"stop that\r\n")?;
    connection.expect_bytes(20 * LINE)?;
    Ok(Pass::Clean)
}
