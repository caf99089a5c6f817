//! The log: to standard error, to the journal, or to syslog; it neither stalls nor ends the daemon.
//!
//! Every line is cut and freed of control characters here, so that nothing a client sends can forge one. A line that
//! cannot be written at once is dropped and counted; the count is written when there is room again. The syslog crate
//! formats (RFC 3164, which journald reads too); the socket is ours, because the crate's blocks and never reconnects.

use std::env;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use syslog::{Facility, Formatter3164, LogFormat};

use super::options::LogTarget;
use super::units::time_stamp;

/// The longest line, in bytes: RFC 3164 section 4.1 allows 1024 with the header.
const LONGEST: usize = 900;
/// The program's name in the log.
const NAME: &str = "retortd";
/// Where syslog listens (`syslog(3)`).
const SYSLOG_SOCKET: &str = "/dev/log";

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

/// Starts the log; `verbose` as counted on the command line.
///
/// Before this is called, and when it is called again, nothing happens to what was started first.
pub fn start(target: LogTarget, verbose: u8) {
    let target = match target {
        LogTarget::Syslog => Target::Syslog(Syslog::new(SYSLOG_SOCKET.into())),
        LogTarget::Auto if stderr_is_journal() => Target::Journal,
        LogTarget::Auto | LogTarget::Stderr => Target::Stderr,
    };
    let logger = LOGGER.get_or_init(|| Logger { sink: Mutex::new(Sink { target, dropped: 0, owed: 0 }) });
    // fails when it was done before
    let _ = log::set_logger(logger);
    set_verbosity(verbose);
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
    match LOGGER.get() {
        Some(logger) => logger.lock().write(Severity::Info, line),
        None => eprintln!("{NAME}: {line}"),
    }
}

/// How many lines were dropped so far.
pub fn dropped() -> u64 {
    LOGGER.get().map_or(0, |logger| logger.lock().dropped)
}

/// Whether standard error is connected to the journal (systemd.exec(5), `$JOURNAL_STREAM`).
fn stderr_is_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

struct Logger {
    sink: Mutex<Sink>,
}

impl Logger {
    fn lock(&self) -> MutexGuard<'_, Sink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        self.lock().write(record.level().into(), &record.args().to_string());
    }

    fn flush(&self) {}
}

enum Target {
    Stderr,
    Journal,
    Syslog(Syslog),
}

/// Where lines go, and what became of them.
struct Sink {
    target: Target,
    /// Lines lost since the start.
    dropped: u64,
    /// Lines lost that nobody has been told of.
    owed: u64,
}

impl Sink {
    fn write(&mut self, severity: Severity, message: &str) {
        if self.owed > 0 {
            let confession = format!("{} log messages were lost: the log did not take them", self.owed);
            if self.put(Severity::Warning, &confession).is_ok() {
                self.owed = 0;
            }
        }
        if self.put(severity, &clean(message)).is_err() {
            self.dropped += 1;
            self.owed += 1;
        }
    }

    fn put(&mut self, severity: Severity, line: &str) -> io::Result<()> {
        match &mut self.target {
            Target::Stderr if log::max_level() > LevelFilter::Warn => {
                to_stderr(&format!("{} {NAME}: {line}\n", time_stamp()))
            }
            Target::Stderr => to_stderr(&format!("{NAME}: {line}\n")),
            Target::Journal => to_stderr(&format!("<{}>{line}\n", severity as u8)),
            Target::Syslog(syslog) => match syslog.send(severity, line) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => to_stderr(&format!("{NAME}: {line}\n")),
                result => result,
            },
        }
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

/// Writes to standard error if that does not block: asked first, because the descriptor is shared with whoever
/// started us, and is not ours to make non-blocking.
fn to_stderr(line: &str) -> io::Result<()> {
    write_at_once(io::stderr().as_fd(), line.as_bytes())
}

fn write_at_once(fd: BorrowedFd<'_>, line: &[u8]) -> io::Result<()> {
    let mut wanted = [PollFd::new(fd, PollFlags::POLLOUT)];
    if poll(&mut wanted, PollTimeout::ZERO)? == 0 {
        return Err(ErrorKind::WouldBlock.into());
    }
    loop {
        match nix::unistd::write(fd, line) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop).map_err(Into::into),
        }
    }
}

/// A connection to the system log that never blocks, and is made anew when it breaks.
struct Syslog {
    path: PathBuf,
    formatter: Formatter3164,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    fn new(path: PathBuf) -> Self {
        let formatter = Formatter3164 {
            facility: Facility::LOG_DAEMON,
            hostname: None,
            process: NAME.into(),
            pid: std::process::id(),
        };
        Self { path, formatter, socket: None }
    }

    fn send(&mut self, severity: Severity, line: &str) -> io::Result<()> {
        let datagram = self.format(severity, line)?;
        let first = self.try_send(&datagram);
        match first {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                // syslog was restarted: its socket is another one now
                self.socket = None;
                self.try_send(&datagram)
            }
            result => result,
        }
    }

    fn format(&self, severity: Severity, line: &str) -> io::Result<Vec<u8>> {
        let severity = match severity {
            Severity::Error => syslog::Severity::LOG_ERR,
            Severity::Warning => syslog::Severity::LOG_WARNING,
            Severity::Info => syslog::Severity::LOG_INFO,
            Severity::Debug => syslog::Severity::LOG_DEBUG,
        };
        let mut datagram = Vec::new();
        self.formatter.format(&mut datagram, severity, line).map_err(io::Error::other)?;
        Ok(datagram)
    }

    fn try_send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.connect()?,
        };
        let result = socket.send(datagram).map(drop);
        self.socket = Some(socket);
        result
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        Ok(socket)
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logger")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_client_cannot_forge_lines() {
        assert_eq!(clean("a\nb\u{1b}[2J\0\r\u{9b}é"), "a\\nb\\u{1b}[2J\\u{0}\\r\\u{9b}é");
        let long = clean(&"é".repeat(10_000));
        assert!(long.len() <= LONGEST + 5 && long.ends_with("..."), "{}", long.len());
    }

    #[test]
    fn a_full_pipe_does_not_block() {
        let (_reader, writer) = nix::unistd::pipe().expect("pipe");
        let line = [b'x'; 900];
        let written = (0..1000).take_while(|_| write_at_once(writer.as_fd(), &line).is_ok()).count();
        assert!((1..1000).contains(&written), "{written}");
    }

    #[test]
    fn a_closed_descriptor_is_an_error() {
        let (reader, writer) = nix::unistd::pipe().expect("pipe");
        drop(reader);
        assert!(write_at_once(writer.as_fd(), b"x").is_err());
    }

    fn directory(name: &str) -> PathBuf {
        let path = env::temp_dir().join(format!("retortd-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("directory");
        path
    }

    #[test]
    fn syslog_is_found_again_after_a_restart() {
        let path = directory("syslog").join("log");
        let mut syslog = Syslog::new(path.clone());
        assert!(syslog.send(Severity::Info, "nobody there").is_err());
        for round in ["first", "second"] {
            let daemon = UnixDatagram::bind(&path).expect("bind");
            syslog.send(Severity::Warning, round).expect("send");
            let mut datagram = [0; 2000];
            let length = daemon.recv(&mut datagram).expect("recv");
            let text = String::from_utf8_lossy(&datagram[..length]);
            assert!(text.starts_with("<28>") && text.ends_with(&format!("]: {round}")), "{text}");
            std::fs::remove_file(&path).expect("remove");
        }
    }

    #[test]
    fn a_stalled_syslog_does_not_block() {
        let path = directory("stalled").join("log");
        let _daemon = UnixDatagram::bind(&path).expect("bind");
        let mut syslog = Syslog::new(path);
        let failed = (0..10_000).find_map(|_| syslog.send(Severity::Info, "x").err());
        assert_eq!(failed.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    }
}
