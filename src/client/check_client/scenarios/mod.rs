//! The list of scenarios.
//!
//! To add a scenario, write a function and give it an entry here. Its hint is addressed to the author of the client, who
//! is looking for the mistake.

use std::time::Duration;

use super::definition::{AppliesTo, Scenario, ScenarioResult};
use super::plan::{Plan, Step};
use super::trial::Trial;
use crate::client::client_protocol::ClientProtocol;

/// The scenarios of a protocol, in order.
pub fn of(protocol: ClientProtocol) -> impl Iterator<Item = &'static Scenario> {
    SCENARIOS.iter().filter(move |scenario| scenario.applies_to.includes(protocol))
}

#[rustfmt::skip]
const SCENARIOS: &[Scenario] = &[
    Scenario { group: "actions", name: "reverse", applies_to: AppliesTo::WithAction("reverse"), run: reverse,
        about: "the text backwards",
        hint: "send the action's code in the top 5 bits of the header, and the length in the other 27" },
    Scenario { group: "replies", name: "split-everywhere", applies_to: AppliesTo::WithLengths, run: split_everywhere,
        about: "a reply of which each byte arrives alone",
        hint: "recv may return fewer bytes than requested: loop until the whole reply has arrived" },
    Scenario { group: "echo", name: "echo-lines", applies_to: AppliesTo::Only("echo"), run: echo_lines,
        about: "three lines come back",
        hint: "print what arrives, a line for each message" },
];

fn reverse(trial: &Trial) -> ScenarioResult {
    trial.passes(Plan::new(trial.protocol(), vec![trial.exchange("reverse", "The LAN Before Time")]))
}

fn split_everywhere(trial: &Trial) -> ScenarioResult {
    let exchange = trial.exchange("uppercase", "split");
    let pieces = exchange.wire_reply(trial.protocol()).into_iter().map(|byte| vec![byte]).collect();
    let script = vec![Step::Expect(1), Step::SendPieces(pieces, Duration::from_millis(3))];
    trial.passes(Plan::scripted(vec![exchange], script))
}

fn echo_lines(trial: &Trial) -> ScenarioResult {
    trial.passes(Plan::new(trial.protocol(), ["one", "two", "three"].map(|line| trial.exchange("", line)).into()))
}
