//! Checks of how messages travel: their lengths, how they are cut, and how they follow one another.
//!
//! They fit every protocol that answers what it is sent: the request is the protocol's, and so is the answer.

use std::time::Duration;

use super::context::Context;
use super::flaw::{Flaw, Remark};
use crate::transform::Action;

type Checked = Result<Remark, Flaw>;

/// The action of a request whose action does not matter.
pub(super) const ANY: &str = "reverse";

/// So many bytes of ASCII in which neighbouring portions differ, so that a portion out of place shows.
pub(super) fn text(length: usize) -> Vec<u8> {
    (0..length).map(|i| b'a' + ((i + i / 26 + i / 1000) % 26) as u8).collect()
}

/// An empty message for each action.
pub(super) fn empty(context: &Context) -> Checked {
    let dialogue = context.dialogue();
    let actions: Vec<_> = dialogue.actions().map(Action::name).collect();
    for action in if actions.is_empty() { vec![ANY] } else { actions } {
        context.exchange(&context.request(action, b""), &dialogue.wire_answer(b""))?;
    }
    Ok(Remark::Passed)
}

/// Long enough for a byte that was sent behind the answer to arrive behind it.
const AFTERMATH: Duration = Duration::from_millis(20);

pub(super) fn nothing_more(context: &Context) -> Checked {
    let mut probe = context.connect()?;
    probe.send(&context.request(ANY, b"just this"))?;
    probe.expect(&context.answer(ANY, b"just this"))?;
    if probe.anything_within(AFTERMATH)? && !probe.unread().is_empty() {
        return Err(probe.flaw("nothing behind the answer", ""));
    }
    Ok(Remark::Passed)
}

pub(super) fn one_byte(context: &Context) -> Checked {
    context.ask(ANY, b"x").map(|()| Remark::Passed)
}

/// Lengths of data, and lengths of data with its header, that fill the buffers people use.
pub(super) fn chunk_edges(context: &Context) -> Checked {
    for edge in [1024, 2048, 4096, 8192, 65_536] {
        for length in [edge - 5, edge - 4, edge - 3, edge - 1, edge, edge + 1] {
            context.ask(ANY, &text(length))?;
        }
    }
    Ok(Remark::Passed)
}

pub(super) fn past_64k(context: &Context) -> Checked {
    context.ask(ANY, &text(65_537)).map(|()| Remark::Passed)
}

pub(super) fn long(context: &Context) -> Checked {
    context.ask(ANY, &text(482_164)).map(|()| Remark::Passed)
}

pub(super) fn largest(context: &Context) -> Checked {
    if !context.large {
        return Ok(Remark::Skipped("run with --large".into()));
    }
    context.allow_longer();
    context.ask(ANY, &text(crate::client::client_protocol::MAX_LENGTH)).map(|()| Remark::Passed)
}

/// The request comes in two parts, cut at each of these places; each time on a new connection.
fn cut_at(context: &Context, message: &[u8], places: impl Iterator<Item = usize>) -> Checked {
    let request = context.request(ANY, message);
    for place in places {
        let mut probe = context.connect()?;
        let (first, second) = request.split_at(place);
        probe.send_in_parts(&[first, second])?;
        probe.expect(&context.answer(ANY, message))?;
    }
    Ok(Remark::Passed)
}

fn header_length(context: &Context, message: &[u8]) -> usize {
    context.request(ANY, message).len() - message.len()
}

pub(super) fn header_split(context: &Context) -> Checked {
    let message = text(20);
    let header = header_length(context, &message);
    cut_at(context, &message, 1..=header)
}

pub(super) fn data_split(context: &Context) -> Checked {
    let message = text(3000);
    let header = header_length(context, &message);
    cut_at(context, &message, [1, 2, 1500, 2999].iter().map(|place| header + place))?;
    // And in three: the first may have come with the header.
    let request = context.request(ANY, &message);
    let mut probe = context.connect()?;
    probe.send_in_parts(&[&request[..header + 1000], &request[header + 1000..2500], &request[2500..]])?;
    probe.expect(&context.answer(ANY, &message))?;
    Ok(Remark::Passed)
}

pub(super) fn header_dribbled(context: &Context) -> Checked {
    let message = text(20);
    let request = context.request(ANY, &message);
    let (header, data) = request.split_at(header_length(context, &message));
    let mut parts: Vec<_> = header.chunks(1).collect();
    parts.push(data);
    let mut probe = context.connect()?;
    probe.send_in_parts(&parts)?;
    probe.expect(&context.answer(ANY, &message))?;
    Ok(Remark::Passed)
}

pub(super) fn all_dribbled(context: &Context) -> Checked {
    let message = text(20);
    let mut probe = context.connect()?;
    probe.send_in_parts(&context.request(ANY, &message).chunks(1).collect::<Vec<_>>())?;
    probe.expect(&context.answer(ANY, &message))?;
    Ok(Remark::Passed)
}

pub(super) fn code_point_split(context: &Context) -> Checked {
    let message = "ab\u{e9}\u{6f22}\u{1f600}z".as_bytes();
    let header = header_length(context, message);
    // Inside each of the three characters that have more than one byte.
    cut_at(context, message, [3, 5, 6, 8, 9, 10].iter().map(|place| header + place))
}

pub(super) fn next_header_split(context: &Context) -> Checked {
    let (first, second) = (text(30), text(50));
    let next = context.request(ANY, &second);
    for place in 1..header_length(context, &second) {
        let begun = [context.request(ANY, &first).as_slice(), &next[..place]].concat();
        let mut probe = context.connect()?;
        probe.send(&begun)?;
        probe.expect(&context.answer(ANY, &first))?;
        probe.send(&next[place..])?;
        probe.expect(&context.answer(ANY, &second))?;
    }
    Ok(Remark::Passed)
}

pub(super) fn keep_alive(context: &Context) -> Checked {
    let mut probe = context.connect()?;
    for message in ["first", "the second", "and a third"] {
        probe.send(&context.request(ANY, message.as_bytes()))?;
        probe.expect(&context.answer(ANY, message.as_bytes()))?;
    }
    Ok(Remark::Passed)
}

/// All these requests in one go, then all their answers.
fn in_one_go<'a>(context: &Context, messages: impl Iterator<Item = &'a [u8]>) -> Checked {
    let (mut requests, mut answers) = (Vec::new(), Vec::new());
    for message in messages {
        requests.extend(context.request(ANY, message));
        answers.extend(context.answer(ANY, message));
    }
    context.exchange(&requests, &answers).map(|()| Remark::Passed)
}

pub(super) fn two_in_one(context: &Context) -> Checked {
    in_one_go(context, [b"hello".as_slice(), b"world, again"].into_iter())
}

pub(super) fn burst(context: &Context) -> Checked {
    let all = text(1000);
    in_one_go(context, (0..1000).map(|i| &all[i..(i + i % 40).min(1000)]))
}

pub(super) fn mixed_sizes(context: &Context) -> Checked {
    let all = text(200_000);
    in_one_go(context, [0, 70_000, 1, 5000, 200_000, 2, 1024, 0, 3].iter().map(|&length| &all[..length]))
}

pub(super) fn four_megabytes(context: &Context) -> Checked {
    let all = text(65_536);
    in_one_go(context, std::iter::repeat_n(all.as_slice(), 64))
}
