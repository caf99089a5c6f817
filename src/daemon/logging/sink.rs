//! Writes lines to standard error or to the system log. Belongs to the log thread, which may block here.

use std::fmt::Write;
use std::io::{self, ErrorKind, Stderr};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, SystemTime};

use super::line::{Line, NAME, Severity, time_stamp};
use super::queue::Batch;
use super::syslog::SyslogSocket;
use crate::sys::{self, Errno, SocketKind};

/// The maximum length of one write(2), in bytes, unless a single line is longer. Derived: `PIPE_BUF`, up to which a
/// pipe does not mix it with the writes of other processes (pipe(7)).
const MAX_WRITE: usize = 4096;
/// The pause if poll(2) reports a descriptor as writable and write(2) fails with EAGAIN: a terminal may have room for
/// one byte, but not for the two of a line's end. Chosen: ten wake-ups per second are no load.
const PAUSE: Duration = Duration::from_millis(100);

/// The format of the lines on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines with the time and the program's name, at every log level.
    Stamped,
    /// Lines with a priority (sd-daemon(3)), to which the journal adds the time and the name.
    Journal,
}

/// Writes lines, and counts those that cannot be written.
pub struct Sink<D = Stderr> {
    format: Format,
    /// The system log; while there is none, lines go to standard error.
    syslog: Option<SyslogSocket>,
    out: Descriptor<D>,
    /// Complete lines for the next write.
    text: String,
    /// Lines of the present batch that could not be written.
    refused: u64,
    /// Lost lines that the log does not report yet.
    unreported: u64,
}

impl Sink {
    /// A sink that writes to `syslog`, or to standard error if there is none.
    pub fn new(format: Format, syslog: Option<SyslogSocket>) -> Self {
        Self { syslog, ..Self::with(format, io::stderr()) }
    }
}

impl<D: AsFd> Sink<D> {
    fn with(format: Format, fd: D) -> Self {
        Self { format, syslog: None, out: Descriptor::new(fd), text: String::new(), refused: 0, unreported: 0 }
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

    /// Adds a line to the next write, or sends it to the system log.
    fn add(&mut self, line: &Line) {
        if let Some(syslog) = &mut self.syslog {
            match syslog.send(line.severity, &line.text) {
                Ok(()) => return,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.refused += 1;
                    return;
                }
                Err(_) => {}
            }
        }
        let before = self.text.len();
        self.format(line);
        if self.text.len() > self.out.largest && before > 0 {
            let line = self.text.split_off(before);
            self.write_text();
            self.text = line;
        }
    }

    fn format(&mut self, Line { time, severity, text }: &Line) {
        let result = match self.format {
            Format::Stamped => writeln!(self.text, "{} {NAME}: {text}", time_stamp(*time)),
            Format::Journal => writeln!(self.text, "<{}>{text}", *severity as u8),
        };
        result.expect("writing to a String does not fail");
    }

    /// Reports the number of lines that were lost before the next one, with that line's time; again later if the report
    /// is lost.
    fn report_lost(&mut self, time: SystemTime) {
        if self.unreported == 0 || !self.text.is_empty() {
            return;
        }
        let text = format!("{} log messages were lost: the log did not take them", self.unreported);
        let refused = self.refused;
        self.add(&Line { time, severity: Severity::Warning, text });
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

/// A descriptor of any kind. Other processes may use it, too, so its flags are not changed.
struct Descriptor<D> {
    fd: D,
    /// See [`MAX_WRITE`].
    largest: usize,
    /// The last line was written only in part.
    cut: bool,
}

impl<D: AsFd> Descriptor<D> {
    fn new(fd: D) -> Self {
        // one line in each datagram
        let largest = match sys::socket_kind(&fd) {
            Ok(SocketKind::Datagram) => 0,
            _ => MAX_WRITE,
        };
        Self { fd, largest, cut: false }
    }

    /// Writes complete lines, for any time that it takes; the error is the part that could not be written.
    fn write_all<'a>(&mut self, text: &'a [u8]) -> Result<(), &'a [u8]> {
        if self.cut {
            if !self.write(b"\n").is_empty() {
                return Err(text);
            }
            self.cut = false;
        }
        let rest = self.write(text);
        if rest.is_empty() {
            return Ok(());
        }
        self.cut = text[..text.len() - rest.len()].last().is_some_and(|last| *last != b'\n');
        Err(rest)
    }

    /// Writes until an error; returns the part that is not written.
    fn write<'a>(&self, mut rest: &'a [u8]) -> &'a [u8] {
        let mut was_blocked = false;
        while !rest.is_empty() {
            match sys::write(&self.fd, rest) {
                Ok(written @ 1..) => {
                    rest = &rest[written..];
                    was_blocked = false;
                }
                Err(Errno::EINTR) => {}
                // another process has made the open file description non-blocking
                Err(Errno::EAGAIN) if was_blocked => thread::sleep(PAUSE),
                Err(Errno::EAGAIN) => {
                    was_blocked = true;
                    // the next write reports the error
                    let _ = sys::wait_writable(&self.fd);
                }
                Ok(0) | Err(_) => break,
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use nix::unistd;
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    /// The beginning of the lines of [`batch`].
    const PREFIX: &str = "1970-01-01T00:00:00.000Z retortd: ";

    fn batch(texts: &[&str], lost: u64) -> Batch {
        let line = |text: &&str| Line { time: SystemTime::UNIX_EPOCH, severity: Severity::Info, text: (*text).into() };
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
            let mut sink = Sink::with(Format::Stamped, to);
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
            assert!(lines[..300].iter().all(|line| line == &format!("{PREFIX}{text}")));
            assert_eq!(lines[300], format!("{PREFIX}last"));
        }
    }

    #[test]
    fn lost_lines_are_reported_where_they_are_missing() {
        let (reader, writer) = unistd::pipe().expect("a pipe");
        let lines = written(writer, reader, &[batch(&["before"], 17), batch(&["after"], 0)]);
        let report = "17 log messages were lost: the log did not take them";
        assert_eq!(lines, ["before", report, "after"].map(|text| format!("{PREFIX}{text}")));
    }

    #[test]
    fn datagrams_contain_one_line_each() {
        let pair = socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::empty());
        let (reader, writer) = pair.expect("a pair of sockets");
        let mut sink = Sink::with(Format::Journal, writer);
        assert_eq!(sink.write(&batch(&["first", "second"], 0)), 0);
        let mut datagram = [0; 100];
        for text in ["<6>first\n", "<6>second\n"] {
            let length = unistd::read(&reader, &mut datagram).expect("a datagram");
            assert_eq!(&datagram[..length], text.as_bytes());
        }
    }

    #[test]
    fn lines_for_missing_system_log_have_the_format_of_standard_error() {
        let directory = std::env::temp_dir().join(format!("retortd-no-log-{}", std::process::id()));
        for (format, expect) in [(Format::Stamped, format!("{PREFIX}text")), (Format::Journal, "<6>text".into())] {
            let (reader, writer) = unistd::pipe().expect("a pipe");
            let syslog = Some(SyslogSocket::new(directory.join("missing")));
            let mut sink = Sink { syslog, ..Sink::with(format, writer) };
            assert_eq!(sink.write(&batch(&["text"], 0)), 0);
            drop(sink);
            let mut text = String::new();
            File::from(reader).read_to_string(&mut text).expect("UTF-8");
            assert_eq!(text, format!("{expect}\n"));
        }
    }

    #[test]
    fn unwritten_lines_are_counted() {
        let (reader, writer) = unistd::pipe().expect("a pipe");
        drop(reader);
        let mut sink = Sink::with(Format::Stamped, writer);
        let text = "x".repeat(900);
        assert_eq!(sink.write(&batch(&[text.as_str(); 10], 5)), 10);
        assert_eq!(sink.write(&batch(&["one more"], 0)), 1);
        assert_eq!(sink.unreported, 16);
    }

    #[test]
    fn cut_lines_are_ended_before_the_next_one() {
        let (reader, writer) = unistd::pipe().expect("a pipe");
        let mut out = Descriptor::new(writer);
        out.cut = true;
        assert_eq!(out.write_all(b"next\n"), Ok(()));
        assert_eq!(out.write_all(b"third\n"), Ok(()));
        drop(out);
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).expect("UTF-8");
        assert_eq!(text, "\nnext\nthird\n");
    }
}
