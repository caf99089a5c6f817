//! Checks of what is refused: the answer is `error`, and the next request is served as usual.

use super::context::Context;
use super::flaw::{Flaw, Remark};
use super::messages::text;
use crate::client::client_protocol::REFUSAL;

type Checked = Result<Remark, Flaw>;

/// An action that no edition knows; in the text protocol any word is one.
const UNKNOWN: &str = "6";

/// A good request, to see that the server is in step.
const GOOD: (&str, &[u8]) = ("lowercase", b"IN STEP");

fn refusal(context: &Context) -> Vec<u8> {
    context.dialogue().wire_answer(REFUSAL)
}

/// The request is refused, on a connection of its own: that a connection outlives a refusal is another check.
fn refused(context: &Context, action: &str, message: &[u8]) -> Checked {
    context.exchange(&context.request(action, message), &refusal(context)).map(|()| Remark::Passed)
}

/// The request is refused, and after it a good one is served on the same connection.
fn refused_and_kept(context: &Context, action: &str, message: &[u8]) -> Checked {
    let mut probe = context.connect()?;
    probe.send(&context.request(action, message))?;
    probe.expect(&refusal(context))?;
    probe.send(&context.request(GOOD.0, GOOD.1))?;
    probe.expect(&context.answer(GOOD.0, GOOD.1))?;
    Ok(Remark::Passed)
}

pub(super) fn unknown_action(context: &Context) -> Checked {
    refused(context, UNKNOWN, b"The LAN Before Time")
}

pub(super) fn every_unknown_action(context: &Context) -> Checked {
    for code in (0..32).filter(|code: &u32| !code.is_power_of_two()) {
        refused(context, &code.to_string(), b"text")?;
    }
    Ok(Remark::Passed)
}

pub(super) fn unknown_action_kept(context: &Context) -> Checked {
    refused_and_kept(context, UNKNOWN, b"")
}

/// The data looks like a request: a server that does not skip it answers it.
pub(super) fn unknown_action_consumed(context: &Context) -> Checked {
    refused_and_kept(context, UNKNOWN, &context.request("uppercase", b"not a request"))
}

pub(super) fn unknown_action_empty(context: &Context) -> Checked {
    refused(context, UNKNOWN, b"")
}

pub(super) fn unknown_action_long(context: &Context) -> Checked {
    refused_and_kept(context, UNKNOWN, &text(65_537))
}

pub(super) fn invalid_utf8(context: &Context) -> Checked {
    refused(context, "uppercase", b"caf\xe9 \xff")
}

pub(super) fn utf8_kinds(context: &Context) -> Checked {
    let kinds: &[&[u8]] = &[
        b"a\x80",                   // a continuation byte alone
        b"\xc3",                    // cut short
        b"\xe6\xbc",                // cut short
        b"\xf0\x9f\x98",            // cut short
        b"\xc0\xaf",                // overlong
        b"\xe0\x80\xaf",            // overlong
        b"\xed\xa0\x80",            // a surrogate
        b"\xf4\x90\x80\x80",        // beyond U+10FFFF
        b"ok until here \xfe more", // a byte that never occurs
    ];
    for kind in kinds {
        refused(context, "reverse", kind)?;
    }
    Ok(Remark::Passed)
}

pub(super) fn invalid_utf8_kept(context: &Context) -> Checked {
    refused_and_kept(context, "uppercase", b"\xff\xfe")
}

pub(super) fn bad_among_good(context: &Context) -> Checked {
    let requests = [("lowercase", "I HOPE THIS WORKS"), (UNKNOWN, "Not This One"), ("uppercase", "it worked!")];
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for (action, message) in requests {
        sent.extend(context.request(action, message.as_bytes()));
        expected.extend(context.answer(action, message.as_bytes()));
    }
    context.exchange(&sent, &expected).map(|()| Remark::Passed)
}

/// What is sent cannot be a header: `error`, then the end, because the next request's start is unknown.
fn refused_for_good(context: &Context, sent: &[u8]) -> Checked {
    let mut probe = context.connect()?;
    probe.send(sent)?;
    probe.expect(&refusal(context))?;
    probe.expect_close()?;
    Ok(Remark::Passed)
}

pub(super) fn no_header(context: &Context) -> Checked {
    refused_for_good(context, &[b'x'; 40])
}

pub(super) fn no_number(context: &Context) -> Checked {
    refused_for_good(context, b"reverse many Hello World")
}
