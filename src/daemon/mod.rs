//! The daemon from start to exit: configuration, signals, log, listeners, server, main loop.
//!
//! Every configuration error is found before the first client is accepted, and decides the exit code
//! (`exit_status.rs`). It is logged in one line, except that clap prints the errors of the command line and the
//! environment.
//!
//! The main loop (`main_loop.rs`) runs beside the workers. A service that must not count as a client, such as metrics,
//! would be a thread started beside [`Server::start`], which `MainLoop` would hold and end: it would read
//! [`Server::stats`] and [`Server::phase`], and take no connection from a worker.
//!
//! | file | content |
//! |---|---|
//! | `config`, `server_config`, `common_options` | the settings, and the configuration of the server that follows |
//! | `check`, `reload` | `--check` and SIGHUP |
//! | `activation`, `listen_fds`, `inetd` | the sockets that systemd or inetd passes |
//! | `listeners`, `bind`, `socket_options`, `listen_failure` | the sockets to serve, and why one cannot be bound |
//! | `main_loop`, `signals`, `stop_signals`, `timers`, `idle` | from the start of the server to its end |
//! | `notify`, `notify_queue`, `status` | reports to systemd |
//! | `logging`, `system_limits`, `exit_status` | the log, the limits of the system, the exit code |

mod activation;
mod bind;
mod check;
mod common_options;
pub mod config;
mod exit_status;
mod idle;
mod inetd;
mod listen_failure;
mod listen_fds;
mod listeners;
mod logging;
mod main_loop;
mod notify;
mod notify_queue;
mod reload;
mod server_config;
mod signals;
mod socket_options;
mod status;
mod stop_signals;
mod system_limits;
mod timers;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use log::error;

use crate::protocol;
use crate::server::Server;
use crate::sys::Errno;
use activation::Inherited;
use config::args::{LogFormat, LogTarget};
use config::load::{Command, ConfigError, Configuration, Remark, load};
use config::settings::Settings;
use exit_status::{Failure, Kind};
use listeners::Sockets;
use main_loop::MainLoop;
use notify::Notifier;
use signals::Signals;
use status::Serving;

/// The program `retortd`.
#[must_use]
pub fn main() -> ExitCode {
    signals::ignore_file_size_limit();
    let Ok(log) = inetd::detach_standard_error() else { return ExitCode::from(Kind::System.code()) };
    let arguments: Vec<OsString> = env::args_os().collect();
    let code = match load(&arguments) {
        Ok(Command::Serve(configuration)) => run(*configuration, &arguments, log),
        Ok(Command::Check(configuration)) => print_settings(*configuration, log),
        Ok(Command::List) => exit_code(print(&list())),
        Err(error) => reject(error, log),
    };
    logging::finish();
    code
}

/// Serves, and logs the reason if that fails: to `log`, or else where `--log` says.
fn run(configuration: Configuration, arguments: &[OsString], log: Option<LogTarget>) -> ExitCode {
    // before the rest of the start, so that a signal during it is handled after it
    let signals = Signals::catch();
    let target = log.unwrap_or(configuration.settings.fixed.log);
    let format = configuration.settings.fixed.log_format;
    with_log(configuration, (target, format), |Configuration { settings, .. }, inherited| {
        serve(signals, inherited, settings, arguments)
    })
}

/// Prints the settings in force, or logs why they cannot be used: to `log`, or else to standard error.
fn print_settings(configuration: Configuration, log: Option<LogTarget>) -> ExitCode {
    let log = (log.unwrap_or(LogTarget::Auto), LogFormat::Text);
    with_log(configuration, log, |configuration, inherited| {
        print(&check::settings_in_force(&configuration, inherited)?)
    })
}

/// Starts the log, and runs a task with the sockets that the service manager has passed; logs the reason if that fails.
fn with_log(
    configuration: Configuration,
    log: (LogTarget, LogFormat),
    task: impl FnOnce(Configuration, Inherited) -> Result<(), Failure>,
) -> ExitCode {
    let Settings { reloadable, fixed } = &configuration.settings;
    logging::start(reloadable.verbose);
    configuration.remarks.iter().for_each(Remark::log);
    // before any thread is started, because listenfd changes the environment
    let inherited = activation::take(fixed.connection.as_ref());
    if let Err(code) = start_log_thread(log) {
        return code;
    }
    match inherited.and_then(|inherited| task(configuration, inherited)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            failure.exit_code()
        }
    }
}

/// Starts the thread that writes the log. If the system refuses it, the reason goes to standard error.
fn start_log_thread((target, format): (LogTarget, LogFormat)) -> Result<(), ExitCode> {
    logging::start_thread(target, format).map_err(|error| {
        // fails if standard error is closed
        let _ = writeln!(io::stderr(), "retortd: cannot start the log thread: {error}");
        ExitCode::from(Kind::System.code())
    })
}

/// From the settings to the end of the server.
fn serve(
    signals: Result<Signals, Errno>,
    inherited: Inherited,
    settings: Settings,
    arguments: &[OsString],
) -> Result<(), Failure> {
    let signals = signals.map_err(|error| Failure::system(format!("cannot catch signals: {error}")))?;
    system_limits::disable_huge_pages();
    let mut notifier = Notifier::from_environment();
    let inherited = inetd::adopt(inherited, &settings.fixed)?;
    let origins = listeners::origins(&settings.fixed, &inherited)?;
    let config = server_config::server_config(&settings, &origins)?;
    let Sockets { listeners, connection, stored } = listeners::open(&settings.fixed, inherited)?;
    for name in &stored {
        notifier.remove_stored(name);
    }
    server_config::warn_about_memory(settings.reloadable.max_buffered);
    server_config::warn_about_unused_options(&settings.reloadable, &origins);
    system_limits::log_system_limits(&listeners, settings.fixed.backlog, &config);
    let serving = Serving::new(&listeners, origins, connection.is_some());
    let server = Server::start(listeners, connection, &config).map_err(|error| Failure::system(error.to_string()))?;
    MainLoop::new(server, serving, &signals, notifier, settings, arguments).run()
}

/// Prints why the configuration cannot be used, or the help that was requested: clap's text as it is, every other
/// error as a line of the log. Where standard error cannot be used, every error goes to `log`.
fn reject(error: ConfigError, log: Option<LogTarget>) -> ExitCode {
    match error {
        ConfigError::Usage(error) if log.is_none() || !error.use_stderr() => {
            // help goes to standard output, the rest to standard error
            let printed = error.print();
            if error.use_stderr() { ExitCode::from(Kind::Usage.code()) } else { exit_code(printed_to_stdout(printed)) }
        }
        error => {
            logging::start(0);
            if let Err(code) = start_log_thread((log.unwrap_or(LogTarget::Auto), LogFormat::Text)) {
                return code;
            }
            let failure = error.into_failure();
            error!("{failure}");
            failure.exit_code()
        }
    }
}

/// The list of protocols: name, default port, summary, RFC.
fn list() -> String {
    let line = |protocol: &&protocol::ProtocolInfo| {
        let port = protocol.port.map_or("-".to_string(), |port| port.to_string());
        let rfc = protocol.rfc.map_or(String::new(), |rfc| format!(" (RFC {rfc})"));
        format!("{:<14} {port:>5}  {}{rfc}\n", protocol.name, protocol.summary)
    };
    protocol::PROTOCOLS.iter().map(line).collect()
}

/// Prints text to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    printed_to_stdout(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// The result of writing to standard output. A reader that has closed the pipe wants no more: that is no failure.
fn printed_to_stdout(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::system(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// The exit code where there is no log: a failure is printed to standard error.
fn exit_code(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    // fails if standard error is closed
    let _ = writeln!(io::stderr(), "retortd: {failure}");
    failure.exit_code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reader_may_end_the_output() {
        assert_eq!(printed_to_stdout(Err(io::ErrorKind::BrokenPipe.into())), Ok(()));
        assert!(printed_to_stdout(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}
