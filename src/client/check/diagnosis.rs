//! The probable cause of a failure: the mistakes that nearly every server of framed messages makes once.
//!
//! Each mistake is recognized by the bytes that it leads to. Where none is, the hint is that of the check.

use super::failure::{CheckFailure, ConnectionState};
use crate::client::client_protocol::{ClientProtocol, ERROR_TEXT};

/// The hint for a server that sends without end.
const ENDLESS: &str = "the server sent more bytes than all replies to these requests have together: reply to each request \
    once, then wait for the next";

/// Sets the hint that fits best, unless the failure has one; `hint` is that of the check.
#[must_use]
pub fn with_hint(mut failure: CheckFailure, protocol: ClientProtocol, hint: &'static str) -> CheckFailure {
    if failure.hint.is_empty() {
        let cause = if protocol.has_action_codes() { header_mistake(&failure) } else { None };
        let endless = failure.state == ConnectionState::Excess && protocol.takes_messages();
        failure.hint = endless.then_some(ENDLESS).or(cause).unwrap_or(hint).into();
    }
    failure
}

/// A mistake in the header of a frame's reply, or in its length.
fn header_mistake(failure: &CheckFailure) -> Option<&'static str> {
    let (expected, received) = failure.bytes()?;
    let (expected_header, expected) = expected.split_first_chunk::<4>()?;
    let reversed: Vec<u8> = expected_header.iter().rev().copied().collect();
    let header = received.first_chunk::<4>();
    if received.starts_with(&reversed) && reversed != expected_header {
        return Some("the length is little-endian: send it in network byte order (struct.pack('!I', length))");
    }
    if header.is_some_and(|header| failure.sent.head.starts_with(header) && header != expected_header) {
        return Some("the reply repeats the request's header: a reply's header is only its length, without the action");
    }
    if !expected.is_empty()
        && received.starts_with(&expected[..expected.len().min(4)])
        && received.len() <= expected.len()
    {
        return Some("the reply has no header: send its length, 32 bits, before it");
    }
    length_mistake(failure, expected, u32::from_be_bytes(*header?) as usize, &received[4..])
}

/// A mistake in a reply that announces `announced` bytes, and of which `received` arrived.
fn length_mistake(failure: &CheckFailure, expected: &[u8], announced: usize, received: &[u8]) -> Option<&'static str> {
    let characters = std::str::from_utf8(expected).ok()?.chars().count();
    if announced == characters && characters != expected.len() {
        return Some("the length counts characters: it must count bytes (take the length after encoding the text)");
    }
    let trailing = received.strip_prefix(expected).filter(|rest| announced == expected.len() + 1 && rest.len() == 1);
    if trailing.is_some_and(|rest| matches!(rest, b"\n" | b"\0")) {
        return Some("the reply has one byte too many at its end: a newline or NUL that is not part of the text");
    }
    if announced == ERROR_TEXT.len() && received.starts_with(ERROR_TEXT) && expected != ERROR_TEXT {
        return Some("the server refused a correct request: look at how it reads the header and the text");
    }
    let cut = announced == expected.len() && received.len() < announced && expected.starts_with(received);
    if cut && failure.state != ConnectionState::Open {
        return Some("the reply stops in the middle: send may take fewer bytes than it is given; use sendall, or loop");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::judge::mismatch::Observed;

    fn hint(sent: &[u8], expected: &[u8], received: &[u8], state: ConnectionState) -> String {
        let mut failure = CheckFailure::in_words("", "");
        failure.sent.push(sent);
        (failure.expected, failure.received) = (Observed::Bytes(expected.to_vec()), Observed::Bytes(received.to_vec()));
        failure.state = state;
        with_hint(failure, ClientProtocol::by_name("frame").unwrap(), "the check's own").hint.into_string()
    }

    #[test]
    fn mistakes_are_recognized() {
        let sent = b"\x20\0\0\x03abc";
        let reply = b"\0\0\0\x03cba";
        for (received, words) in [
            (b"\x03\0\0\0cba".as_slice(), "little-endian"),
            (b"\x20\0\0\x03cba", "repeats the request's header"),
            (b"cba", "no header"),
            (b"\0\0\0\x04cba\n", "one byte too many"),
            (b"\0\0\0\x05error", "refused a correct request"),
            (b"\0\0\0\x03cb", "sendall"),
        ] {
            assert!(hint(sent, reply, received, ConnectionState::Silent).contains(words), "{words}");
        }
        assert!(
            hint(b"", "\0\0\0\u{4}\u{e9}\u{e8}".as_bytes(), b"\0\0\0\x02\xc3\xa9", ConnectionState::Open)
                .contains("counts characters")
        );
        assert_eq!(hint(sent, reply, b"\0\0\0\x03abc", ConnectionState::Open), "the check's own");
        assert!(hint(sent, reply, b"\0\0\0\x03abc", ConnectionState::Excess).contains("more bytes than all replies"));
    }
}
