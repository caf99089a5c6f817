//! `retort check-client`: judges a client program by scripted servers.
//!
//! Guarantees: one run of the client at a time, each within its time; a client that hangs costs each scenario its
//! patience and no more, and less after a few of them; when a scenario ends, so have the client and its process group; a
//! client gets no descriptor but its standard streams.
//!
//! | module | content |
//! |---|---|
//! | [`definition`] | a scenario: name, group, hint, the protocols that it applies to |
//! | [`scenarios`] | the list of scenarios, and what they do |
//! | [`trial`] | what a scenario gets: runs of the client |
//! | [`plan`] | what a scenario prepares: requests, input, the server's script |
//! | [`observation`] | what came of a run, and its judgment |
//! | [`result`](mod@result) | the result of a scenario, and the reasons for none |
//! | `mistakes` | mistakes that show in what a client sent or printed |
//! | [`wire`] | requests out of the bytes that a client sent |
//! | [`command`] | the command of the client, and its placeholders |
//! | `run` | the loop of one run |
//! | `client` | the process of the client |
//! | `server`, `script`, `listening` | the scripted server, its steps and its sockets |
//! | `runner` | runs one scenario after another within their times |
//! | `first_run` | recognizes a command that is no client |
//! | `selection` | the scenarios that `--only` names |

mod client;
pub mod command;
pub mod definition;
mod first_run;
mod listening;
mod mistakes;
pub mod observation;
pub mod plan;
pub mod result;
mod run;
mod runner;
pub mod scenarios;
mod script;
mod selection;
mod server;
pub mod trial;
pub mod wire;

use super::client_protocol::ClientProtocol;
use super::failure::{Failure, Status};
use super::judge::outcome::RunSummary;
use super::judge::report::{self, Report};
use super::judge::subject::{Judge, Subject};
use super::options::{CheckClientOptions, ColorWhen};
use crate::sys::{self, Interrupts};
use command::ClientCommand;
use definition::JUDGED;
use runner::ScenarioRunner;

/// Runs the scenarios that the options name.
///
/// # Errors
/// The client could not be checked: usage, a command that cannot be run, no free descriptor, an interruption, or a
/// report that cannot be written.
pub fn run(options: &CheckClientOptions, color: ColorWhen) -> Result<Status, Failure> {
    let protocol = protocol(options)?;
    let scenarios = selection::selected(protocol, &options.selection.only)?;
    let subjects: Vec<Subject> = scenarios.iter().map(|scenario| scenario.subject()).collect();
    if options.selection.list {
        report::list(&subjects)?;
        return Ok(Status::Success);
    }
    let summary = RunSummary::new(Judge::OfClients, protocol.name(), subjects);
    let mut report = Report::prepare(&options.report, color, summary)?;
    let command = ClientCommand::new(options.command.clone());
    match judge(&command, protocol, options, &scenarios, &mut report) {
        Ok(()) => report.end(),
        Err(failure) => Err(report.abandon(failure)),
    }
}

fn judge(
    command: &ClientCommand,
    protocol: ClientProtocol,
    options: &CheckClientOptions,
    scenarios: &[&'static definition::Scenario],
    report: &mut Report,
) -> Result<(), Failure> {
    sys::close_inherited_on_exec();
    let interrupts = Interrupts::watch().map_err(|error| Failure::cannot("watch for Ctrl-C", &error))?;
    let mut runner = ScenarioRunner::new(command, protocol, options.selection.patience, &interrupts);
    // A command that cannot be run is no client that fails: exit code 2.
    let failure_of_all = runner.first_run()?;
    report.begin(command.shown())?;
    if let Some(failure) = failure_of_all {
        return report.add_all_failed(&failure);
    }
    scenarios.iter().try_for_each(|scenario| report.add(runner.run(scenario)?))
}

fn protocol(options: &CheckClientOptions) -> Result<ClientProtocol, Failure> {
    let name = if options.edition.is_some() { "frame-2021" } else { options.protocol.name() };
    ClientProtocol::by_name(name).filter(|_| JUDGED.contains(&name)).ok_or_else(|| {
        let why = format!("no scenarios for clients of {name}; there are some for {}", JUDGED.join(", "));
        Failure::cannot_run(why)
    })
}
