//! The daemon's lifecycle: options, log, signals, listeners, ready, run, stopping.
//!
//! Everything that can be wrong is found before the first client is accepted, and ends in one line on the log and an
//! exit code of `exit_status.rs`.

mod activation;
mod announced;
pub mod config;
mod exit_status;
mod files;
mod listeners;
mod logging;
mod main_loop;
mod notify;
mod pending;
mod phase;
mod signals;
mod system_limits;
mod timer;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use log::{error, warn};

use crate::protocol::{self, ProtocolSettings};
use crate::server::{self, Server};
use crate::sys::{self, Errno};
use activation::Inherited;
use config::args::{OptionsError, Request, Settings};
use config::{args, quotes};
use exit_status::{Failure, Kind};
use listeners::Sockets;
use main_loop::Supervisor;
use notify::Manager;
use signals::Signals;

/// The whole daemon.
#[must_use]
pub fn main() -> ExitCode {
    signals::ignore_file_size_limit();
    let arguments: Vec<OsString> = env::args_os().collect();
    let code = match args::read(&arguments) {
        Ok(Request::Serve(settings)) => run(*settings, &arguments),
        Ok(Request::List) => print_list(),
        Err(error) => refuse(error),
    };
    logging::finish();
    code
}

/// Serves, and logs the reason when that fails.
fn run(settings: Settings, arguments: &[OsString]) -> ExitCode {
    // first of all, so that a signal that comes while starting is obeyed
    let signals = Signals::catch();
    logging::start(settings.verbose);
    settings.remarks.iter().for_each(|remark| warn!("{remark}"));
    // before any thread is started: listenfd changes the environment
    let inherited = activation::take();
    if let Err(code) = start_log_thread(settings.log) {
        return code;
    }
    match serve(signals, inherited, settings, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            failure.exit_code()
        }
    }
}

/// Has the log written from now on; where that is refused there is only standard error for the reason.
fn start_log_thread(target: args::LogTarget) -> Result<(), ExitCode> {
    logging::start_thread(target).map_err(|error| {
        // fails when standard error is closed
        let _ = writeln!(io::stderr(), "retortd: cannot start the log's thread: {error}");
        ExitCode::from(Kind::System.code())
    })
}

/// From settings to the last answer.
fn serve(
    signals: Result<Signals, Errno>,
    inherited: Result<Inherited, Failure>,
    settings: Settings,
    arguments: &[OsString],
) -> Result<(), Failure> {
    let signals = signals.map_err(|error| Failure::system(format!("cannot catch signals: {error}")))?;
    system_limits::refuse_huge_pages();
    let mut manager = Manager::from_environment();
    let Sockets { listeners, connection, stored } = listeners::open(&settings, inherited?)?;
    for name in &stored {
        manager.forget(name);
    }
    let protocols =
        Arc::new(ProtocolSettings { quotes: quotes::load(settings.quotes.as_deref())?, host_name: sys::host_name() });
    let limits = system_limits::limits(&settings, listeners.len())?;
    system_limits::warn_about_memory(&settings);
    system_limits::report(&listeners, &settings, &limits);
    let workers = system_limits::workers(&settings);
    let serving = serving(&listeners);
    let count = listeners.len();
    let once = connection.is_some() && listeners.is_empty();
    let plan = server::Settings { workers, limits, seed: settings.seed, protocols };
    let server = Server::start(listeners, &plan).map_err(|error| Failure::system(error.to_string()))?;
    if let Some((stream, entry)) = connection {
        server.serve(stream, entry);
    }
    Supervisor::new(server, &signals, manager, settings, arguments, (serving, count, once)).run()
}

/// What the status line says is served.
fn serving(listeners: &[server::BoundListener]) -> String {
    if listeners.is_empty() {
        return "serving one connection".into();
    }
    let names: Vec<&str> = listeners.iter().map(|listener| listener.name.as_str()).collect();
    format!("listening on {}", names.join(", "))
}

/// The options cannot be used, or ask for help: clap's text, or a line in the form of all our messages.
fn refuse(error: OptionsError) -> ExitCode {
    match error {
        OptionsError::Usage(error) => {
            // help goes to standard output, the rest to standard error; a closed one is no reason to fail differently
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(Kind::Usage.code()) } else { ExitCode::SUCCESS }
        }
        OptionsError::File(failure) => {
            logging::start(0);
            if let Err(code) = start_log_thread(args::LogTarget::Auto) {
                return code;
            }
            error!("{failure}");
            failure.exit_code()
        }
    }
}

/// Prints the table of protocols: name, default port, summary, RFC.
fn print_list() -> ExitCode {
    let mut out = io::stdout().lock();
    for entry in protocol::PROTOCOLS {
        let port = entry.port.map_or("-".to_string(), |port| port.to_string());
        let rfc = entry.rfc.map_or(String::new(), |rfc| format!(" (RFC {rfc})"));
        if writeln!(out, "{:<14} {port:>5}  {}{rfc}", entry.name, entry.summary).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}
