//! Checks of requests that a server must refuse: the reply is `error`, and the next request is served as usual.

use super::sample::text;
use crate::client::check::context::CheckContext;
use crate::client::check::failure::CheckResult;
use crate::client::client_protocol::ERROR_TEXT;
use crate::client::judge::outcome::Pass;

/// An action that no edition has; in the text protocol any word may be one.
const UNKNOWN_ACTION: &str = "6";

/// A correct request, whose reply shows that the server has found its beginning.
const GOOD_ACTION: &str = "lowercase";
const GOOD_MESSAGE: &[u8] = b"IN STEP";

fn refusal(context: &CheckContext) -> Vec<u8> {
    context.protocol().wire_reply(ERROR_TEXT)
}

/// Expects a refusal, on a connection of its own: whether the connection stays open is another check.
fn expect_refusal(context: &CheckContext, action: &str, message: &[u8]) -> CheckResult {
    context.exchange(&context.request(action, message), &refusal(context)).map(|()| Pass::Clean)
}

/// Expects a refusal, and then that a correct request is served on the same connection.
fn expect_refusal_and_service(context: &CheckContext, action: &str, message: &[u8]) -> CheckResult {
    let mut connection = context.connect()?;
    connection.send(&context.request(action, message))?;
    connection.expect(&refusal(context))?;
    connection.send(&context.request(GOOD_ACTION, GOOD_MESSAGE))?;
    connection.expect(&context.reply(GOOD_ACTION, GOOD_MESSAGE))?;
    Ok(Pass::Clean)
}

pub fn unknown_action(context: &CheckContext) -> CheckResult {
    expect_refusal(context, UNKNOWN_ACTION, b"The LAN Before Time")
}

pub fn every_unknown_action(context: &CheckContext) -> CheckResult {
    for code in (0..32).filter(|code: &u32| !code.is_power_of_two()) {
        expect_refusal(context, &code.to_string(), b"text")?;
    }
    Ok(Pass::Clean)
}

pub fn unknown_action_kept(context: &CheckContext) -> CheckResult {
    expect_refusal_and_service(context, UNKNOWN_ACTION, b"")
}

/// The data is itself a request: a server that does not skip it replies to it.
pub fn unknown_action_consumed(context: &CheckContext) -> CheckResult {
    expect_refusal_and_service(context, UNKNOWN_ACTION, &context.request("uppercase", b"not a request"))
}

pub fn unknown_action_empty(context: &CheckContext) -> CheckResult {
    expect_refusal(context, UNKNOWN_ACTION, b"")
}

pub fn unknown_action_long(context: &CheckContext) -> CheckResult {
    expect_refusal_and_service(context, UNKNOWN_ACTION, &text(65_537))
}

pub fn invalid_utf8(context: &CheckContext) -> CheckResult {
    expect_refusal(context, "uppercase", b"caf\xe9 \xff")
}

pub fn utf8_kinds(context: &CheckContext) -> CheckResult {
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
        expect_refusal(context, "reverse", kind)?;
    }
    Ok(Pass::Clean)
}

pub fn invalid_utf8_kept(context: &CheckContext) -> CheckResult {
    expect_refusal_and_service(context, "uppercase", b"\xff\xfe")
}

pub fn bad_among_good(context: &CheckContext) -> CheckResult {
    let requests = [("lowercase", "I HOPE THIS WORKS"), (UNKNOWN_ACTION, "Not This One"), ("uppercase", "it worked!")];
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for (action, message) in requests {
        sent.extend(context.request(action, message.as_bytes()));
        expected.extend(context.reply(action, message.as_bytes()));
    }
    context.exchange(&sent, &expected).map(|()| Pass::Clean)
}

/// Sends bytes that are not a header, and expects `error` and then the end: where the next request begins is unknown.
fn expect_refusal_and_close(context: &CheckContext, sent: &[u8]) -> CheckResult {
    let mut connection = context.connect()?;
    connection.send(sent)?;
    connection.expect(&refusal(context))?;
    connection.expect_close()?;
    Ok(Pass::Clean)
}

pub fn no_header(context: &CheckContext) -> CheckResult {
    expect_refusal_and_close(context, &[b'x'; 40])
}

pub fn no_number(context: &CheckContext) -> CheckResult {
    expect_refusal_and_close(context, b"reverse many Hello World")
}
