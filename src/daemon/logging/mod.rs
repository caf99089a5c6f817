//! The log: to standard error, to the journal, or to the system log; it can neither stall nor end the daemon.
//!
//! Whether a write will block cannot be asked. poll(2) reports room on a terminal that has it for one byte, and on a
//! regular file always, a hung network file system included. Making the descriptor non-blocking is no way out: standard
//! error shares its open file description with the shell or other services, so its flags are not ours to change; a
//! description of our own (by opening /proc/self/fd/2) cannot be had of a socket or of another user's terminal, and a
//! regular file has no non-blocking writes. Therefore one thread writes the log and may hang in a write for any time,
//! whatever the descriptor is; every other thread only adds its line to a bounded queue (`queue.rs`). The order of the
//! lines is the order in which they were added. A line that was only taken in part is finished before anything else is
//! written, or ended by a line feed when the rest was refused (`sink.rs`).
//!
//! A line that finds the queue full is dropped and counted, and so is one that a write refuses (no space left, file too
//! large, closed); the number is written where the lines are missing, as soon as the log takes lines again.
//!
//! The log thread blocks every signal: a write to a terminal from the background stops the process by SIGTTOU under
//! `stty tostop` unless that is blocked or ignored (termios(3)).
//!
//! Every line is cut and freed of control characters here, so that nothing that a client sends can forge one.

mod queue;
mod sink;
mod syslog;

use std::env;
use std::fmt;
use std::io;
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record, error};

use crate::daemon::config::args::LogTarget;
use crate::sys::{self, FileId};
use queue::Queue;
use sink::{Sink, Target};
use syslog::SyslogSocket;

/// The longest line, in bytes: RFC 3164 section 4.1 allows 1024 with the header.
const LONGEST: usize = 900;
/// The program's name in the log.
const NAME: &str = "retortd";
/// Where the system log listens (`syslog(3)`).
const SYSLOG_SOCKET: &str = "/dev/log";
/// How long the end of the daemon waits for the last lines to be written. Chosen: half of the second in which an idle
/// daemon obeys SIGTERM.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// How serious a line is, as syslog(3) numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Error = 3,
    Warning = 4,
    Info = 6,
    Debug = 7,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warn => Self::Warning,
            Level::Info => Self::Info,
            Level::Debug | Level::Trace => Self::Debug,
        }
    }
}

/// Starts the log; `verbose` as counted on the command line. Lines wait for [`start_thread`]. To be called once.
pub fn start(verbose: u8) {
    // fails only when there is a logger already
    let _ = log::set_logger(LOGGER.get_or_init(Logger::default));
    set_verbosity(verbose);
    panic::set_hook(Box::new(report_panic));
}

/// Starts the thread that writes the log.
///
/// # Errors
/// When the system refuses it: nothing can be written then.
pub fn start_thread(target: LogTarget) -> io::Result<()> {
    let target = match target {
        LogTarget::Syslog => Target::Syslog(SyslogSocket::new(SYSLOG_SOCKET.into())),
        LogTarget::Auto if stderr_is_journal() => Target::Journal,
        LogTarget::Auto | LogTarget::Stderr => Target::Stderr,
    };
    let queue = &LOGGER.get_or_init(Logger::default).queue;
    thread::Builder::new().name("log".into()).spawn(move || write_lines(queue, Sink::new(target)))?;
    Ok(())
}

/// Waits until every line is written, for a bounded time; to be called at the end of the daemon.
pub fn finish() {
    if let Some(logger) = LOGGER.get() {
        logger.queue.flush(LAST_PATIENCE);
    }
}

/// The log thread.
fn write_lines(queue: &Queue, mut sink: Sink) {
    sys::block_all_signals();
    loop {
        let batch = queue.take();
        let lost = sink.write(&batch);
        queue.finish(batch.lines.len(), lost);
    }
}

/// Logs a panic: the standard library would write to standard error from the thread that panics, which may block.
fn report_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    error!("{} {}", thread.name().unwrap_or("a thread"), panic.to_string().replace('\n', " "));
    finish();
}

/// Changes how much is said.
pub fn set_verbosity(verbose: u8) {
    log::set_max_level(match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    });
}

/// Writes a line that was asked for, whatever the level.
pub fn answer(line: &str) {
    if let Some(logger) = LOGGER.get() {
        logger.queue.push(Severity::Info, clean(line));
    }
}

/// How many lines were dropped so far.
pub fn dropped() -> u64 {
    LOGGER.get().map_or(0, |logger| logger.queue.dropped())
}

/// Whether standard error is connected to the journal (systemd.exec(5), `$JOURNAL_STREAM`).
fn stderr_is_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    sys::file_id(&io::stderr()).is_ok_and(|FileId { device, inode }| stream == format!("{device}:{inode}"))
}

#[derive(Default)]
struct Logger {
    queue: Queue,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        self.queue.push(record.level().into(), clean(&record.args().to_string()));
    }

    fn flush(&self) {}
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logger")
    }
}

/// One line: no control characters, and not too long.
fn clean(message: &str) -> String {
    let mut line = String::with_capacity(message.len().min(LONGEST));
    for character in message.chars() {
        if line.len() >= LONGEST {
            line.push_str("...");
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{ErrorKind, Write};
    use std::process::{Command, Stdio, exit};
    use std::sync::mpsc;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    #[test]
    fn a_client_cannot_forge_lines() {
        assert_eq!(clean("a\nb\u{1b}[2J\0\r\u{9b}é"), "a\\nb\\u{1b}[2J\\u{0}\\r\\u{9b}é");
        let long = clean(&"é".repeat(10_000));
        assert!(long.len() <= LONGEST + 5 && long.ends_with("..."), "{}", long.len());
    }

    /// The name of a test that plays a daemon in a process of its own when this variable is set.
    const PLAYED: (&str, &str) = ("daemon::logging::tests::a_panic_is_logged", "RETORTD_TEST_PANIC");

    /// A process with a thread that panics, and with a log.
    fn panicking() -> Command {
        let mut command = Command::new(env::current_exe().expect("the test program"));
        command.args(["--exact", PLAYED.0, "--nocapture"]).env(PLAYED.1, "").stdout(Stdio::null());
        command
    }

    #[test]
    fn a_panic_is_logged() {
        if env::var_os(PLAYED.1).is_some() {
            start(0);
            start_thread(LogTarget::Stderr).expect("a thread");
            let thread = thread::Builder::new().name("worker-9".into()).spawn(|| panic!("first\nsecond"));
            assert!(thread.expect("a thread").join().is_err());
            exit(7);
        }
        let output = panicking().output().expect("start the test program");
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{log}");
        assert!(log.starts_with("retortd: worker-9 panicked at ") && log.ends_with(": first second\n"), "{log}");
    }

    fn fill(mut pipe: &File) {
        fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("non-blocking");
        while pipe.write(b"x").is_ok() {}
        assert_eq!(pipe.write(b"x").map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
        fcntl(pipe, FcntlArg::F_SETFL(OFlag::empty())).expect("blocking again");
    }

    #[test]
    fn a_panic_does_not_wait_for_a_log_that_nobody_reads() {
        let (_reader, writer) = nix::unistd::pipe().expect("a pipe");
        let writer = File::from(writer);
        fill(&writer);
        let mut child = panicking().stderr(writer).spawn().expect("start the test program");
        let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
        let (send, ended) = mpsc::channel();
        thread::spawn(move || send.send(child.wait()));
        let status = ended.recv_timeout(Duration::from_secs(30)).inspect_err(|_| {
            let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL);
        });
        assert_eq!(status.expect("it ends").expect("a status").code(), Some(7));
    }
}
