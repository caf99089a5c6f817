//! Checks of clients as such: how they leave, and whether the next one is served.

use std::time::Duration;

use super::context::Context;
use super::flaw::{Flaw, Remark};
use super::messages::{ANY, text};
use super::probe::Probe;
use crate::client::client_protocol::ConnectionUse;

type Checked = Result<Remark, Flaw>;

/// How long a server gets to show that it serves a second client at the same time.
const MEANWHILE: Duration = Duration::from_millis(500);

/// A first request of a client that means well, in any protocol that has requests.
fn request(context: &Context) -> Vec<u8> {
    if context.dialogue().takes_messages() { context.request(ANY, b"anybody there?") } else { Vec::new() }
}

/// The server does for this client what it is there for.
fn served(context: &Context, probe: &mut Probe) -> Result<(), Flaw> {
    probe.send(&request(context))?;
    match context.dialogue().connection_use() {
        ConnectionUse::NoReply => probe.expect_silence(Duration::from_millis(20)),
        _ if context.dialogue().takes_messages() => probe.expect(&context.answer(ANY, b"anybody there?")),
        _ => probe.gather(1),
    }
}

fn next_is_served(context: &Context) -> Checked {
    served(context, &mut context.connect()?).map(|()| Remark::Passed)
}

pub(super) fn half_close(context: &Context) -> Checked {
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for message in [text(10), text(100_000), text(20)] {
        sent.extend(context.request(ANY, &message));
        expected.extend(context.answer(ANY, &message));
    }
    let mut probe = context.connect()?;
    probe.send(&sent)?;
    probe.finish();
    probe.expect(&expected)?;
    probe.expect_close()?;
    Ok(Remark::Passed)
}

pub(super) fn half_close_at_once(context: &Context) -> Checked {
    let mut probe = context.connect()?;
    probe.finish();
    if context.dialogue().takes_messages() {
        probe.expect_close()?;
    } else {
        probe.gather(1)?;
    }
    Ok(Remark::Passed)
}

/// Our side ends after so many bytes of a request.
fn truncated(context: &Context, length: usize) -> Checked {
    let mut probe = context.connect()?;
    probe.send(&context.request("uppercase", b"never complete")[..length])?;
    probe.finish();
    probe.expect(&context.dialogue().wire_answer(crate::client::client_protocol::REFUSAL))?;
    probe.expect_close()?;
    Ok(Remark::Passed)
}

pub(super) fn truncated_header(context: &Context) -> Checked {
    truncated(context, 2)
}

pub(super) fn truncated_data(context: &Context) -> Checked {
    truncated(context, 9)
}

pub(super) fn one_after_another(context: &Context) -> Checked {
    for _ in 0..20 {
        next_is_served(context)?;
    }
    Ok(Remark::Passed)
}

/// Half of a request, seen by the server alone.
fn half_a_request(context: &Context) -> Result<Probe, Flaw> {
    let request = request(context);
    let mut probe = context.connect()?;
    probe.send_in_parts(&[&request[..request.len() / 2], b""])?;
    Ok(probe)
}

pub(super) fn vanish_in_request(context: &Context) -> Checked {
    drop(half_a_request(context)?);
    next_is_served(context)
}

pub(super) fn reset_in_request(context: &Context) -> Checked {
    half_a_request(context)?.reset();
    next_is_served(context)
}

pub(super) fn reset_in_answer(context: &Context) -> Checked {
    let mut probe = context.connect()?;
    if context.dialogue().takes_messages() {
        let request = context.request(ANY, &text(1 << 20));
        probe.send(&request)?;
    } else {
        probe.gather(1)?;
    }
    probe.reset();
    next_is_served(context)
}

pub(super) fn reset_at_once(context: &Context) -> Checked {
    context.connect()?.reset();
    next_is_served(context)
}

/// While `first` is connected a second client asks; a server for one client at a time serves it when `first` leaves.
fn beside(context: &Context, first: Probe) -> Checked {
    let mut second = context.connect()?;
    let silent = context.dialogue().connection_use() == ConnectionUse::NoReply;
    second.send(&request(context))?;
    let meanwhile = silent || second.anything_within(MEANWHILE.min(context.patience()))?;
    drop(first);
    if silent {
        return Ok(Remark::Passed);
    }
    if context.dialogue().takes_messages() {
        second.expect(&context.answer(ANY, b"anybody there?"))?;
    } else {
        second.gather(1)?;
    }
    Ok(if meanwhile {
        Remark::Passed
    } else {
        Remark::Note("serves one client at a time: that is allowed, but the others wait".into())
    })
}

pub(super) fn second_client(context: &Context) -> Checked {
    let mut first = context.connect()?;
    served(context, &mut first)?;
    beside(context, first)
}

pub(super) fn stalled_client(context: &Context) -> Checked {
    beside(context, half_a_request(context)?)
}
