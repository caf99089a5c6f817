//! Checks of the small services that have no requests: what they say, and when.

use std::time::Duration;

use super::context::Context;
use super::flaw::{Flaw, Remark, Seen};
use super::messages::text;
use crate::client::duration;
use crate::sys;

type Checked = Result<Remark, Flaw>;

/// Seconds from 1900-01-01 to 1970-01-01, RFC 868.
const SINCE_1900: u64 = 2_208_988_800;

pub(super) fn every_byte(context: &Context) -> Checked {
    let bytes: Vec<u8> = (0..=255).collect();
    context.exchange(&bytes, &bytes).map(|()| Remark::Passed)
}

pub(super) fn at_once(context: &Context) -> Checked {
    let mut probe = context.connect()?;
    for byte in [b"a", b"\n", b"\0"] {
        probe.send(byte)?;
        probe.expect(byte)?;
    }
    Ok(Remark::Passed)
}

pub(super) fn discards(context: &Context) -> Checked {
    let mut probe = context.connect()?;
    probe.send(&text(1 << 20))?;
    probe.expect_silence(Duration::from_millis(100))?;
    probe.finish();
    probe.expect_close()?;
    Ok(Remark::Passed)
}

/// The longest line of `daytime` that is read, in bytes. RFC 867 sets no limit; chosen far above the 39 of its longer
/// example.
const DAYTIME: usize = 512;

/// The longest quote, in bytes: RFC 865 has it below 512 characters, each of which has up to four bytes in UTF-8, and its
/// last line may end with CR LF.
const QUOTE: usize = 4 * 512 + 2;

/// The answer of `time`, RFC 868, in bytes.
const TIME: usize = 4;

/// All that the server says on a connection of its own, which is at most `most` bytes.
fn said(context: &Context, most: usize) -> Result<Vec<u8>, Flaw> {
    context.connect()?.until_close(most)
}

fn wrong(expected: &str, came: Vec<u8>) -> Flaw {
    Flaw { came: Seen::Bytes(came), ..Flaw::in_words(expected, "") }
}

pub(super) fn daytime_line(context: &Context) -> Checked {
    let line = said(context, DAYTIME)?;
    let words = line.trim_ascii_end();
    let printable = words.iter().all(|byte| (b' '..=b'~').contains(byte));
    if words.is_empty() || !printable {
        return Err(wrong("one line of printable ASCII", line));
    }
    Ok(Remark::Passed)
}

pub(super) fn daytime_year(context: &Context) -> Checked {
    let line = said(context, DAYTIME)?;
    let now = duration::date(sys::unix_time());
    if String::from_utf8_lossy(&line).contains(&now[..4]) {
        return Ok(Remark::Passed);
    }
    // RFC 867 leaves the form of the line to the server.
    Ok(Remark::Note(format!("{} is not in the line: {}", &now[..4], line.escape_ascii())))
}

pub(super) fn time_bytes(context: &Context) -> Checked {
    let bytes = said(context, TIME)?;
    if bytes.len() == TIME { Ok(Remark::Passed) } else { Err(wrong("four bytes", bytes)) }
}

pub(super) fn time_now(context: &Context) -> Checked {
    let bytes = said(context, TIME)?;
    let Ok(seconds) = <[u8; TIME]>::try_from(bytes.as_slice()).map(u32::from_be_bytes) else {
        return Err(wrong("four bytes", bytes));
    };
    // The count wraps in 2036; so does the difference.
    let ours = (sys::unix_time() + SINCE_1900) as u32;
    let apart = seconds.wrapping_sub(ours).min(ours.wrapping_sub(seconds));
    match apart {
        0..=5 => Ok(Remark::Passed),
        6..=86_400 => Ok(Remark::Note(format!("{apart} s apart from this machine's clock"))),
        _ => Err(wrong(&format!("{ours} or close to it"), bytes)),
    }
}

pub(super) fn quote(context: &Context) -> Checked {
    let quote = said(context, QUOTE)?;
    let characters = String::from_utf8_lossy(&quote).trim_end().chars().count();
    if (1..=512).contains(&characters) { Ok(Remark::Passed) } else { Err(wrong("1 to 512 characters", quote)) }
}

/// A line of the pattern with its end, RFC 864.
const LINE: usize = 74;

/// The line that begins so far along the ring of printable characters.
fn pattern_line(start: usize) -> Vec<u8> {
    let ring = |i: usize| b' ' + ((start + i) % 95) as u8;
    (0..72).map(ring).chain(*b"\r\n").collect()
}

pub(super) fn pattern(context: &Context) -> Checked {
    let mut probe = context.connect()?;
    probe.gather(1)?;
    let start = usize::from(probe.unread()[0].saturating_sub(b' '));
    let lines: Vec<u8> = (0..200).flat_map(|line| pattern_line(start + line)).collect();
    probe.expect(&lines)?;
    Ok(Remark::Passed)
}

pub(super) fn endless(context: &Context) -> Checked {
    let mut probe = context.connect()?;
    for _ in 0..16 {
        probe.gather(65_536)?;
        let portion = probe.unread()[..65_536].to_vec();
        probe.expect(&portion)?;
    }
    Ok(Remark::Passed)
}

pub(super) fn input_ignored(context: &Context) -> Checked {
    let mut probe = context.connect()?;
    probe.send(b"stop that\r\n")?;
    probe.gather(1)?;
    let start = usize::from(probe.unread()[0].saturating_sub(b' '));
    let lines: Vec<u8> = (0..20).flat_map(|line| pattern_line(start + line)).collect();
    debug_assert_eq!(lines.len(), 20 * LINE);
    probe.expect(&lines)?;
    Ok(Remark::Passed)
}
