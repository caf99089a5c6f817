//! The arguments of a client: the host, the port and the file.

use std::net::ToSocketAddrs;

use super::judging::failed_after;
use super::samples::any;
use crate::client::check_client::definition::ScenarioResult;
use crate::client::check_client::plan::{Host, Input, Listening, Plan};
use crate::client::check_client::trial::Trial;
use crate::client::judge::outcome::Pass;

fn localhost(trial: &Trial, listening: Listening) -> ScenarioResult {
    let plan = Plan::new(trial.protocol(), any(trial.protocol()));
    trial.passes(Plan { listening, host: Host::Localhost, ..plan })
}

pub fn localhost_v4(trial: &Trial) -> ScenarioResult {
    localhost(trial, Listening::V4)
}

pub fn localhost_v6(trial: &Trial) -> ScenarioResult {
    let has_v6 = ("localhost", 0).to_socket_addrs().is_ok_and(|mut found| found.any(|address| address.is_ipv6()));
    if has_v6 {
        localhost(trial, Listening::V6)
    } else {
        Ok(Pass::Skipped("localhost has no IPv6 address on this machine".into()))
    }
}

pub fn missing_file(trial: &Trial) -> ScenarioResult {
    let plan = Plan { input: Input::MissingFile, ..Plan::scripted(Vec::new(), Vec::new()) };
    failed_after(&trial.run(plan)?, 0)
}

/// A number that is too large, and a word that is no service.
pub fn bad_port(trial: &Trial) -> ScenarioResult {
    for port in ["65536", "no-port"] {
        let plan = Plan::new(trial.protocol(), any(trial.protocol()));
        failed_after(&trial.run(Plan { port: Some(port.into()), ..plan })?, 0)?;
    }
    Ok(Pass::Clean)
}
