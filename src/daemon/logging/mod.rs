//! The log: to standard error, to the journal, or to the system log. It can neither block nor end the daemon.
//!
//! Whether a write will block cannot be determined in advance. poll(2) reports a terminal as writable that has room for
//! one byte, and a regular file always, even on a network file system that hangs. Nor can the descriptor be made
//! non-blocking: standard error shares its open file description, and so its flags, with the shell or with other
//! services; a separate description (by opening /proc/self/fd/2) is not available for a socket or another user's
//! terminal; and a regular file has no non-blocking writes. Therefore one thread writes the log and may block in a
//! write for any time; all other threads only add their lines to a bounded queue (`queue.rs`). Lines are written in the
//! order in which they were added. A line that was written in part is completed before anything else is written, or
//! ended by a line feed if the rest was refused (`sink/descriptor.rs`).
//!
//! A line is dropped and counted if the queue is full or if the write fails (no space left, file too large, closed);
//! the number is written where the lines are missing, as soon as the log accepts lines again.
//!
//! The log thread blocks every signal: a write to a terminal from the background stops the process with SIGTTOU under
//! `stty tostop`, unless that signal is blocked or ignored (termios(3)).
//!
//! Every line is cut, and its control characters are escaped (`message.rs`), so that no input of a client can forge a
//! line.
//!
//! | file | content |
//! |---|---|
//! | `line.rs`, `message.rs` | one line, with its text and key-value pairs |
//! | `queue.rs` | the lines that wait for the log thread |
//! | `format/` | how a line is written: as text, as a JSON object, as fields of the journal |
//! | `sink/` | where it is written: standard error, the sockets of system log and journal |

mod format;
mod line;
mod message;
mod queue;
mod sink;

use std::env;
use std::fmt;
use std::io;
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record, error};

use crate::daemon::config::args::{LogFormat, LogTarget};
use crate::sys::{self, FileId};
use format::text::Prefix;
use line::Severity;
use message::Message;
use queue::Queue;
use sink::{LogSocket, Sink};

/// The socket of the system log (syslog(3)).
const SYSLOG_SOCKET: &str = "/dev/log";
/// The socket of the journal (systemd-journald.service(8)).
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";
/// The maximum time that the exit waits for the last lines to be written. Chosen: half of the second within which an
/// idle daemon exits after SIGTERM.
const EXIT_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// The most memory that lines take that wait for a slow log, in bytes. Derived: a full queue, and as much that the log
/// thread is writing.
pub const MAX_MEMORY: u64 = 2 * queue::CAPACITY as u64;

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Starts the log with the level of `verbose` times `--verbose`. Lines are queued until [`start_thread`]. Call it once.
pub fn start(verbose: u8) {
    // fails only if there is a logger already
    let _ = log::set_logger(LOGGER.get_or_init(Logger::default));
    set_verbosity(verbose);
    panic::set_hook(Box::new(report_panic));
}

/// Starts the thread that writes the log.
///
/// # Errors
/// The system refuses the thread: nothing can be logged then.
pub fn start_thread(target: LogTarget, format: LogFormat) -> io::Result<()> {
    let is_journal = target != LogTarget::Stderr && stderr_is_journal();
    let prefix = if is_journal { Prefix::Priority } else { Prefix::Stamp };
    let socket = match target {
        LogTarget::Syslog => Some(LogSocket::syslog(SYSLOG_SOCKET.into())),
        LogTarget::Auto if !is_journal => None,
        LogTarget::Auto | LogTarget::Journal => Some(LogSocket::journal(JOURNAL_SOCKET.into())),
        LogTarget::Stderr => None,
    };
    let logger = LOGGER.get_or_init(Logger::default);
    let shows_pairs = format == LogFormat::Json || matches!(socket, Some(LogSocket::Journal(_)));
    logger.without_pairs.store(!shows_pairs, Ordering::Relaxed);
    let sink = Sink::new(format, prefix, socket);
    thread::Builder::new().name("log".into()).spawn(move || write_lines(&logger.queue, sink))?;
    Ok(())
}

/// Waits until every line is written, at most for [`EXIT_FLUSH_TIMEOUT`]. Call it before the exit.
pub fn finish() {
    if let Some(logger) = LOGGER.get() {
        logger.queue.flush(EXIT_FLUSH_TIMEOUT);
    }
}

/// Writes the lines of the queue, for ever: the log thread.
fn write_lines(queue: &Queue, mut sink: Sink) {
    sys::block_all_signals();
    loop {
        let batch = queue.take();
        let lost = sink.write(&batch);
        queue.finish(batch.lines.len(), lost);
    }
}

/// Logs a panic. The hook of the standard library would write to standard error from the thread that panics, and could
/// block it.
fn report_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    error!("{} {}", thread.name().unwrap_or("a thread"), panic.to_string().replace('\n', " "));
    finish();
}

/// Sets the log level: 0 warnings and errors, 1 also connections, 2 also requests, 3 also bytes.
pub fn set_verbosity(verbose: u8) {
    log::set_max_level(match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    });
}

/// Logs a line whatever the level: the effect of a signal.
pub fn log_always(line: &str) {
    if let Some(logger) = LOGGER.get() {
        logger.queue.push(Severity::Info, Message::new(line));
    }
}

/// The number of lines that were dropped since the start.
pub fn dropped() -> u64 {
    LOGGER.get().map_or(0, |logger| logger.queue.dropped())
}

/// Whether standard error is the journal (`$JOURNAL_STREAM` in systemd.exec(5)).
fn stderr_is_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    sys::file_id(&io::stderr()).is_ok_and(|FileId { device, inode }| stream == format!("{device}:{inode}"))
}

#[derive(Default)]
struct Logger {
    queue: Queue,
    /// Neither the target nor the format shows key-value pairs. They are collected until both are known.
    without_pairs: AtomicBool,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let message = if self.without_pairs.load(Ordering::Relaxed) {
            Message::new(record.args())
        } else {
            Message::with_pairs(record.args(), record.key_values())
        };
        self.queue.push(record.level().into(), message);
    }

    fn flush(&self) {}
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logger")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{ErrorKind, Write};
    use std::process::{Command, Stdio, exit};
    use std::sync::mpsc;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    /// The name of a test that acts as a daemon, in a process of its own, if this variable is set.
    const CHILD: (&str, &str) = ("daemon::logging::tests::panics_are_logged", "RETORTD_TEST_PANIC");

    /// A process with a log of this format and a thread that panics.
    fn panicking(format: &str) -> Command {
        let mut command = Command::new(env::current_exe().expect("the test program"));
        command.args(["--exact", CHILD.0, "--nocapture"]).env(CHILD.1, format).stdout(Stdio::null());
        command
    }

    /// What it writes to standard error.
    fn log_of_a_panic(format: &str) -> String {
        let output = panicking(format).output().expect("start the test program");
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(7), "{log}");
        log
    }

    #[test]
    fn panics_are_logged() {
        if let Some(format) = env::var_os(CHILD.1) {
            start(0);
            let format = if format == "json" { LogFormat::Json } else { LogFormat::Text };
            start_thread(LogTarget::Stderr, format).expect("a thread");
            let thread = thread::Builder::new().name("worker-9".into()).spawn(|| panic!("first\nsecond"));
            assert!(thread.expect("a thread").join().is_err());
            exit(7);
        }
        let log = log_of_a_panic("text");
        let line = log.split_once(' ').map(|(_time, line)| line).unwrap_or_default();
        assert!(line.starts_with("retortd: worker-9 panicked at ") && line.ends_with(": first second\n"), "{log}");
        let object: serde_json::Value = serde_json::from_str(&log_of_a_panic("json")).expect("one object");
        let text = object["msg"].as_str().unwrap_or_default();
        assert!(text.starts_with("worker-9 panicked at ") && text.ends_with(": first second"), "{object}");
        assert_eq!(object["level"], "error");
    }

    fn fill(mut pipe: &File) {
        fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("non-blocking");
        while pipe.write(b"x").is_ok() {}
        assert_eq!(pipe.write(b"x").map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
        fcntl(pipe, FcntlArg::F_SETFL(OFlag::empty())).expect("blocking again");
    }

    #[test]
    fn panics_do_not_block_on_a_full_log() {
        let (_reader, writer) = nix::unistd::pipe().expect("a pipe");
        let writer = File::from(writer);
        fill(&writer);
        let mut child = panicking("text").stderr(writer).spawn().expect("start the test program");
        let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
        let (send, ended) = mpsc::channel();
        thread::spawn(move || send.send(child.wait()));
        let status = ended.recv_timeout(Duration::from_secs(30)).inspect_err(|_| {
            let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL);
        });
        assert_eq!(status.expect("it ends").expect("a status").code(), Some(7));
    }
}
