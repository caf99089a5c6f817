//! Parses the command line with clap, and with the variables of the environment.
//!
//! To clap, an empty variable has an empty value: here it is not set, as in the settings file. Nor is `RETORTD_PORT` if
//! Kubernetes set it. And clap does not say which option or variable is not UTF-8.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, ValueHint};

use super::args::command;
use super::excerpt::excerpt;

/// The variable that Kubernetes, too, sets: in the pods beside a Service named retortd, to the address of that Service
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).
const SERVICE_LINK: &str = "RETORTD_PORT";
/// How such an address begins: with the protocol of the Service's first port, in lower case. No port begins like that.
const SERVICE_PROTOCOLS: [&str; 3] = ["tcp://", "udp://", "sctp://"];

/// The value of the environment variable of an option.
fn variable(option: &Arg) -> Option<OsString> {
    option.get_env().and_then(env::var_os)
}

/// Whether the environment variable of an option exists, but sets nothing.
fn is_ignored(option: &Arg) -> bool {
    let is_link = |value: &OsStr| option.get_env().is_some_and(|name| name == SERVICE_LINK) && is_service_link(value);
    variable(option).is_some_and(|value| value.is_empty() || is_link(&value))
}

fn is_service_link(value: &OsStr) -> bool {
    SERVICE_PROTOCOLS.iter().any(|protocol| value.as_bytes().starts_with(protocol.as_bytes()))
}

/// The warning about a variable that is ignored because Kubernetes set it.
#[must_use]
pub fn service_link_warning() -> Option<String> {
    let value = env::var_os(SERVICE_LINK).filter(|value| is_service_link(value))?;
    let value = excerpt(&value.to_string_lossy()).escape_debug().to_string();
    Some(format!(
        "{SERVICE_LINK}={value} in the environment is ignored: it is the address of a Kubernetes Service named retortd, \
         not a port (set enableServiceLinks: false in the pod, or name the Service otherwise)"
    ))
}

/// Parses arguments, with the program's name first. What they lack is taken from the environment.
///
/// # Errors
/// As clap; an option or a variable that is not UTF-8 is named.
pub fn parse(arguments: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let command = command().mut_args(|option| if is_ignored(&option) { option.env(None) } else { option });
    command.try_get_matches_from(arguments).map_err(|error| {
        let is_invalid = error.kind() == ErrorKind::InvalidUtf8;
        let named = is_invalid.then(|| invalid_argument(arguments)).flatten();
        named.or_else(|| invalid_variable(arguments)).unwrap_or_else(|| shortened(error))
    })
}

/// The error with an excerpt of the value: clap quotes all of it, in front of the reason.
fn shortened(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
        let value = ContextValue::String(excerpt(value));
        error.insert(ContextKind::InvalidValue, value);
    }
    error
}

/// The error about the first value on the command line that is not UTF-8 and no path; `None` if there is none.
fn invalid_argument(arguments: &[OsString]) -> Option<clap::Error> {
    let mut command = command();
    let message = arguments.windows(2).find_map(|pair| {
        let argument = pair.last().filter(|argument| argument.to_str().is_none())?;
        let text = argument.to_string_lossy();
        let (name, is_value) = match text.split_once('=') {
            Some((name, _)) if name.starts_with("--") => (name.to_owned(), false),
            _ => (pair[0].to_string_lossy().into_owned(), true),
        };
        let long = name.strip_prefix("--")?;
        let option = command.get_arguments().find(|option| option.get_long() == Some(long));
        // paths may be any bytes
        option.filter(|option| option.get_value_hint() != ValueHint::AnyPath)?;
        let prefix = if is_value { 0 } else { name.len() + 1 };
        let value = OsStr::from_bytes(&argument.as_bytes()[prefix..]);
        Some(format!("the value of {name} is not UTF-8: {value:?}"))
    })?;
    Some(command.error(ErrorKind::InvalidUtf8, message))
}

/// The error about a variable that is not UTF-8; `None` if that is not the reason why the arguments cannot be parsed.
fn invalid_variable(arguments: &[OsString]) -> Option<clap::Error> {
    let mut command = command();
    let given = command.clone().mut_args(|option| option.env(None)).try_get_matches_from(arguments).ok()?;
    let is_given = |option: &Arg| given.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine);
    // paths may be any bytes
    let invalid = |option: &Arg| {
        let value = variable(option).filter(|value| value.to_str().is_none() && !is_given(option));
        let value = value.filter(|_| option.get_value_hint() != ValueHint::AnyPath)?;
        Some(format!("the value of {} is not UTF-8: {value:?}", option.get_env()?.to_string_lossy()))
    };
    let message = command.get_arguments().find_map(invalid)?;
    Some(command.error(ErrorKind::InvalidUtf8, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Service named retortd-NAME sets `RETORTD_NAME_PORT`, `RETORTD_NAME_PORT_80_TCP`, `RETORTD_NAME_SERVICE_HOST` and
    /// similar variables.
    #[test]
    fn no_other_variable_can_be_set_by_kubernetes() {
        let command = command();
        let names = command.get_arguments().filter_map(Arg::get_env).map(OsStr::to_string_lossy);
        let links =
            names.filter(|name| name.ends_with("_PORT") || name.contains("_PORT_") || name.contains("_SERVICE_"));
        assert_eq!(links.collect::<Vec<_>>(), [SERVICE_LINK]);
    }

    #[test]
    fn service_links_begin_with_protocol() {
        for link in ["tcp://10.96.0.7:8083", "udp://[fd00::7]:8083", "sctp://", "tcp://\u{fffd}"] {
            assert!(is_service_link(OsStr::new(link)), "{link}");
        }
        for port in ["", "8083", "tcp", "tcp:/10.96.0.7:8083", "TCP://10.96.0.7:8083", " tcp://10.96.0.7:8083"] {
            assert!(!is_service_link(OsStr::new(port)), "{port}");
        }
    }
}
