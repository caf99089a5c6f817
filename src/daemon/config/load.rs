//! Reads the configuration: the settings file becomes options of the command line, so that clap checks both alike.
//!
//! The command line takes precedence over the environment, and the environment over the file.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};
use log::Level;

use super::args::{Arguments, MAX_VERBOSE, command};
use super::conflict::check_for_conflicts;
use super::env_file::{self, Content, Ignored, Variable};
use super::environment;
use super::excerpt::excerpt;
use super::settings::Settings;
use super::settings_file::SettingsFile;
use super::written::{WrittenSetting, written_settings};
use crate::daemon::exit_status::{Failure, Kind};
use crate::units;

/// The request of the command line.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Serve(Box<Configuration>),
    /// Print the settings in force.
    Check(Box<Configuration>),
    /// Print the protocols.
    List,
}

/// A configuration: every value is valid, and no listener excludes another.
#[derive(Debug)]
pub struct Configuration {
    /// The settings.
    pub settings: Settings,
    /// The settings as they are written.
    pub written: Vec<WrittenSetting>,
    /// Remarks about the settings file, for the log.
    pub remarks: Vec<Remark>,
}

/// A line for the log, which is started by the settings.
#[derive(Debug)]
pub struct Remark {
    level: Level,
    text: String,
}

impl Remark {
    /// Logs it.
    pub fn log(&self) {
        log::log!(self.level, "{}", self.text);
    }
}

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// The command line or the environment is wrong; also `--help` and `--version`.
    Usage(clap::Error),
    /// The settings file is wrong, or two listeners exclude each other.
    Settings(Failure),
}

impl ConfigError {
    /// The failure, for the log: of clap's text that is the first line.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        match self {
            Self::Usage(error) => Failure::of(Kind::Usage, first_line(&error)),
            Self::Settings(failure) => failure,
        }
    }
}

impl From<clap::Error> for ConfigError {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<Failure> for ConfigError {
    fn from(failure: Failure) -> Self {
        Self::Settings(failure)
    }
}

/// Reads `arguments` (with the program's name first), the environment, and the settings file that they name.
///
/// # Errors
/// [`ConfigError::Usage`] for the command line, the environment, and a request for help; [`ConfigError::Settings`] for the
/// settings file and for listeners that exclude each other.
pub fn load(arguments: &[OsString]) -> Result<Command, ConfigError> {
    let matches = environment::parse(arguments)?;
    let Some(file) = matches.get_one::<SettingsFile>("settings") else { return Command::new(&matches, Vec::new()) };
    let command = command();
    // it cannot name another file
    let is_setting = |name: &str| name != "RETORTD_SETTINGS" && option_of(&command, name).is_some();
    let Some(content) = env_file::read(file, is_setting)? else {
        let text = format!("there is no file {file}: settings that are not given elsewhere have their defaults");
        return Command::new(&matches, vec![Remark { level: Level::Info, text }]);
    };
    let from_file = options_of(&command, file, &content, &matches)?;
    let all = arguments[..1].iter().chain(&from_file).chain(&arguments[1..]).cloned();
    let remarks = ignored_lines(file, &content).into_iter().collect();
    Command::new(&environment::parse(&all.collect::<Vec<_>>())?, remarks)
}

impl Command {
    fn new(matches: &ArgMatches, remarks: Vec<Remark>) -> Result<Self, ConfigError> {
        let arguments = Arguments::from_arg_matches(matches)?;
        if arguments.list {
            return Ok(Self::List);
        }
        let command = if arguments.check { Self::Check } else { Self::Serve };
        let (settings, written) = (Settings::new(arguments), written_settings(matches));
        check_for_conflicts(&settings.fixed.endpoints)?;
        Ok(command(Box::new(Configuration { settings, written, remarks })))
    }
}

/// The variables of a settings file as options, without those that `given` has already.
fn options_of(
    command: &clap::Command,
    file: &SettingsFile,
    content: &Content,
    given: &ArgMatches,
) -> Result<Vec<OsString>, Failure> {
    let mut options = Vec::new();
    for Variable { line, name, value, open_quote } in &content.variables {
        let Some(option) = option_of(command, name) else { continue };
        let source = given.value_source(option.get_id().as_str());
        if matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        let long = option.get_long().unwrap_or_default();
        let setting = as_options(long, value).map_err(|error| {
            let why = if *open_quote { "a quote is not closed".into() } else { format!("{name}: {error}") };
            Failure::configuration(format!("{file}:{line}: {why}"))
        })?;
        options.extend(setting);
    }
    Ok(options)
}

/// The option with the environment variable `name`.
fn option_of<'a>(command: &'a clap::Command, name: &str) -> Option<&'a clap::Arg> {
    command.get_arguments().find(|option| option.get_env().is_some_and(|variable| variable == name))
}

/// The warning about lines of the file that are ignored.
fn ignored_lines(file: &SettingsFile, content: &Content) -> Option<Remark> {
    let Ignored { first_line, count } = content.ignored?;
    let count = if count == 1 { String::new() } else { format!(" ({count} such lines)") };
    Some(Remark { level: Level::Warn, text: format!("{file}:{first_line}: ignored: not NAME=VALUE{count}") })
}

/// A setting of the file as options of the command line, if its value is valid; the error is one line. `--verbose`
/// takes no value: it is repeated.
fn as_options(long: &str, value: &str) -> Result<Vec<OsString>, String> {
    if long == "verbose" {
        let level = units::number_within::<u8>(0..=MAX_VERBOSE)(value);
        let level = level.map_err(|error| printable(&format!("invalid value '{}': {error}", excerpt(value))))?;
        return Ok(vec!["--verbose".into(); level.into()]);
    }
    let option = OsString::from(format!("--{long}={value}"));
    match environment::parse(&["retortd".into(), option.clone()]) {
        Ok(_) => Ok(vec![option]),
        Err(error) => Err(first_line(&error)),
    }
}

/// The first line of clap's text, which says what is wrong.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    printable(text.lines().next().unwrap_or_default().trim_start_matches("error: "))
}

/// An error that quotes a value of the file, with its control characters replaced. The log cuts long lines.
fn printable(error: &str) -> String {
    error.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
