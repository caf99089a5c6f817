//! Mistakes that show in what a client sent or printed, whichever scenario finds them: their hints come before that of
//! the scenario.

use super::plan::Exchange;
use super::wire::header_fields;
use crate::client::client_protocol::ClientProtocol;

/// Of the code in a header of `frame`.
const CODES: &str = "the top 5 bits of the header are the action's code (of this edition), and the other 27 the length";
/// Of the order of bytes in a length.
pub const BYTE_ORDER: &str = "lengths are in network byte order: struct.pack('!I', ...) and struct.unpack('!I', ...)";
/// Of a length that counts characters.
pub const CHARACTERS: &str =
    "the length counts bytes, not characters: encode the message as UTF-8 first, and take the length of that";
/// Of a message that ends with the newline of its line.
const NEWLINE: &str = "the newline ends the line and is no part of the message: send the line without it";
/// Of output that is no reply.
pub const NOTHING_ELSE: &str = "only replies go to standard output: print errors and messages on standard error";
/// Of a client that was killed while it was sending or receiving.
pub const TOO_SLOW: &str =
    "the client was still busy: send and receive many bytes in each call, and collect them in a bytearray or a list";
/// Of the end of a client that has printed everything.
pub const NO_END: &str =
    "all replies were printed, but the client did not end: count the replies, and close after the last one";

/// The mistake in the first request that differs from the expected one.
#[must_use]
pub fn in_requests(protocol: ClientProtocol, expected: &[Exchange], received: &[u8]) -> Option<&'static str> {
    if !protocol.has_reply_length() {
        return in_echo(&expected.first()?.message, received);
    }
    let mut rest = received;
    for exchange in expected {
        let request = exchange.request(protocol);
        match rest.strip_prefix(&request[..]) {
            Some(behind) => rest = behind,
            None if protocol.has_action_codes() => return in_frame(&request, rest),
            None => return in_text(&request, rest, &exchange.message),
        }
    }
    None
}

fn in_frame(expected: &[u8], received: &[u8]) -> Option<&'static str> {
    let (header, message) = expected.split_first_chunk::<4>()?;
    let (received, body) = received.split_first_chunk::<4>()?;
    let (expected, received) = (u32::from_be_bytes(*header), u32::from_be_bytes(*received));
    let [code, length @ ..] = received.to_be_bytes();
    if received == expected {
        None
    } else if received == expected.swap_bytes() {
        Some(BYTE_ORDER)
    } else if length == header[1..] && code != header[0] {
        Some(CODES)
    } else {
        in_length(header_fields(received).1, message, body)
    }
}

/// Nothing but the messages is sent; none of them has a newline.
fn in_echo(message: &[u8], received: &[u8]) -> Option<&'static str> {
    received.strip_prefix(message)?.starts_with(b"\n").then_some(NEWLINE)
}

/// The length is the second word of the header.
fn in_text(expected: &[u8], received: &[u8], message: &[u8]) -> Option<&'static str> {
    let header = &expected[..expected.len() - message.len()];
    let (action, _) = header.split_at(header.iter().position(|byte| *byte == b' ')? + 1);
    let mut words = received.strip_prefix(action)?.splitn(2, |byte| *byte == b' ');
    in_length(std::str::from_utf8(words.next()?).ok()?.parse().ok()?, message, words.next()?)
}

fn in_length(length: usize, message: &[u8], body: &[u8]) -> Option<&'static str> {
    let characters = std::str::from_utf8(message).ok()?.chars().count();
    if length == characters && characters != message.len() {
        return Some(CHARACTERS);
    }
    let has_newline = body.strip_prefix(message).is_some_and(|behind| behind.starts_with(b"\n"));
    (has_newline && length == message.len() + 1).then_some(NEWLINE)
}

/// The mistake in what was printed.
#[must_use]
pub fn in_output(expected: &[u8], printed: &[u8]) -> Option<&'static str> {
    if expected.strip_suffix(b"\n") == Some(printed) {
        return Some("the last line has no newline at its end: print a newline behind each reply");
    }
    if printed.starts_with(b"b'") || printed.starts_with(b"b\"") {
        return Some("bytes were printed as a literal of the language: decode them, reply.decode()");
    }
    let visible = |bytes: &[u8]| bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<_>>();
    let is_cut = expected.starts_with(printed);
    if !is_cut && visible(expected) == visible(printed) {
        return Some("only white space differs: print each reply as it is, with one newline behind it");
    }
    let mut lines = printed.split(|byte| *byte == b'\n');
    let has_all = expected.split(|byte| *byte == b'\n').all(|line| lines.any(|printed| printed == line));
    // what comes behind the last reply may be a reply, too
    (has_all && !expected.is_empty() && !printed.starts_with(expected)).then_some(NOTHING_ELSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_requests_are_recognized() {
        let exchanges = [Exchange::new("reverse", "abc", "cba"), Exchange::new("reverse", "\u{e9}!", "!\u{e9}")];
        let mistake = |protocol: &str, received: &[u8]| {
            in_requests(ClientProtocol::by_name(protocol).unwrap(), &exchanges, received)
        };
        for (received, hint) in [
            (b"\x20\0\0\x03abc\x20\0\0\x03\xc3\xa9!".as_slice(), None),
            (b"\x20\0\0\x03abc\x20\0\0\x02\xc3\xa9!", Some(CHARACTERS)),
            (b"\x20\0\0\x03ab\n", None),
            (b"\x20\0", None),
            (b"\x03\0\0\x20abc", Some(BYTE_ORDER)),
            (b"\x40\0\0\x03abc", Some(CODES)),
            (b"\x04\0\0\x03abc", Some(CODES)),
            (b"\x20\0\0\x04abc\n", Some(NEWLINE)),
            (b"\x20\0\0\x04abcd", None),
        ] {
            assert_eq!(mistake("frame", received), hint, "{received:?}");
        }
        assert_eq!(mistake("text", "reverse 3 abcreverse 2 \u{e9}!".as_bytes()), Some(CHARACTERS));
        assert_eq!(mistake("text", b"reverse 4 abc\n"), Some(NEWLINE));
        assert_eq!(mistake("text", b"reverse 4 abcd"), None);
        assert_eq!(mistake("text", b"reverse"), None);
        assert_eq!(mistake("echo", b"abd"), None);
        assert_eq!(mistake("echo", b"abc\n\xc3\xa9!\n"), Some(NEWLINE));
        assert_eq!(mistake("echo", b"abc"), None);
    }

    #[test]
    fn mistakes_in_output_are_recognized() {
        for (printed, words) in [
            (b"a b\nc".as_slice(), Some("no newline at its end")),
            (b"b'a b'\nb'c'\n", Some("reply.decode()")),
            (b"ab\nc\n", Some("only white space differs")),
            (b"a b\n\nc\n", Some("only white space differs")),
            (b"log\na b\nc\n", Some("only replies")),
            (b"a b\nlog\nc\n", Some("only replies")),
            (b"a b\nc\nc\n", None),
            (b"log\na b\n", None),
            (b"a b\n", None),
            (b"", None),
        ] {
            let hint = in_output(b"a b\nc\n", printed);
            assert_eq!(hint.is_some(), words.is_some(), "{printed:?}: {hint:?}");
            assert!(hint.unwrap_or_default().contains(words.unwrap_or_default()), "{printed:?}: {hint:?}");
        }
    }
}
