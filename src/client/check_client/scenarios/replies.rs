//! Replies: their lengths, and the portions in which they arrive.

use std::time::Duration;

use super::cuts::{behind_header, in_data, in_header, pass_with_cuts};
use super::samples::{self, any, reversed, takes_arguments, text};
use crate::client::check_client::definition::ScenarioResult;
use crate::client::check_client::observation::ClientEnd;
use crate::client::check_client::plan::{Exchange, Plan, Step};
use crate::client::check_client::trial::Trial;
use crate::client::judge::outcome::Pass;

/// The pause between two bytes. Chosen: shorter than between the halves of a reply, because there are many.
const BYTE_PAUSE: Duration = Duration::from_millis(3);

/// The time in which the next request of a client arrives that does not wait for the reply. Chosen without tuning.
const NEXT_REQUEST_TIME: Duration = Duration::from_millis(50);

/// The time after which a slow server replies. Chosen: longer than any timeout that is too short for the Internet.
const SLOW_REPLY_TIME: Duration = Duration::from_secs(1);

pub fn empty(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let empty = Exchange::new("reverse", "", "");
    let exchanges = if takes_arguments(protocol) {
        vec![empty]
    } else {
        let [first, second, ..] = &any(protocol)[..] else { return Ok(Pass::Clean) };
        vec![first.clone(), empty.clone(), second.clone(), empty]
    };
    trial.passes(Plan::new(protocol, exchanges))
}

pub fn longer(trial: &Trial) -> ScenarioResult {
    trial.passes(Plan::new(trial.protocol(), vec![samples::LONGER.exchange(trial.protocol())]))
}

pub fn spaces(trial: &Trial) -> ScenarioResult {
    trial.passes(Plan::new(trial.protocol(), vec![samples::SPACES_IN_REPLY.exchange(trial.protocol())]))
}

pub fn header_split(trial: &Trial) -> ScenarioResult {
    let exchange = samples::REVERSE.exchange(trial.protocol());
    pass_with_cuts(trial, &exchange, in_header(trial.protocol(), &exchange))
}

pub fn header_apart(trial: &Trial) -> ScenarioResult {
    let exchange = samples::REVERSE.exchange(trial.protocol());
    pass_with_cuts(trial, &exchange, behind_header(trial.protocol(), &exchange))
}

pub fn data_split(trial: &Trial) -> ScenarioResult {
    let exchange = samples::REVERSE.exchange(trial.protocol());
    pass_with_cuts(trial, &exchange, in_data(trial.protocol(), &exchange))
}

pub fn code_point_split(trial: &Trial) -> ScenarioResult {
    let exchange = reversed(trial.protocol(), "\u{e9}\u{6f22}\u{1f600}");
    pass_with_cuts(trial, &exchange, in_data(trial.protocol(), &exchange))
}

pub fn byte_by_byte(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let exchanges = any(protocol);
    let mut script = Vec::new();
    for exchange in &exchanges {
        let bytes = exchange.wire_reply(protocol).chunks(1).map(<[u8]>::to_vec).collect();
        script.extend([Step::Expect(1), Step::SendPieces(bytes, BYTE_PAUSE)]);
    }
    trial.passes(Plan::scripted(exchanges, script))
}

pub fn one_segment(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let messages = ["Is this the real LAN?", "Or", "is this just frequency", "", "."];
    let messages = messages.iter().filter(|message| !message.is_empty() || protocol.has_reply_length());
    let exchanges: Vec<_> = messages.map(|message| reversed(protocol, message)).collect();
    let replies = exchanges.iter().map(|exchange| exchange.wire_reply(protocol)).collect();
    trial.passes(Plan::scripted(exchanges, vec![Step::AnswerTogether(replies, NEXT_REQUEST_TIME)]))
}

/// Around the usual sizes of buffers, both of the data and of the data with its 4-byte header.
pub fn chunk_edges(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let lengths = [1024, 4096, 65_536].into_iter().flat_map(|edge| [edge - 4, edge - 1, edge, edge + 1]);
    let exchanges = lengths.map(|length| reversed(protocol, &text(length))).collect::<Vec<_>>();
    let in_one_run = if takes_arguments(protocol) { 1 } else { exchanges.len() };
    for exchanges in exchanges.chunks(in_one_run) {
        trial.passes(Plan::new(protocol, exchanges.to_vec()))?;
    }
    Ok(Pass::Clean)
}

/// The text of the course's own grader has this length.
pub fn long(trial: &Trial) -> ScenarioResult {
    trial.passes(Plan::new(trial.protocol(), vec![reversed(trial.protocol(), &text(482_164))]))
}

/// A server that is slower than the patience is one that never replies.
pub fn slow_server(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let exchange = samples::REVERSE.exchange(protocol);
    let pause = SLOW_REPLY_TIME.min(trial.patience() / 2);
    let script = vec![Step::Expect(1), Step::Pause(pause), Step::Send(exchange.wire_reply(protocol))];
    trial.passes(Plan::scripted(vec![exchange], script))
}

/// What a client does about them is its own decision, as long as they are not printed.
pub fn too_much(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let mut plan = Plan::new(protocol, any(protocol));
    if let Some(Step::Send(last)) = plan.script.last_mut() {
        last.extend(protocol.wire_reply(b"this is too much"));
    }
    let observation = trial.run(plan)?;
    observation.expect_requests()?;
    observation.expect_output(&observation.plan.output())?;
    observation.expect_end()?;
    Ok(match observation.end {
        ClientEnd::Code(0) => Pass::WithNote("a reply without a request goes unnoticed: that is allowed".into()),
        _ => Pass::Clean,
    })
}
