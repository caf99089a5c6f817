//! What a wrong answer probably means: the mistakes that nearly every server of framed messages makes once.
//!
//! Each mistake leaves a mark in the bytes. Where no mark is found, the check's own hint stands.

use super::flaw::{Flaw, State};
use crate::client::client_protocol::{ClientProtocol, REFUSAL};

/// The hint for a server whose bytes have no end.
const ENDLESS: &str = "the server sent more bytes than all answers to these requests have together: answer each request \
    once, with as many bytes as it takes and no more, then wait for the next";

/// The flaw, with the hint that fits it best.
#[must_use]
pub fn hinted(mut flaw: Flaw, dialogue: ClientProtocol, hint: &'static str) -> Flaw {
    if flaw.hint.is_empty() {
        let marked = if dialogue.has_action_codes() { mark(&flaw) } else { None };
        let endless = flaw.state == State::Excess && dialogue.takes_messages();
        flaw.hint = endless.then_some(ENDLESS).or(marked).unwrap_or(hint);
    }
    flaw
}

/// The mark of a mistake in the form of a frame's answer.
fn mark(flaw: &Flaw) -> Option<&'static str> {
    let (expected, came) = flaw.bytes()?;
    let (expected_header, expected) = expected.split_first_chunk::<4>()?;
    let reversed: Vec<u8> = expected_header.iter().rev().copied().collect();
    let header = came.first_chunk::<4>();
    if came.starts_with(&reversed) && reversed != expected_header {
        return Some("the length is little-endian: send it in network byte order (struct.pack('!I', length))");
    }
    if header.is_some_and(|header| flaw.sent.head.starts_with(header) && header != expected_header) {
        return Some(
            "the answer repeats the request's header: an answer's header is its length alone, without the action",
        );
    }
    if !expected.is_empty() && came.starts_with(&expected[..expected.len().min(4)]) && came.len() <= expected.len() {
        return Some("the answer has no header: send its length, 32 bits, before it");
    }
    length_mark(flaw, expected, u32::from_be_bytes(*header?) as usize, &came[4..])
}

fn length_mark(flaw: &Flaw, expected: &[u8], announced: usize, came: &[u8]) -> Option<&'static str> {
    let characters = std::str::from_utf8(expected).ok()?.chars().count();
    if announced == characters && characters != expected.len() {
        return Some("the length counts characters: it must count bytes (take the length after encoding the text)");
    }
    let trailing = came.strip_prefix(expected).filter(|rest| announced == expected.len() + 1 && rest.len() == 1);
    if trailing.is_some_and(|rest| matches!(rest, b"\n" | b"\0")) {
        return Some("the answer has one byte too many at its end: a newline or NUL that is not part of the text");
    }
    if announced == REFUSAL.len() && came.starts_with(REFUSAL) && expected != REFUSAL {
        return Some("the server took a correct request for a bad one: look at how it reads the header and the text");
    }
    if announced == expected.len() && came.len() < announced && expected.starts_with(came) && flaw.state != State::Open
    {
        return Some(
            "the answer stops in the middle: send may take fewer bytes than it is given; use sendall, or loop",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::flaw::Seen;
    use super::*;

    fn hint(sent: &[u8], expected: &[u8], came: &[u8], state: State) -> &'static str {
        let mut flaw = Flaw::in_words("", "");
        flaw.sent.push(sent);
        (flaw.expected, flaw.came, flaw.state) = (Seen::Bytes(expected.to_vec()), Seen::Bytes(came.to_vec()), state);
        hinted(flaw, ClientProtocol::by_name("frame").unwrap(), "the check's own").hint
    }

    #[test]
    fn every_mistake_has_its_mark() {
        let sent = b"\x20\0\0\x03abc";
        let answer = b"\0\0\0\x03cba";
        for (came, words) in [
            (b"\x03\0\0\0cba".as_slice(), "little-endian"),
            (b"\x20\0\0\x03cba", "repeats the request's header"),
            (b"cba", "no header"),
            (b"\0\0\0\x04cba\n", "one byte too many"),
            (b"\0\0\0\x05error", "took a correct request for a bad one"),
            (b"\0\0\0\x03cb", "sendall"),
        ] {
            assert!(hint(sent, answer, came, State::Silent).contains(words), "{words}");
        }
        assert!(
            hint(b"", "\0\0\0\u{4}\u{e9}\u{e8}".as_bytes(), b"\0\0\0\x02\xc3\xa9", State::Open)
                .contains("counts characters")
        );
        assert_eq!(hint(sent, answer, b"\0\0\0\x03abc", State::Open), "the check's own");
        assert!(hint(sent, answer, b"\0\0\0\x03abc", State::Excess).contains("more bytes than all answers"));
    }
}
