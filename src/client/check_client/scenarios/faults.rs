//! Servers that fail: the client reports that, and prints no part of a reply.

use super::cuts::header_length;
use super::judging::{did_not_end, expect_whole_replies, failed_after};
use super::samples::any;
use crate::client::check_client::definition::ScenarioResult;
use crate::client::check_client::plan::{Exchange, Listening, PAUSE, Plan, Step};
use crate::client::check_client::trial::Trial;
use crate::client::client_protocol::ClientProtocol;
use crate::client::judge::outcome::Pass;

/// A length that no reply has: the largest that fits in 31 bits, so that it is positive as a signed number.
const HUGE_LENGTH: u32 = i32::MAX as u32;

/// A plan whose server replies to all requests but the last one, for which it does this.
fn failing(protocol: ClientProtocol, at_last: impl FnOnce(&Exchange) -> Vec<Step>) -> Plan {
    let mut plan = Plan::new(protocol, any(protocol));
    plan.script.pop();
    if let Some(last) = plan.exchanges.last() {
        plan.script.extend(at_last(last));
    }
    plan
}

fn fails(trial: &Trial, at_last: impl FnOnce(&Exchange) -> Vec<Step>) -> ScenarioResult {
    let plan = failing(trial.protocol(), at_last);
    let replies = plan.exchanges.len() - 1;
    failed_after(&trial.run(plan)?, replies)
}

pub fn closes_early(trial: &Trial) -> ScenarioResult {
    let plan = Plan::scripted(any(trial.protocol()), vec![Step::Expect(1), Step::Close]);
    failed_after(&trial.run(plan)?, 0)
}

pub fn closes_between(trial: &Trial) -> ScenarioResult {
    fails(trial, |_| vec![Step::Close])
}

pub fn closes_in_header(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    fails(trial, |last| vec![Step::Send(last.wire_reply(protocol)[..2].to_vec()), Step::Close])
}

/// The beginning of the last reply: half of its data.
fn half(protocol: ClientProtocol, exchange: &Exchange) -> Vec<u8> {
    let length = header_length(protocol, exchange) + exchange.reply.len() / 2;
    exchange.wire_reply(protocol)[..length].to_vec()
}

pub fn closes_in_reply(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    fails(trial, |last| vec![Step::Send(half(protocol, last)), Step::Close])
}

pub fn resets(trial: &Trial) -> ScenarioResult {
    let plan = Plan::scripted(any(trial.protocol()), vec![Step::Expect(1), Step::Reset]);
    failed_after(&trial.run(plan)?, 0)
}

/// The pause lets the client receive what precedes the reset, which discards what was not received.
pub fn resets_in_reply(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    fails(trial, |last| vec![Step::Send(half(protocol, last)), Step::Pause(PAUSE), Step::Reset])
}

fn does_not_serve(trial: &Trial, listening: Listening) -> ScenarioResult {
    let plan = Plan { listening, ..Plan::scripted(any(trial.protocol()), Vec::new()) };
    failed_after(&trial.run(plan)?, 0)
}

pub fn refuses(trial: &Trial) -> ScenarioResult {
    does_not_serve(trial, Listening::Resets)
}

pub fn absent(trial: &Trial) -> ScenarioResult {
    does_not_serve(trial, Listening::Absent)
}

/// Timeouts are not part of the interface: a client may wait without end.
pub fn never_replies(trial: &Trial) -> ScenarioResult {
    let plan = Plan::scripted(any(trial.protocol()), vec![Step::Expect(1), Step::Silence]);
    let observation = trial.run(plan)?;
    if did_not_end(&observation) {
        expect_whole_replies(&observation, 0)?;
        return Ok(Pass::WithNote("waits without end for a server that never replies: that is allowed".into()));
    }
    failed_after(&observation, 0)
}

pub fn huge_length(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let header = if protocol.has_action_codes() {
        HUGE_LENGTH.to_be_bytes().to_vec()
    } else {
        format!("{HUGE_LENGTH} ").into_bytes()
    };
    fails(trial, |last| vec![Step::Send([&header, &last.reply[..]].concat()), Step::Close])
}
