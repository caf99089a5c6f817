//! Judgments of clients whose server fails, or whose input is unusual.
//!
//! The interface of client programs does not say what they do then, except that errors are reported on standard error
//! and by the exit code. So a client may print the replies that arrived, or none of them, but never a part of one.

use crate::client::check_client::definition::ScenarioResult;
use crate::client::check_client::mistakes::NOTHING_ELSE;
use crate::client::check_client::observation::{ClientEnd, Observation};
use crate::client::check_client::plan::Plan;
use crate::client::check_client::trial::Trial;
use crate::client::judge::mismatch::Mismatch;
use crate::client::judge::outcome::Pass;

const WHOLE_REPLIES: &str = "print a reply when all of it has arrived, and nothing of one that has not";

/// Judges a client whose server failed after this number of replies: it reports an error, and prints no part of a reply.
///
/// # Errors
/// It does not.
pub fn failed_after(observation: &Observation, replies: usize) -> ScenarioResult {
    expect_whole_replies(observation, replies)?;
    observation.expect_failure()?;
    Ok(Pass::Clean)
}

/// Runs a client, one of whose replies is `error`, and judges all but its exit code: that is not part of the interface,
/// and `retort send` reports a refusal by it.
///
/// # Errors
/// Something else is not that of a correct client.
pub fn passes_with_any_code(trial: &Trial, plan: Plan) -> ScenarioResult {
    let observation = trial.run(plan)?;
    observation.expect_requests()?;
    observation.expect_output(&observation.plan.output())?;
    observation.expect_end()?;
    Ok(Pass::Clean)
}

/// Expects on standard output the lines of the first replies, at most this number of them.
///
/// # Errors
/// There is something else.
pub fn expect_whole_replies(observation: &Observation, most: usize) -> Result<(), Mismatch> {
    let mut output = Vec::new();
    for exchange in observation.plan.exchanges.iter().take(most) {
        if observation.stdout == output {
            return Ok(());
        }
        output.extend([&exchange.reply[..], b"\n"].concat());
    }
    let printed = observation.stdout.strip_suffix(b"\n").unwrap_or(&observation.stdout);
    let is_beginning = observation.plan.output().starts_with(printed);
    // in a protocol without boundaries between replies, a client may print bytes as they come
    if observation.stdout == output || (is_beginning && !observation.protocol.has_reply_length()) {
        return Ok(());
    }
    let hint = if is_beginning { WHOLE_REPLIES } else { NOTHING_ELSE };
    observation.expect_output(&output).map_err(|mismatch| Mismatch { hint: hint.into(), ..mismatch })
}

/// The lines on standard output, without their newlines.
#[must_use]
pub fn lines(observation: &Observation) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = observation.stdout.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines
}

/// Whether the client was still running when its time was up.
#[must_use]
pub fn did_not_end(observation: &Observation) -> bool {
    matches!(observation.end, ClientEnd::Hung(_) | ClientEnd::OutOfTime(_))
}
