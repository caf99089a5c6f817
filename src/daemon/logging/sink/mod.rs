//! Writes lines to standard error, to the system log or to the journal. Belongs to the log thread, which may block here.

mod datagram;
mod descriptor;
mod journal;
mod syslog;

use std::io::{self, ErrorKind, Stderr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::SystemTime;

use super::format::message;
use super::format::text::{Prefix, write_line};
use super::line::{Line, Severity};
use super::message::Message;
use super::queue::Batch;
use crate::daemon::config::args::LogFormat;
use descriptor::Descriptor;
use journal::JournalSocket;
use syslog::SyslogSocket;

/// A log in place of standard error. While nobody receives it, lines go to standard error.
pub enum LogSocket {
    /// The system log.
    Syslog(SyslogSocket),
    /// The journal.
    Journal(JournalSocket),
}

impl LogSocket {
    /// The system log at `path`; connects when the first line is sent.
    pub fn syslog(path: PathBuf) -> Self {
        Self::Syslog(SyslogSocket::new(path))
    }

    /// The journal at `path`; connects when the first line is sent.
    pub fn journal(path: PathBuf) -> Self {
        Self::Journal(JournalSocket::new(path))
    }

    fn send(&mut self, line: &Line, message: &str) -> io::Result<()> {
        match self {
            Self::Syslog(socket) => socket.send(line.severity, message),
            Self::Journal(socket) => socket.send(line, message),
        }
    }
}

/// Writes lines, and counts those that cannot be written.
pub struct Sink<D = Stderr> {
    format: LogFormat,
    prefix: Prefix,
    socket: Option<LogSocket>,
    out: Descriptor<D>,
    /// Complete lines for the next write.
    text: String,
    /// Lines of the present batch that could not be written.
    refused: u64,
    /// Lost lines that the log does not report yet.
    unreported: u64,
}

impl Sink {
    /// A sink that writes to `socket`, or, with `prefix`, to standard error.
    pub fn new(format: LogFormat, prefix: Prefix, socket: Option<LogSocket>) -> Self {
        Self { socket, ..Self::with(format, prefix, io::stderr()) }
    }
}

impl<D: AsFd> Sink<D> {
    fn with(format: LogFormat, prefix: Prefix, fd: D) -> Self {
        let (out, text) = (Descriptor::new(fd), String::new());
        Self { format, prefix, socket: None, out, text, refused: 0, unreported: 0 }
    }

    /// Writes a batch, and reports lost lines where they are missing; returns the number of lines that were not
    /// written.
    pub fn write(&mut self, batch: &Batch) -> u64 {
        self.refused = 0;
        for line in &batch.lines {
            self.report_lost(line.time);
            self.add(line);
        }
        self.write_text();
        self.unreported += self.refused + batch.lost;
        self.report_lost(batch.lines.last().map_or_else(SystemTime::now, |line| line.time));
        self.refused
    }

    /// Adds a line to the next write to standard error, or sends it to the socket.
    fn add(&mut self, line: &Line) {
        let message = message(self.format, line);
        let is_for_socket = self.socket.is_some() && !self.is_for_stderr(line);
        if is_for_socket {
            // earlier lines first
            self.write_text();
        }
        if let Some(socket) = self.socket.as_mut().filter(|_| is_for_socket) {
            match socket.send(line, &message) {
                Ok(()) => return,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.refused += 1;
                    return;
                }
                Err(_) => {}
            }
        }
        let before = self.text.len();
        let written = write_line(&mut self.text, self.prefix, self.format, line, &message);
        written.expect("writing to a String does not fail");
        if self.text.len() > self.out.largest && before > 0 {
            let line = self.text.split_off(before);
            self.write_text();
            self.text = line;
        }
    }

    /// Whether a line goes to standard error although there is a socket: one without fields, if the journal is behind
    /// both. It finds out the unit of a datagram only while the sender lives, and that of a line on standard error
    /// always, so the reason of a failed start is never missing from the log of the unit.
    fn is_for_stderr(&self, line: &Line) -> bool {
        let is_journal = self.prefix == Prefix::Priority && matches!(self.socket, Some(LogSocket::Journal(_)));
        is_journal && line.message.pairs().next().is_none()
    }

    /// Reports the number of lines that were lost before the next one, with that line's time; again later if the report
    /// is lost.
    fn report_lost(&mut self, time: SystemTime) {
        if self.unreported == 0 || !self.text.is_empty() {
            return;
        }
        let text = format!("{} log messages were lost: the log did not take them", self.unreported);
        let refused = self.refused;
        self.add(&Line { time, severity: Severity::Warning, message: Message::new(text) });
        self.write_text();
        if self.refused == refused {
            self.unreported = 0;
        }
        self.refused = refused;
    }

    fn write_text(&mut self) {
        if let Err(unwritten) = self.out.write_all(self.text.as_bytes()) {
            // a line of which only the beginning was written is lost, too
            self.refused += unwritten.split(|byte| *byte == b'\n').count() as u64 - 1;
        }
        self.text.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use nix::unistd;
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    /// The beginning of the lines of [`batch`] on standard error.
    const STAMP: &str = "1970-01-01T00:00:00.000Z retortd: ";

    fn batch(texts: &[&str], lost: u64) -> Batch {
        let line =
            |text: &&str| Line { time: SystemTime::UNIX_EPOCH, severity: Severity::Info, message: Message::new(text) };
        Batch { lines: texts.iter().map(line).collect(), lost }
    }

    /// The lines that a sink writes of these batches to a reader that reads in small parts.
    fn written(to: OwnedFd, from: OwnedFd, batches: &[Batch]) -> Vec<String> {
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let (mut from, mut text, mut part) = (File::from(from), Vec::new(), [0; 1000]);
                while let Ok(length @ 1..) = from.read(&mut part) {
                    text.extend_from_slice(&part[..length]);
                }
                String::from_utf8(text).expect("UTF-8")
            });
            let mut sink = Sink::with(LogFormat::Text, Prefix::Stamp, to);
            for batch in batches {
                assert_eq!(sink.write(batch), 0);
            }
            drop(sink);
            reader.join().expect("no panic").lines().map(Into::into).collect()
        })
    }

    #[test]
    fn slow_readers_get_every_line() {
        let text = "x".repeat(900);
        let texts = vec![text.as_str(); 300];
        for flags in [OFlag::empty(), OFlag::O_NONBLOCK] {
            let (reader, writer) = unistd::pipe().expect("a pipe");
            fcntl(&writer, FcntlArg::F_SETFL(flags)).expect("set the flags");
            let lines = written(writer, reader, &[batch(&texts, 0), batch(&["last"], 0)]);
            assert_eq!(lines.len(), 301);
            assert!(lines[..300].iter().all(|line| line == &format!("{STAMP}{text}")));
            assert_eq!(lines[300], format!("{STAMP}last"));
        }
    }

    #[test]
    fn lost_lines_are_reported_where_they_are_missing() {
        let (reader, writer) = unistd::pipe().expect("a pipe");
        let lines = written(writer, reader, &[batch(&["before"], 17), batch(&["after"], 0)]);
        let report = "17 log messages were lost: the log did not take them";
        assert_eq!(lines, ["before", report, "after"].map(|text| format!("{STAMP}{text}")));
    }

    #[test]
    fn datagrams_contain_one_line_each() {
        let pair = socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::empty());
        let (reader, writer) = pair.expect("a pair of sockets");
        let mut sink = Sink::with(LogFormat::Text, Prefix::Priority, writer);
        assert_eq!(sink.write(&batch(&["first", "second"], 0)), 0);
        let mut datagram = [0; 100];
        for text in ["<6>first\n", "<6>second\n"] {
            let length = unistd::read(&reader, &mut datagram).expect("a datagram");
            assert_eq!(&datagram[..length], text.as_bytes());
        }
    }

    /// What a sink with this socket writes of these batches to standard error.
    fn on_standard_error(format: LogFormat, prefix: Prefix, socket: Option<LogSocket>, batches: &[Batch]) -> String {
        let (reader, writer) = unistd::pipe().expect("a pipe");
        let mut sink = Sink { socket, ..Sink::with(format, prefix, writer) };
        for batch in batches {
            assert_eq!(sink.write(batch), 0);
        }
        drop(sink);
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).expect("UTF-8");
        text
    }

    #[test]
    fn lines_for_missing_socket_have_the_format_of_standard_error() {
        let path = std::env::temp_dir().join(format!("retortd-no-log-{}/missing", std::process::id()));
        for socket in [LogSocket::syslog, LogSocket::journal] {
            for (prefix, expect) in [(Prefix::Stamp, format!("{STAMP}text\n")), (Prefix::Priority, "<6>text\n".into())]
            {
                let socket = Some(socket(path.clone()));
                assert_eq!(on_standard_error(LogFormat::Text, prefix, socket, &[batch(&["text"], 0)]), expect);
            }
        }
    }

    #[test]
    fn lines_without_fields_go_to_standard_error_if_that_is_the_journal() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).expect("a journal");
        journal.set_nonblocking(true).expect("non-blocking");
        let line = |message| Line { time: SystemTime::UNIX_EPOCH, severity: Severity::Info, message };
        let messages =
            [Message::new("start"), Message::with_pairs("closed", &("reason", "reset")), Message::new("end")];
        let batch = Batch { lines: messages.map(line).into(), lost: 0 };
        let received = || {
            let mut datagram = [0; 500];
            journal.recv(&mut datagram).map(|length| String::from_utf8_lossy(&datagram[..length]).into_owned()).ok()
        };
        let on_stderr =
            on_standard_error(LogFormat::Text, Prefix::Priority, Some(LogSocket::journal(path.clone())), &[batch]);
        assert_eq!(on_stderr, "<6>start\n<6>end\n");
        let datagram = received().expect("the line with a field");
        assert!(datagram.contains("MESSAGE=closed\n") && datagram.contains("RETORTD_REASON=reset\n"), "{datagram}");
        assert_eq!(received(), None);
        let socket = Some(LogSocket::journal(path));
        let elsewhere = on_standard_error(LogFormat::Text, Prefix::Stamp, socket, &[self::batch(&["start"], 0)]);
        assert_eq!((elsewhere.as_str(), received().is_some()), ("", true));
    }

    /// The journal is behind both standard error and the socket.
    #[test]
    fn lines_with_and_without_fields_arrive_in_order() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).expect("a journal");
        journal.set_nonblocking(true).expect("non-blocking");
        let stderr = UnixDatagram::unbound().expect("a socket");
        stderr.connect(&path).expect("connect");
        let messages =
            [Message::new("first"), Message::with_pairs("second", &("reason", "reset")), Message::new("third")];
        let line = |message| Line { time: SystemTime::UNIX_EPOCH, severity: Severity::Info, message };
        let batch = Batch { lines: messages.map(line).into(), lost: 0 };
        let socket = Some(LogSocket::journal(path.clone()));
        let mut sink = Sink { socket, ..Sink::with(LogFormat::Text, Prefix::Priority, stderr) };
        assert_eq!(sink.write(&batch), 0);
        for text in ["<6>first\n", "MESSAGE=second\n", "<6>third\n"] {
            let mut datagram = [0; 500];
            let length = journal.recv(&mut datagram).expect("a datagram");
            let datagram = String::from_utf8_lossy(&datagram[..length]);
            assert!(datagram.contains(text), "{datagram} instead of {text}");
        }
    }

    #[test]
    fn json_lines_are_objects_alone_or_behind_a_priority() {
        let object = r#"{"time":"1970-01-01T00:00:00.000Z","level":"info","msg":"text"}"#;
        for (prefix, before) in [(Prefix::Stamp, ""), (Prefix::Priority, "<6>")] {
            let text = on_standard_error(LogFormat::Json, prefix, None, &[batch(&["text"; 2], 0)]);
            assert_eq!(text, format!("{before}{object}\n").repeat(2));
        }
    }

    #[test]
    fn lost_lines_are_reported_in_json() {
        let text = on_standard_error(LogFormat::Json, Prefix::Stamp, None, &[batch(&["before"], 17)]);
        let report = text.lines().last().expect("a report");
        let report: serde_json::Value = serde_json::from_str(report).expect("JSON");
        assert_eq!(report["msg"], "17 log messages were lost: the log did not take them");
        assert_eq!((&report["level"], &report["time"]), (&"warning".into(), &"1970-01-01T00:00:00.000Z".into()));
    }

    #[test]
    fn unwritten_lines_are_counted() {
        let (reader, writer) = unistd::pipe().expect("a pipe");
        drop(reader);
        let mut sink = Sink::with(LogFormat::Text, Prefix::Stamp, writer);
        let text = "x".repeat(900);
        assert_eq!(sink.write(&batch(&[text.as_str(); 10], 5)), 10);
        assert_eq!(sink.write(&batch(&["one more"], 0)), 1);
        assert_eq!(sink.unreported, 16);
    }
}
