//! Recognizes, before the checks, a server that expects no PROXY header where one is sent, or does not serve at all, so
//! that the report says so once.
//!
//! Guarantees: a receiver gets at most three connections, and any other server at most five, each for at most
//! [`REPLY_TIME`]; one that has sent nothing by then gets the whole patience once. What a receiver does wrong is left
//! to the checks.

use std::time::Duration;

use super::checks::proxy::{HEADER, HEADER_V2, is_served, reply, request};
use super::connection::TestConnection;
use super::context::CheckContext;
use super::failure::CheckFailure;
use super::other_protocol::{REPLY_TIME, judged_greeting, judged_reply, unanswered};

/// The failure of every check of receivers, if the server serves nobody, speaks another protocol, or expects no header.
pub fn failure_of_all(context: &CheckContext) -> Option<CheckFailure> {
    let time = REPLY_TIME.min(context.patience());
    let speaks_first = !context.protocol().takes_messages();
    // what it sends after a header proves nothing if it sends the same without one
    if let Some(failure) = speaks_first.then(|| without_header(context, time)).flatten() {
        return Some(failure);
    }
    let (mut is_mute, mut closes) = (true, true);
    for header in [HEADER, HEADER_V2] {
        let connection = replied(context, header, time).ok()?;
        if let Some(failure) = judged(&connection, context, header) {
            return Some(failure);
        }
        if is_served(context, connection.unread()) {
            return None;
        }
        let is_silent = connection.unread().is_empty();
        is_mute = is_mute && is_silent && connection.is_open();
        closes = closes && is_silent && !connection.is_open();
    }
    let failure = if speaks_first { None } else { without_header(context, time) };
    let failure = failure.or_else(|| is_mute.then(|| never_replies(&context.renewed())).flatten());
    failure.or_else(|| closes.then(|| serves_nobody(&context.renewed())).flatten())
}

/// The failure of every check with `--proxy`, if the server serves clients without a header, and none with one.
///
/// `plain` connects without the header.
pub fn needless_header(context: &CheckContext, plain: &CheckContext) -> Option<CheckFailure> {
    let time = REPLY_TIME.min(context.patience());
    if context.protocol().takes_messages() && replied(context, b"", time).ok()?.unread() == reply(context) {
        return None;
    }
    let connection = replied(plain, b"", time).ok()?;
    is_served(plain, connection.unread()).then(|| {
        let failure = connection.failure("a server behind the PROXY protocol", "");
        failure.with_hint("the server seems to expect no PROXY header: leave out --proxy")
    })
}

/// The failure of a server that speaks first, that closes every connection, or that serves clients without a header.
fn without_header(context: &CheckContext, time: Duration) -> Option<CheckFailure> {
    let mut idle = context.connect().ok()?;
    idle.anything_within(time).ok()?;
    if let Some(failure) = judged_greeting(&idle, context.protocol()) {
        return Some(failure);
    }
    if !idle.unread().is_empty() {
        return Some(expects_none(&idle, "it sends without one"));
    }
    if !idle.is_open() {
        let does = "closes every connection at once, without a byte: look at what it prints, and whether it refuses this \
            address (retortd: --proxy-from)";
        return Some(unanswered(&idle, context.protocol(), does));
    }
    drop(idle);
    if !context.protocol().takes_messages() {
        return None;
    }
    let connection = replied(context, b"", time).ok()?;
    if connection.unread() == reply(context) {
        return Some(expects_none(&connection, "it replies to a request without one"));
    }
    judged(&connection, context, b"")
}

/// The failure of a server that has replied to a request behind this header as one of another protocol, which may have
/// taken the header for a part of the request.
fn judged(connection: &TestConnection, context: &CheckContext, header: &[u8]) -> Option<CheckFailure> {
    let (protocol, request) = (context.protocol(), request(context));
    if !protocol.takes_messages() {
        return judged_greeting(connection, protocol);
    }
    let failure = judged_reply(connection, protocol, &request);
    failure.or_else(|| judged_reply(connection, protocol, &[header, &request].concat()))
}

/// The failure of a server that, for the whole patience, neither sends anything nor closes the connection as a receiver
/// does without a header.
fn never_replies(context: &CheckContext) -> Option<CheckFailure> {
    let connection = replied(context, b"", context.patience()).ok()?;
    let does = "accepts connections and never replies: does it hang, is this the right address, and the right -P?";
    let is_mute = connection.unread().is_empty() && connection.is_open();
    is_mute.then(|| unanswered(&connection, context.protocol(), does))
}

/// The failure of a server that closes the connection at both correct headers.
fn serves_nobody(context: &CheckContext) -> Option<CheckFailure> {
    let connection = replied(context, HEADER, context.patience()).ok()?;
    let does = "closes every connection without a reply, also behind a correct header: is this the right address, and the \
        right -P, and does it accept the client 192.0.2.10?";
    connection.unread().is_empty().then(|| unanswered(&connection, context.protocol(), does))
}

/// A connection with the reply to a request behind this header, or as much as has arrived of it in this time.
fn replied(context: &CheckContext, header: &[u8], time: Duration) -> Result<TestConnection, CheckFailure> {
    let mut connection = context.connect()?;
    connection.send(&[header, &request(context)].concat())?;
    let length = reply(context).len().max(1);
    connection.receive_until(time, |received| received.len() >= length)?;
    Ok(connection)
}

fn expects_none(connection: &TestConnection, because: &str) -> CheckFailure {
    connection
        .failure("a server behind the PROXY protocol", "")
        .with_hint(format!("the server expects no PROXY header: {because}; is this a listener that is configured to?"))
}
