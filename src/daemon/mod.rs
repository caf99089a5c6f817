//! The daemon from start to exit: configuration, signals, log, listeners, server, main loop.
//!
//! Every configuration error is found before the first client is accepted, and decides the exit code
//! (`exit_status.rs`). It is logged in one line, except that clap prints the errors of the command line and the
//! environment.
//!
//! The main loop (`main_loop`) runs beside the workers, and so does the thread of the services that must not count
//! as clients, metrics and health (`side`).
//!
//! | file | content |
//! |---|---|
//! | `config`, `server_config`, `common_options` | the settings, and the configuration of the server that follows |
//! | `check`, `reload` | `--check` and SIGHUP |
//! | `activation`, `listen_fds`, `inetd` | the sockets that systemd or inetd passes |
//! | `hand_over` | what one process hands over to the next one |
//! | `listeners`, `bind`, `socket_options`, `listen_failure` | the sockets to serve, and why one cannot be bound |
//! | `main_loop`, `successor`, `signals`, `stop_signals`, `timers`, `idle` | from the start of the server to its end |
//! | `notify`, `notify_queue`, `notify_socket`, `status`, `impaired` | reports to systemd |
//! | `side` | the services beside the workers: metrics and health, agent-check |
//! | `logging`, `exit_status` | the log, the exit code |
//! | `system_limits`, `memory_plan` | the limits of the system, and the defaults that keep to the memory |

mod activation;
mod bind;
mod check;
mod common_options;
pub mod config;
mod exit_status;
mod hand_over;
mod idle;
mod impaired;
mod inetd;
mod listen_failure;
mod listen_fds;
mod listeners;
mod logging;
mod main_loop;
mod memory_plan;
mod notify;
mod notify_queue;
mod notify_socket;
mod reload;
mod server_config;
pub mod side;
mod signals;
mod socket_options;
mod status;
mod stop_signals;
mod successor;
mod system_limits;
mod timers;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::mem;
use std::process::ExitCode;

use log::{error, warn};

use crate::server::{Server, ServerConfig};
use crate::sys::Errno;
use activation::Inherited;
use config::args::{LogFormat, LogTarget};
use config::environment::service_link_warning;
use config::load::{Command, ConfigError, Configuration, Remark, load};
use config::origin::Origins;
use config::service::Service;
use config::settings::Settings;
use exit_status::{End, Failure, Kind};
use hand_over::Incoming;
use listeners::Sockets;
use main_loop::{HandOver, MainLoop, Predecessor, Progress};
use notify::Notifier;
use side::SideServices;
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
    let target = log.unwrap_or(LogTarget::Auto);
    with_log(configuration, (target, LogFormat::Text), |configuration, inherited| {
        print(&check::settings_in_force(&configuration, inherited)?)?;
        Ok(End::Stopped)
    })
}

/// Starts the log, and runs a task with the sockets that the service manager has passed; logs the reason if that fails.
fn with_log(
    configuration: Configuration,
    log: (LogTarget, LogFormat),
    task: impl FnOnce(Configuration, Inherited) -> Result<End, Failure>,
) -> ExitCode {
    let Settings { reloadable, fixed } = &configuration.settings;
    logging::start(reloadable.verbose);
    configuration.remarks.iter().for_each(Remark::log);
    // not at a reload, which cannot change the environment
    if let Some(warning) = service_link_warning() {
        warn!("{warning}");
    }
    system_limits::reserve_descriptors();
    // before any thread is started, because listenfd changes the environment
    let inherited = activation::take(fixed.connection.as_ref());
    if let Err(code) = start_log_thread(log) {
        return code;
    }
    match inherited.and_then(|inherited| task(configuration, inherited)) {
        Ok(end) => ExitCode::from(end.code()),
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
) -> Result<End, Failure> {
    let signals = signals.map_err(|error| Failure::system(format!("cannot catch signals: {error}")))?;
    system_limits::disable_huge_pages();
    let mut notifier = Notifier::from_environment();
    let (inherited, mut incoming) = take_over(inherited, &settings);
    let predecessor = Predecessor::of(&incoming);
    let inherited = inetd::adopt(inherited, &settings.fixed)?;
    let (sockets, origins, config) = open(&settings, inherited, &mut incoming)?;
    for name in &sockets.stored {
        notifier.remove_stored(name);
    }
    server_config::warn_about_memory(&settings.reloadable, &config);
    server_config::warn_about_unused_options(&settings.reloadable, &origins);
    server_config::warn_about_services(&settings.reloadable, &origins);
    system_limits::log_system_limits(&sockets.listeners, settings.fixed.backlog, &config);
    server_config::log_computed_defaults(&settings, &config);
    let mut serving = Serving::new(&sockets, origins);
    serving.impaired.update(&config.listeners);
    let Sockets { listeners, side, connection, .. } = sockets;
    let taken_over = incoming.taken_over.or_else(|| hand_over::lost(&incoming.lost, &listeners));
    let server = Server::start(listeners, connection, taken_over, &config)
        .map_err(|error| Failure::system(error.to_string()))?;
    let side = match SideServices::start(side, server.observer()) {
        Ok(side) => side,
        Err(error) => {
            server.abort();
            let _ = server.join();
            return Err(Failure::system(format!("cannot start the thread beside the workers: {error}")));
        }
    };
    let progress = Progress::new(&notifier, HandOver::new(successor::program(arguments)), predecessor);
    MainLoop { server, side, serving, signals: &signals, notifier, settings, arguments, progress }.run()
}

/// Reads what a predecessor has handed over; the sockets that a service manager had passed to it are inherited now.
fn take_over(mut inherited: Inherited, settings: &Settings) -> (Inherited, Incoming) {
    let mut incoming = hand_over::unpack(mem::take(&mut inherited.hand_over));
    inherited.take_back(&mut incoming, settings.fixed.connection.as_ref());
    (inherited, incoming)
}

/// The sockets to serve with their origins, and the configuration of their server.
fn open(
    settings: &Settings,
    inherited: Inherited,
    incoming: &mut Incoming,
) -> Result<(Sockets, Origins, ServerConfig), Failure> {
    let mut origins = listeners::origins(&settings.fixed, &inherited)?;
    let mut config = server_config::server_config(settings, &origins)?;
    incoming.close_above(server_config::most_connections(config.workers, &origins));
    let sockets = listeners::open(&settings.fixed, inherited, mem::take(&mut incoming.listeners))?;
    if !sockets.missing.is_empty() {
        origins.remove(&sockets.missing);
        config = server_config::server_config(settings, &origins)?;
    }
    Ok((sockets, origins, config))
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

/// The list of services: name, default port, summary, RFC.
fn list() -> String {
    let line = |service: Service| {
        let port = service.port().map_or("-".to_string(), |port| port.to_string());
        let summary = match service {
            Service::Protocol(info) => {
                format!("{}{}", info.summary, info.rfc.map_or(String::new(), |rfc| format!(" (RFC {rfc})")))
            }
            Service::Side(side) => format!("{} (no protocol for clients)", side.summary()),
        };
        format!("{:<14} {port:>5}  {summary}\n", service.name())
    };
    Service::all().map(line).collect()
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
