//! Checks of messages of all lengths, of requests that arrive in parts, and of pipelining.
//!
//! They apply to every protocol that replies to requests: `reverse` where there are actions, else an echo.

use std::time::Duration;

use super::sample::{ANY_ACTION, text};
use crate::client::check::context::CheckContext;
use crate::client::check::failure::CheckResult;
use crate::client::client_protocol::MAX_LENGTH;
use crate::client::judge::outcome::Pass;
use crate::transform::Action;

/// An empty message for each action.
pub fn empty(context: &CheckContext) -> CheckResult {
    let protocol = context.protocol();
    let actions: Vec<_> = protocol.actions().map(Action::name).collect();
    for action in if actions.is_empty() { vec![ANY_ACTION] } else { actions } {
        context.exchange(&context.request(action, b""), &protocol.wire_reply(b""))?;
    }
    Ok(Pass::Clean)
}

/// The time in which bytes behind a reply arrive. Chosen: they were sent with it or right after it.
const TRAILING_BYTES_TIME: Duration = Duration::from_millis(20);

pub fn nothing_more(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    connection.send(&context.request(ANY_ACTION, b"just this"))?;
    connection.expect(&context.reply(ANY_ACTION, b"just this"))?;
    if connection.anything_within(TRAILING_BYTES_TIME)? && !connection.unread().is_empty() {
        return Err(connection.failure("nothing behind the reply", ""));
    }
    Ok(Pass::Clean)
}

pub fn one_byte(context: &CheckContext) -> CheckResult {
    context.request_and_expect(ANY_ACTION, b"x").map(|()| Pass::Clean)
}

/// Around the usual sizes of buffers, both of the data and of the data with its 4-byte header.
pub fn chunk_edges(context: &CheckContext) -> CheckResult {
    for edge in [1024, 2048, 4096, 8192, 65_536] {
        for length in [edge - 5, edge - 4, edge - 3, edge - 1, edge, edge + 1] {
            context.request_and_expect(ANY_ACTION, &text(length))?;
        }
    }
    Ok(Pass::Clean)
}

pub fn past_64k(context: &CheckContext) -> CheckResult {
    context.request_and_expect(ANY_ACTION, &text(65_537)).map(|()| Pass::Clean)
}

pub fn long(context: &CheckContext) -> CheckResult {
    context.request_and_expect(ANY_ACTION, &text(482_164)).map(|()| Pass::Clean)
}

pub fn largest(context: &CheckContext) -> CheckResult {
    if !context.large {
        return Ok(Pass::Skipped("run with --large".into()));
    }
    context.allow_longest_message();
    context.request_and_expect(ANY_ACTION, &text(MAX_LENGTH)).map(|()| Pass::Clean)
}

/// Sends the request in two parts, cut at each of these places; each time on a new connection.
fn cut_at(context: &CheckContext, message: &[u8], places: impl Iterator<Item = usize>) -> CheckResult {
    let request = context.request(ANY_ACTION, message);
    for place in places {
        let mut connection = context.connect()?;
        let (first, second) = request.split_at(place);
        connection.send_in_parts(&[first, second])?;
        connection.expect(&context.reply(ANY_ACTION, message))?;
    }
    Ok(Pass::Clean)
}

fn header_length(context: &CheckContext, message: &[u8]) -> usize {
    context.request(ANY_ACTION, message).len() - message.len()
}

pub fn header_split(context: &CheckContext) -> CheckResult {
    let message = text(20);
    let header = header_length(context, &message);
    cut_at(context, &message, 1..=header)
}

pub fn data_split(context: &CheckContext) -> CheckResult {
    let message = text(3000);
    let header = header_length(context, &message);
    cut_at(context, &message, [1, 2, 1500, 2999].iter().map(|place| header + place))?;
    // And in three: the first part of the data may be received with the header.
    let request = context.request(ANY_ACTION, &message);
    let mut connection = context.connect()?;
    connection.send_in_parts(&[&request[..header + 1000], &request[header + 1000..2500], &request[2500..]])?;
    connection.expect(&context.reply(ANY_ACTION, &message))?;
    Ok(Pass::Clean)
}

pub fn header_dribbled(context: &CheckContext) -> CheckResult {
    let message = text(20);
    let request = context.request(ANY_ACTION, &message);
    let (header, data) = request.split_at(header_length(context, &message));
    let mut parts: Vec<_> = header.chunks(1).collect();
    parts.push(data);
    let mut connection = context.connect()?;
    connection.send_in_parts(&parts)?;
    connection.expect(&context.reply(ANY_ACTION, &message))?;
    Ok(Pass::Clean)
}

pub fn all_dribbled(context: &CheckContext) -> CheckResult {
    let message = text(20);
    let mut connection = context.connect()?;
    connection.send_in_parts(&context.request(ANY_ACTION, &message).chunks(1).collect::<Vec<_>>())?;
    connection.expect(&context.reply(ANY_ACTION, &message))?;
    Ok(Pass::Clean)
}

pub fn code_point_split(context: &CheckContext) -> CheckResult {
    let message = "ab\u{e9}\u{6f22}\u{1f600}z".as_bytes();
    let header = header_length(context, message);
    // Inside each of the three characters that have more than one byte.
    cut_at(context, message, [3, 5, 6, 8, 9, 10].iter().map(|place| header + place))
}

pub fn next_header_split(context: &CheckContext) -> CheckResult {
    let (first, second) = (text(30), text(50));
    let next = context.request(ANY_ACTION, &second);
    for place in 1..header_length(context, &second) {
        let sent = [context.request(ANY_ACTION, &first).as_slice(), &next[..place]].concat();
        let mut connection = context.connect()?;
        connection.send(&sent)?;
        connection.expect(&context.reply(ANY_ACTION, &first))?;
        connection.send(&next[place..])?;
        connection.expect(&context.reply(ANY_ACTION, &second))?;
    }
    Ok(Pass::Clean)
}

pub fn keep_alive(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    for message in ["first", "the second", "and a third"] {
        connection.send(&context.request(ANY_ACTION, message.as_bytes()))?;
        connection.expect(&context.reply(ANY_ACTION, message.as_bytes()))?;
    }
    Ok(Pass::Clean)
}

/// Sends all requests in one go, and expects all their replies.
fn in_one_go<'a>(context: &CheckContext, messages: impl Iterator<Item = &'a [u8]>) -> CheckResult {
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    for message in messages {
        requests.extend(context.request(ANY_ACTION, message));
        replies.extend(context.reply(ANY_ACTION, message));
    }
    context.exchange(&requests, &replies).map(|()| Pass::Clean)
}

pub fn two_in_one(context: &CheckContext) -> CheckResult {
    in_one_go(context, [b"hello".as_slice(), b"world, again"].into_iter())
}

pub fn burst(context: &CheckContext) -> CheckResult {
    let all = text(1000);
    in_one_go(context, (0..1000).map(|i| &all[i..(i + i % 40).min(1000)]))
}

pub fn mixed_sizes(context: &CheckContext) -> CheckResult {
    let all = text(200_000);
    in_one_go(context, [0, 70_000, 1, 5000, 200_000, 2, 1024, 0, 3].iter().map(|&length| &all[..length]))
}

pub fn four_megabytes(context: &CheckContext) -> CheckResult {
    let all = text(65_536);
    in_one_go(context, std::iter::repeat_n(all.as_slice(), 64))
}
