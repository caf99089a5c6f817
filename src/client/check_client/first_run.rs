//! Recognizes a command that is no client before the scenarios, so that a report says so once and not in every hint.

use super::observation::ClientEnd;
use super::plan::{Plan, Step};
use super::trial::Trial;
use crate::client::judge::mismatch::Mismatch;

/// The failure of every scenario, if the command makes no connection to the server.
pub fn failure_of_all(trial: &Trial) -> Option<Mismatch> {
    // an action that every protocol with actions has
    let exchange = trial.exchange(if trial.protocol().has_actions() { "uppercase" } else { "" }, "retort");
    let mut plan = Plan::scripted(vec![exchange], vec![Step::ServeAll]);
    plan.exact_requests = false;
    let observation = trial.run(plan).ok()?;
    if !observation.connections.is_empty() {
        return None;
    }
    let hint = match observation.end {
        ClientEnd::Code(0) => {
            "the command made no connection and reported no failure: does it use the host and the port \
                               that it is given?"
        }
        ClientEnd::Code(_) => {
            "the command made no connection: does it take -h HOST -p PORT FILE? Otherwise write {host}, \
                               {port} and {file} where they belong"
        }
        ClientEnd::Signal(_) => "the command crashed before it made a connection",
        ClientEnd::Excess => "the command made no connection, and printed far more than a reply",
        _ => "the command made no connection: does it wait for input, or for another server?",
    };
    Some(Mismatch::in_words("a connection to the server", observation.described_end(), hint))
}
