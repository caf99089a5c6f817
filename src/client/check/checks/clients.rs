//! Checks of how clients end, and whether the next one is served.

use std::time::Duration;

use super::sample::{ANY_ACTION, text};
use crate::client::check::connection::TestConnection;
use crate::client::check::context::CheckContext;
use crate::client::check::failure::{CheckFailure, CheckResult};
use crate::client::client_protocol::{ConnectionUse, ERROR_TEXT};
use crate::client::judge::outcome::Pass;

/// The most time to wait for a server to serve a second client while the first is connected. Chosen: one that serves
/// clients concurrently replies in far less.
const SECOND_CLIENT_TIME: Duration = Duration::from_millis(500);

/// The time in which a wrong reply of `discard` would arrive. Chosen as for the check `nothing-more`.
const SILENCE: Duration = Duration::from_millis(20);

/// A correct request; empty in protocols without requests.
fn request(context: &CheckContext) -> Vec<u8> {
    if context.protocol().takes_messages() { context.request(ANY_ACTION, b"anybody there?") } else { Vec::new() }
}

/// Whether the server never sends anything.
fn is_silent(context: &CheckContext) -> bool {
    context.protocol().connection_use() == ConnectionUse::NoReply
}

/// Sends a request, and expects the service that the protocol provides.
fn expect_service(context: &CheckContext, connection: &mut TestConnection) -> Result<(), CheckFailure> {
    connection.send(&request(context))?;
    if is_silent(context) { connection.expect_silence(SILENCE) } else { expect_reply(context, connection) }
}

/// Expects the reply to [`request`]; in protocols without requests, that the server sends something.
fn expect_reply(context: &CheckContext, connection: &mut TestConnection) -> Result<(), CheckFailure> {
    if context.protocol().takes_messages() {
        connection.expect(&context.reply(ANY_ACTION, b"anybody there?"))
    } else {
        connection.expect_bytes(1)
    }
}

fn expect_service_for_next(context: &CheckContext) -> CheckResult {
    expect_service(context, &mut context.connect()?).map(|()| Pass::Clean)
}

pub fn half_close(context: &CheckContext) -> CheckResult {
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for message in [text(10), text(100_000), text(20)] {
        sent.extend(context.request(ANY_ACTION, &message));
        expected.extend(context.reply(ANY_ACTION, &message));
    }
    let mut connection = context.connect()?;
    connection.send(&sent)?;
    connection.half_close();
    connection.expect(&expected)?;
    connection.expect_close()?;
    Ok(Pass::Clean)
}

pub fn half_close_at_once(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    connection.half_close();
    if context.protocol().takes_messages() {
        connection.expect_close()?;
    } else {
        connection.expect_bytes(1)?;
    }
    Ok(Pass::Clean)
}

/// Half-closes after the first `length` bytes of a request.
fn truncated(context: &CheckContext, length: usize) -> CheckResult {
    let mut connection = context.connect()?;
    connection.send(&context.request("uppercase", b"never complete")[..length])?;
    connection.half_close();
    connection.expect(&context.protocol().wire_reply(ERROR_TEXT))?;
    connection.expect_close()?;
    Ok(Pass::Clean)
}

pub fn truncated_header(context: &CheckContext) -> CheckResult {
    truncated(context, 2)
}

pub fn truncated_data(context: &CheckContext) -> CheckResult {
    truncated(context, 9)
}

pub fn one_after_another(context: &CheckContext) -> CheckResult {
    for _ in 0..20 {
        expect_service_for_next(context)?;
    }
    Ok(Pass::Clean)
}

/// A connection on which the server has received half of a request.
fn half_a_request(context: &CheckContext) -> Result<TestConnection, CheckFailure> {
    let request = request(context);
    let mut connection = context.connect()?;
    connection.send_in_parts(&[&request[..request.len() / 2], b""])?;
    Ok(connection)
}

pub fn vanish_in_request(context: &CheckContext) -> CheckResult {
    drop(half_a_request(context)?);
    expect_service_for_next(context)
}

/// Resets the connection, and expects that the next client is served.
fn reset_and_expect_service(context: &CheckContext, connection: TestConnection) -> CheckResult {
    if !connection.has_reset() {
        return Ok(Pass::Skipped("only TCP has resets".into()));
    }
    connection.reset();
    expect_service_for_next(context)
}

pub fn reset_in_request(context: &CheckContext) -> CheckResult {
    reset_and_expect_service(context, half_a_request(context)?)
}

pub fn reset_in_reply(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    if context.protocol().takes_messages() {
        let request = context.request(ANY_ACTION, &text(1 << 20));
        connection.send(&request)?;
    } else {
        connection.expect_bytes(1)?;
    }
    connection.reset();
    expect_service_for_next(context)
}

pub fn reset_at_once(context: &CheckContext) -> CheckResult {
    reset_and_expect_service(context, context.connect()?)
}

/// While `first` is connected, a second client sends a request. A server for one client at a time replies to it when
/// `first` is closed.
fn second_beside(context: &CheckContext, first: TestConnection) -> CheckResult {
    let mut second = context.connect()?;
    second.send(&request(context))?;
    if is_silent(context) {
        return Ok(Pass::Clean);
    }
    let concurrent = second.anything_within(SECOND_CLIENT_TIME.min(context.patience()))?;
    drop(first);
    expect_reply(context, &mut second)?;
    Ok(if concurrent {
        Pass::Clean
    } else {
        Pass::WithNote("serves one client at a time: that is allowed, but the others wait".into())
    })
}

pub fn second_client(context: &CheckContext) -> CheckResult {
    let mut first = context.connect()?;
    expect_service(context, &mut first)?;
    second_beside(context, first)
}

pub fn stalled_client(context: &CheckContext) -> CheckResult {
    second_beside(context, half_a_request(context)?)
}
