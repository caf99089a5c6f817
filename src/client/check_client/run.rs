//! One run of the client against the scripted server, in one loop.
//!
//! Guarantees: the run ends, when nothing happens for the patience, and at its deadline in any case; whatever ends it,
//! the client's process group is killed, and nothing of it is left but what left the group.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::ClientProcess;
use super::command::{ClientCommand, Values};
use super::listening;
use super::observation::{ClientEnd, Observation};
use super::plan::{Host, Input, Plan};
use super::result::Halt;
use super::script::pauses;
use super::server::ScriptedServer;
use crate::client::client_protocol::ClientProtocol;
use crate::client::failure::Failure;
use crate::sys::{self, Interest, Interrupts};

/// What a run needs.
#[derive(Debug)]
pub struct Run<'a> {
    /// The client.
    pub command: &'a ClientCommand,
    /// The protocol that it should speak.
    pub protocol: ClientProtocol,
    /// What is prepared.
    pub plan: Plan,
    /// The time that the run may take.
    pub patience: Duration,
    /// Ctrl-C and SIGTERM.
    pub interrupts: &'a Interrupts,
}

/// The time of a whole run, in multiples of the patience. Chosen, as for checks of servers: a correct client that is
/// slow needs a few waits.
const PATIENCE_MULTIPLE: u32 = 5;

/// The least time of a whole run, whatever the patience is. Chosen: an interpreter on a busy machine needs seconds for
/// the scenarios with megabytes.
const MIN_TIME: Duration = Duration::from_secs(10);

/// Bytes that a client may print beyond those of a correct one, before it is killed. Chosen: far more than any mistake
/// adds.
const MAX_EXCESS: usize = 1 << 20;

/// The time to read what is left in the pipes of a client that has ended. Derived: its process group is gone, so their
/// end is there already, unless a process has left the group with them.
const REST_TIME: Duration = Duration::from_millis(200);

/// Runs the client once.
///
/// # Errors
/// The run says nothing about the client.
pub fn observe(run: &Run<'_>) -> Result<Observation, Halt> {
    let port = listening::open(run.plan.listening, run.plan.small_buffers)?;
    let directory = tempfile::Builder::new().prefix("retort-").tempdir();
    let directory = directory.map_err(|error| cannot("create a temporary directory", &error))?;
    let (command, stdin) = prepare(run, &port.address, &directory)?;
    let mut server = ScriptedServer::new(run.protocol, port, &run.plan);
    let max_output = run.plan.output().len() + MAX_EXCESS;
    let started = Instant::now();
    let client = ClientProcess::start(command, stdin, max_output);
    let mut client = client.map_err(|error| Halt::CannotRun(run.command.cannot_start(&error)))?;
    let mut watch = Watch { run, server: &mut server, client: &mut client, started, startup: None };
    let ended = watch.wait()?;
    let startup = watch.startup;
    let end = client.finish().map_err(|error| cannot("wait for the client", &error))?;
    read_rest(&mut client, &mut server).map_err(|error| cannot("accept a connection", &error))?;
    let (connections, sent) = server.into_records();
    Ok(Observation {
        plan: run.plan.clone(),
        protocol: run.protocol,
        stdout: client.stdout.take(),
        stderr: client.stderr.take(),
        end: ended.unwrap_or(end),
        connections,
        sent,
        startup,
    })
}

/// A run in progress.
struct Watch<'a> {
    run: &'a Run<'a>,
    server: &'a mut ScriptedServer,
    client: &'a mut ClientProcess,
    started: Instant,
    startup: Option<Duration>,
}

impl Watch<'_> {
    /// Waits until the client has ended by itself (`None`), or has to be killed for this reason.
    fn wait(&mut self) -> Result<Option<ClientEnd>, Halt> {
        let patience = self.run.patience;
        let whole = (patience * PATIENCE_MULTIPLE).max(MIN_TIME) + pauses(&self.run.plan.script);
        let mut last = self.started;
        loop {
            let now = Instant::now();
            self.server.advance(now).map_err(|error| cannot("accept a connection", &error))?;
            if self.startup.is_none() && self.server.has_connections() {
                self.startup = Some(now - self.started);
            }
            let printed = self.client.stdout.read() | self.client.stderr.read();
            if self.server.take_progress() | printed | self.server.timer().is_some() {
                last = now;
            }
            let end = match () {
                () if self.client.has_exited() => return Ok(None),
                () if self.server.is_wrong(now) => Some(ClientEnd::WrongRequest),
                () if self.client.stdout.has_exceeded() => Some(ClientEnd::Excess),
                () if now >= last + patience => Some(ClientEnd::Hung(patience)),
                () if now >= self.started + whole => Some(ClientEnd::OutOfTime(whole)),
                () => None,
            };
            if end.is_some() {
                return Ok(end);
            }
            let next = [last + patience, self.started + whole].into_iter().chain(self.server.timer()).min();
            self.sleep(next.map(|next| next.saturating_duration_since(now)))?;
        }
    }

    /// Waits for an event, at most for this time.
    fn sleep(&self, time: Option<Duration>) -> Result<(), Halt> {
        const READ: Interest = Interest { read: true, write: false };
        let mut watched = vec![(self.run.interrupts.as_fd(), READ), (self.client.exited(), READ)];
        watched.extend(self.client.stdout.descriptor().map(|fd| (fd, READ)));
        watched.extend(self.client.stderr.descriptor().map(|fd| (fd, READ)));
        watched.extend(self.server.watched());
        let ready = sys::wait_any_ready(&watched, time).map_err(|error| cannot("wait for the client", &error))?;
        if ready.first().is_some_and(|interrupt| interrupt.read) {
            return Err(Halt::CannotRun(Failure::cannot_run("interrupted")));
        }
        Ok(())
    }
}

/// Reads what has arrived, after the client has ended.
fn read_rest(client: &mut ClientProcess, server: &mut ScriptedServer) -> io::Result<()> {
    let deadline = Instant::now() + REST_TIME;
    loop {
        let now = Instant::now();
        server.advance(now)?;
        let printed = client.stdout.read() | client.stderr.read();
        let open = client.stdout.descriptor().into_iter().chain(client.stderr.descriptor());
        let open: Vec<_> = open.map(|fd| (fd, Interest { read: true, write: false })).collect();
        if open.is_empty() || now >= deadline || client.stdout.has_exceeded() {
            return Ok(());
        }
        if !printed {
            sys::wait_any_ready(&open, Some(deadline - now))?;
        }
    }
}

/// The command with its values, and its standard input.
fn prepare(run: &Run<'_>, address: &std::net::SocketAddr, directory: &TempDir) -> Result<(Command, Stdio), Halt> {
    let plan = &run.plan;
    let path = directory.path().join("requests.txt");
    let content = match &plan.input {
        Input::Lines => Some(plan.lines(run.protocol)),
        Input::File(content) | Input::Standard(content) => Some(content.clone()),
        Input::MissingFile => None,
    };
    if let Some(content) = &content {
        fs::write(&path, content).map_err(|error| cannot(format_args!("write {}", path.display()), &error))?;
    }
    let is_standard = matches!(plan.input, Input::Standard(_));
    let needs_input = is_standard || !(run.command.takes_file() || run.command.takes_one_request());
    let stdin = match content {
        Some(_) if needs_input => File::open(&path).map_err(|error| cannot("open a file", &error))?.into(),
        _ => Stdio::null(),
    };
    let host = match plan.host {
        Host::Address => address.ip().to_string(),
        Host::Localhost => String::from("localhost"),
    };
    let exchange = plan.exchanges.first();
    let port = plan.port.clone().unwrap_or_else(|| address.port().to_string());
    let values = Values {
        host: &host,
        port: &port,
        file: if is_standard { Path::new("-") } else { &path },
        action: exchange.map_or("", |exchange| &exchange.action),
        message: exchange.map_or(b"", |exchange| &exchange.message),
    };
    Ok((run.command.with_values(&values), stdin))
}

fn cannot(action: impl std::fmt::Display, error: &io::Error) -> Halt {
    Halt::CannotRun(Failure::cannot(action, error))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::client::check_client::plan::{Exchange, Step};

    /// A run of the shell, which executes `script`; `$0` is the file of requests.
    fn run_shell(script: &str, input: Input, patience: Duration) -> Observation {
        let interrupts = Interrupts::watch().unwrap();
        let command = ClientCommand::new(["sh", "-c", script, "{file}"].map(OsString::from).into());
        let mut plan = Plan::scripted(vec![Exchange::new("", "line", "line")], vec![Step::ServeAll]);
        plan.input = input;
        let protocol = ClientProtocol::by_name("echo").unwrap();
        observe(&Run { command: &command, protocol, plan, patience, interrupts: &interrupts }).unwrap()
    }

    /// More than a test takes.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_end_of_a_client_is_seen() {
        for (script, end) in [
            ("exit 3", ClientEnd::Code(3)),
            ("kill -s TERM $$; sleep 1000", ClientEnd::Signal(15)),
            ("exec cat /dev/zero", ClientEnd::Excess),
        ] {
            let observation = run_shell(script, Input::Lines, LONG);
            assert_eq!(observation.end, end, "{script}");
            assert!(observation.connections.is_empty() && observation.startup.is_none());
        }
    }

    #[test]
    fn a_client_that_does_nothing_is_killed_even_if_it_ignores_signals() {
        let patience = Duration::from_millis(50);
        let observation = run_shell("trap '' TERM INT; sleep 1000; sleep 1000", Input::Lines, patience);
        assert_eq!(observation.end, ClientEnd::Hung(patience));
        assert!(observation.described_end().contains("did nothing for 50.0ms and was killed"));
    }

    #[test]
    fn children_of_a_client_do_not_outlive_it() {
        // the child has both outputs open: their end is read only because it was killed
        let observation = run_shell("sleep 1000 & echo $!", Input::Lines, LONG);
        assert_eq!(observation.end, ClientEnd::Code(0));
        let child = String::from_utf8(observation.stdout).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        assert!(status.is_err() || status.unwrap().contains(") Z "), "the child is gone, or waits to be reaped");
    }

    #[test]
    fn requests_come_as_a_file_or_on_standard_input() {
        for (script, input, printed) in [
            ("cat \"$0\"", Input::Lines, b"line\n".as_slice()),
            ("cat \"$0\"; cat", Input::File(b"other".to_vec()), b"other"),
            ("echo \"$0\"; cat", Input::Standard(b"text".to_vec()), b"-\ntext"),
            ("test -e \"$0\" || echo none", Input::MissingFile, b"none\n"),
        ] {
            let observation = run_shell(script, input, LONG);
            assert_eq!((observation.end, &*observation.stdout), (ClientEnd::Code(0), printed), "{script}");
        }
    }

    #[test]
    fn only_the_beginning_of_standard_error_is_kept() {
        let observation = run_shell("head -c 1000000 /dev/zero >&2; echo end", Input::Lines, LONG);
        assert_eq!((observation.end, &*observation.stdout), (ClientEnd::Code(0), b"end\n".as_slice()));
        assert_eq!(observation.stderr.len(), 64 << 10);
    }
}
