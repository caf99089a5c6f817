//! The end of a connection without a fault.

use super::samples::any;
use crate::client::check_client::definition::ScenarioResult;
use crate::client::check_client::plan::{Plan, Step};
use crate::client::check_client::trial::Trial;

/// The server closes when the client has closed or half-closed.
pub fn client_first(trial: &Trial) -> ScenarioResult {
    let mut plan = Plan::new(trial.protocol(), any(trial.protocol()));
    plan.script.push(Step::ExpectEnd);
    trial.passes(plan)
}

/// The server closes after the last reply.
pub fn server_first(trial: &Trial) -> ScenarioResult {
    let mut plan = Plan::new(trial.protocol(), any(trial.protocol()));
    plan.script.push(Step::Close);
    trial.passes(plan)
}
