//! The completion scripts, and the candidates of the values that clap does not know.
//!
//! Those of zsh and fish are written by `clap_complete`. Its script for bash completes words regardless of their position
//! and offers placeholders, and that for fish leaves out positional arguments: these parts are written here.

mod bash;
mod fish;

use std::collections::BTreeSet;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, Command, ValueHint};
use clap_complete::{Generator, Shell};
use retortd::client::check::{catalog, definition::checkable_protocols};
use retortd::client::check_client::{definition::JUDGED, scenarios::catalog::SCENARIOS};
use retortd::daemon::config::service::SideService;
use retortd::protocol::PROTOCOLS;
use retortd::transform::Action;

/// The shells for which there are completions.
pub const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// The command lines of both programs.
pub fn programs() -> [Command; 2] {
    [retortd::daemon::config::args::command(), retortd::client::command()]
}

/// The name under which a shell finds the script.
pub fn file_name(shell: Shell, command: &Command) -> String {
    shell.file_name(command.get_name())
}

/// The completions of a program.
pub fn script(shell: Shell, command: Command) -> String {
    let mut command = with_candidates(command);
    if shell == Shell::Bash {
        command.build();
        return bash::script(&command);
    }
    let (name, mut script) = (command.get_name().to_owned(), Vec::new());
    clap_complete::generate(shell, &mut command, name, &mut script);
    let script = String::from_utf8(script).expect("clap_complete writes text");
    match shell {
        Shell::Fish => script + &fish::positionals(&command),
        // With two colons, no option is completed behind the first positional argument (_arguments, zshcompsys(1)).
        _ => script.replace("\n'*::", "\n'*:"),
    }
}

fn with_candidates(command: Command) -> Command {
    let name = command.get_name().to_owned();
    command.mut_args(|argument| with_values(argument, &name)).mut_subcommands(with_candidates)
}

/// The argument of a command with the candidates of its values. The programs parse these values themselves, with errors
/// that say more than a list; here they are only suggested.
fn with_values(argument: Arg, command: &str) -> Arg {
    let judges_clients = command == "check-client";
    let values = match argument.get_id().as_str() {
        "protocol" if judges_clients => protocols().filter(|value| JUDGED.contains(&value.get_name())).collect(),
        "protocol" | "listener_options" => protocols().collect(),
        "listen" => protocols().chain(side_services()).collect(),
        "action" | "stdin_data" | "words" => Action::ALL.iter().map(|action| action.name().into()).collect(),
        "only" if judges_clients => scenarios(),
        "only" => checks(),
        "hidden" => groups(judges_clients),
        "host" => return argument.value_hint(ValueHint::Hostname),
        _ if is_free(&argument) => return argument.value_hint(ValueHint::Other),
        _ => return argument,
    };
    argument.value_parser(PossibleValuesParser::new(values))
}

/// Whether nothing is known about the values: neither a list of them, nor that they are paths.
fn is_free(argument: &Arg) -> bool {
    argument.get_action().takes_values()
        && argument.get_value_parser().possible_values().is_none()
        && argument.get_value_hint() == ValueHint::Unknown
}

fn protocols() -> impl Iterator<Item = PossibleValue> {
    PROTOCOLS.iter().map(|info| PossibleValue::new(info.name).help(info.summary))
}

fn side_services() -> impl Iterator<Item = PossibleValue> {
    SideService::ALL.into_iter().map(|service| PossibleValue::new(service.name()).help(service.summary()))
}

/// The groups and the checks of all protocols, each once.
fn checks() -> Vec<PossibleValue> {
    let groups = groups(false);
    let checks = checkable_protocols().flat_map(catalog::checks).map(|check| (check.name, check.about));
    groups.into_iter().chain(values(checks)).collect()
}

/// The groups and the scenarios.
fn scenarios() -> Vec<PossibleValue> {
    let scenarios = SCENARIOS.iter().map(|scenario| (scenario.name, scenario.about));
    groups(true).into_iter().chain(values(scenarios)).collect()
}

/// The groups of scenarios, or of checks.
fn groups(of_scenarios: bool) -> Vec<PossibleValue> {
    if of_scenarios {
        values(SCENARIOS.iter().map(|scenario| (scenario.group, "a group of scenarios")))
    } else {
        values(checkable_protocols().flat_map(catalog::checks).map(|check| (check.group, "a group of checks")))
    }
}

/// The values with these names and descriptions, each once.
fn values(all: impl Iterator<Item = (&'static str, &'static str)>) -> Vec<PossibleValue> {
    let mut seen = BTreeSet::new();
    let once = all.filter(|(name, _)| seen.insert(*name));
    once.map(|(name, about)| PossibleValue::new(name).help(about)).collect()
}

/// The names of the subcommands, separated by spaces.
fn subcommands(command: &Command) -> String {
    command.get_subcommands().map(Command::get_name).collect::<Vec<_>>().join(" ")
}

/// The names of the listed values.
fn names(argument: &Arg) -> Option<Vec<String>> {
    let values = argument.get_value_parser().possible_values()?;
    Some(values.filter(|value| !value.is_hide_set()).map(|value| value.get_name().to_owned()).collect())
}
