//! `retort check`: judges a server by what it answers.
//!
//! Owns the run: which checks, in which order, with how much patience. Guarantees: one check at a time, each on
//! connections of its own, so that a server that serves one client at a time can pass; a server that hangs costs each
//! check its patience and no more, and the patience shrinks when it has been used up a few times.
//!
//! | module | what lives there |
//! |---|---|
//! | [`table`] | the checks: names, groups, hints |
//! | [`context`] | what a check gets: the server, connections, requests |
//! | [`probe`] | one connection with deadlines that remembers what went over it |
//! | [`flaw`] | what a failure tells |
//! | [`diagnosis`] | what a failure probably means |
//! | [`statistics`] | bounds for what chance decides |
//! | `messages`, `actions`, `errors`, `clients`, `chance`, `services` | what the checks do |
//! | `report` | text, JSON, TAP, `JUnit` |

mod actions;
mod chance;
mod clients;
pub mod context;
pub mod diagnosis;
mod errors;
pub mod flaw;
mod messages;
pub mod probe;
mod report;
mod services;
pub mod statistics;
pub mod table;

use std::time::{Duration, Instant};

use super::client_protocol::ClientProtocol;
use super::failure::{Failure, Verdict};
use super::options::CheckOptions;
use super::target::Target;
use context::Context;
use flaw::{Flaw, Remark};
use report::Report;
use table::Check;

/// What came of one check.
#[derive(Debug)]
pub struct Outcome {
    /// Which.
    pub check: &'static Check,
    /// How it went.
    pub result: Result<Remark, Flaw>,
    /// How long it took.
    pub took: Duration,
}

/// Runs the checks that the options ask for.
pub fn run(options: &CheckOptions) -> Result<Verdict, Failure> {
    let dialogue = dialogue(options)?;
    let checks = selected(dialogue, &options.selection.only)?;
    let Some(host) = options.host.as_ref().filter(|_| !options.selection.list) else {
        report::list(&checks)?;
        return Ok(Verdict::Good);
    };
    let target = Target::resolve(host, dialogue.port())?;
    let context = Context::new(target, dialogue, options.selection.patience, options.selection.large);
    // Whether there is a server at all: without one there is nothing to judge.
    drop(context.target().connect_or_fail(options.selection.patience)?);
    let mut report = Report::begin(&options.report, &context, checks.len())?;
    for check in checks {
        report.outcome(judge(check, &context))?;
    }
    report.end()
}

fn dialogue(options: &CheckOptions) -> Result<ClientProtocol, Failure> {
    let name = if options.edition.is_some() { "frame-2021" } else { options.protocol.name() };
    ClientProtocol::by_name(name).filter(|&dialogue| table::checks(dialogue).next().is_some()).ok_or_else(|| {
        Failure::cannot_run(format!("no checks for protocol {name}; there are some for {}", table::judged()))
    })
}

fn selected(dialogue: ClientProtocol, only: &[String]) -> Result<Vec<&'static Check>, Failure> {
    let wanted = |check: &&Check| only.is_empty() || only.iter().any(|name| check.is_called(name));
    for name in only {
        if !table::checks(dialogue).any(|check| check.is_called(name)) {
            return Err(Failure::cannot_run(format!("no check and no group is called {name}; --list shows them")));
        }
    }
    Ok(table::checks(dialogue).filter(wanted).collect())
}

fn judge(check: &'static Check, context: &Context) -> Outcome {
    let begun = Instant::now();
    let result = context.run(check);
    Outcome { check, result, took: begun.elapsed() }
}
