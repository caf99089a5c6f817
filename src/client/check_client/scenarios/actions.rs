//! The actions, and the reply `error`.

use super::judging::passes_with_any_code;
use super::samples::{self, Sample, any};
use crate::client::check_client::definition::ScenarioResult;
use crate::client::check_client::plan::{Exchange, Plan};
use crate::client::check_client::trial::Trial;
use crate::client::client_protocol::ERROR_TEXT;

fn passes(trial: &Trial, sample: Sample) -> ScenarioResult {
    trial.passes(Plan::new(trial.protocol(), vec![sample.exchange(trial.protocol())]))
}

pub fn uppercase(trial: &Trial) -> ScenarioResult {
    passes(trial, samples::UPPERCASE)
}

pub fn lowercase(trial: &Trial) -> ScenarioResult {
    passes(trial, samples::LOWERCASE)
}

pub fn title_case(trial: &Trial) -> ScenarioResult {
    passes(trial, samples::TITLE_CASE)
}

pub fn reverse(trial: &Trial) -> ScenarioResult {
    passes(trial, samples::REVERSE)
}

pub fn shuffle(trial: &Trial) -> ScenarioResult {
    passes(trial, samples::SHUFFLE)
}

pub fn random(trial: &Trial) -> ScenarioResult {
    passes(trial, samples::RANDOM)
}

pub fn echo(trial: &Trial) -> ScenarioResult {
    trial.passes(Plan::new(trial.protocol(), any(trial.protocol())))
}

pub fn error(trial: &Trial) -> ScenarioResult {
    let mut exchanges = any(trial.protocol());
    let refused = exchanges.len() / 2;
    exchanges[refused] = Exchange { reply: ERROR_TEXT.to_vec(), ..exchanges[refused].clone() };
    passes_with_any_code(trial, Plan::new(trial.protocol(), exchanges))
}
