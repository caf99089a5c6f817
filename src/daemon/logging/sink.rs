//! Where the lines go: standard error or the system log. Belongs to the log thread, which may wait here.

use std::fmt::Write;
use std::io::{self, ErrorKind, Stderr};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, SystemTime};

use log::LevelFilter;

use super::queue::{Batch, Line};
use super::syslog::SyslogSocket;
use super::{NAME, Severity};
use crate::daemon::config::values::time_stamp;
use crate::sys::{self, Errno, SocketKind};

/// The most bytes that one write(2) has, unless a single line is longer: `PIPE_BUF`, so that a pipe does not mix them
/// with what other processes write (pipe(7)).
const LARGEST_WRITE: usize = 4096;
/// How long to wait where poll(2) says that there is room and write(2) does not find it: a terminal may have room for
/// one byte, but not for the two of a line's end. Chosen: ten wake-ups a second cost nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// What the lines look like, and where they go.
pub enum Target {
    /// Standard error, for people.
    Stderr,
    /// Standard error, which leads to the journal.
    Journal,
    /// The system log; standard error while that is not there.
    Syslog(SyslogSocket),
}

/// Writes lines, and counts those that could not be written.
pub struct Sink<D = Stderr> {
    target: Target,
    out: Descriptor<D>,
    /// Whole lines for the next write.
    text: String,
    /// Lines of the present batch that could not be written.
    refused: u64,
    /// Lines lost that the log does not mention yet.
    unreported: u64,
}

impl Sink {
    /// A sink that writes to standard error where the target wants that.
    pub fn new(target: Target) -> Self {
        Self::with(target, io::stderr())
    }
}

impl<D: AsFd> Sink<D> {
    fn with(target: Target, fd: D) -> Self {
        Self { target, out: Descriptor::new(fd), text: String::new(), refused: 0, unreported: 0 }
    }

    /// Writes a batch, and the number of lost lines where there are some; returns how many of the lines are lost.
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
        if let Target::Syslog(syslog) = &mut self.target {
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
        let result = match &self.target {
            Target::Stderr if log::max_level() > LevelFilter::Warn => {
                writeln!(self.text, "{} {NAME}: {text}", time_stamp(*time))
            }
            Target::Stderr | Target::Syslog(_) => writeln!(self.text, "{NAME}: {text}"),
            Target::Journal => writeln!(self.text, "<{}>{text}", *severity as u8),
        };
        result.expect("a String takes everything");
    }

    /// Reports how many lines were lost before the next one, which is of that time; again later if the report is lost.
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
            // a line whose beginning was written is lost too
            self.refused += unwritten.split(|byte| *byte == b'\n').count() as u64 - 1;
        }
        self.text.clear();
    }
}

/// A descriptor of any kind, which other processes may use too: its flags are left as they are.
struct Descriptor<D> {
    fd: D,
    /// See [`LARGEST_WRITE`].
    largest: usize,
    /// The last line was only written in part.
    cut: bool,
}

impl<D: AsFd> Descriptor<D> {
    fn new(fd: D) -> Self {
        // each datagram has one line
        let largest = match sys::socket_kind(&fd) {
            Ok(SocketKind::Datagram) => 0,
            _ => LARGEST_WRITE,
        };
        Self { fd, largest, cut: false }
    }

    /// Writes whole lines, however long that takes; the part that could not be written, if there is one.
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

    /// Writes until an error; the part that is not written.
    fn write<'a>(&self, mut rest: &'a [u8]) -> &'a [u8] {
        let mut in_vain = false;
        while !rest.is_empty() {
            match sys::write(&self.fd, rest) {
                Ok(written @ 1..) => {
                    rest = &rest[written..];
                    in_vain = false;
                }
                Err(Errno::EINTR) => {}
                // another process has made the open file description non-blocking
                Err(Errno::EAGAIN) if in_vain => thread::sleep(PAUSE),
                Err(Errno::EAGAIN) => {
                    in_vain = true;
                    // an error shows at the next write
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

    fn batch(texts: &[&str], lost: u64) -> Batch {
        let line = |text: &&str| Line { time: SystemTime::UNIX_EPOCH, severity: Severity::Info, text: (*text).into() };
        Batch { lines: texts.iter().map(line).collect(), lost }
    }

    /// What a sink for people writes that is given these batches, to a reader that takes a few bytes at a time.
    fn written(to: OwnedFd, from: OwnedFd, batches: &[Batch]) -> Vec<String> {
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let (mut from, mut text, mut part) = (File::from(from), Vec::new(), [0; 1000]);
                while let Ok(length @ 1..) = from.read(&mut part) {
                    text.extend_from_slice(&part[..length]);
                }
                String::from_utf8(text).expect("UTF-8")
            });
            let mut sink = Sink::with(Target::Stderr, to);
            for batch in batches {
                assert_eq!(sink.write(batch), 0);
            }
            drop(sink);
            reader.join().expect("no panic").lines().map(Into::into).collect()
        })
    }

    #[test]
    fn every_line_is_written_to_a_slow_reader() {
        let text = "x".repeat(900);
        let texts = vec![text.as_str(); 300];
        for flags in [OFlag::empty(), OFlag::O_NONBLOCK] {
            let (reader, writer) = unistd::pipe().expect("a pipe");
            fcntl(&writer, FcntlArg::F_SETFL(flags)).expect("set the flags");
            let lines = written(writer, reader, &[batch(&texts, 0), batch(&["last"], 0)]);
            assert_eq!(lines.len(), 301);
            assert!(lines[..300].iter().all(|line| line == &format!("retortd: {text}")));
            assert_eq!(lines[300], "retortd: last");
        }
    }

    #[test]
    fn the_number_of_lost_lines_is_written_where_they_are_missing() {
        let (reader, writer) = unistd::pipe().expect("a pipe");
        let lines = written(writer, reader, &[batch(&["before"], 17), batch(&["after"], 0)]);
        let report = "retortd: 17 log messages were lost: the log did not take them";
        assert_eq!(lines, ["retortd: before", report, "retortd: after"]);
    }

    #[test]
    fn each_datagram_has_one_line() {
        let pair = socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::empty());
        let (reader, writer) = pair.expect("a pair of sockets");
        let mut sink = Sink::with(Target::Journal, writer);
        assert_eq!(sink.write(&batch(&["first", "second"], 0)), 0);
        let mut datagram = [0; 100];
        for text in ["<6>first\n", "<6>second\n"] {
            let length = unistd::read(&reader, &mut datagram).expect("a datagram");
            assert_eq!(&datagram[..length], text.as_bytes());
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let (reader, writer) = unistd::pipe().expect("a pipe");
        drop(reader);
        let mut sink = Sink::with(Target::Stderr, writer);
        let text = "x".repeat(900);
        assert_eq!(sink.write(&batch(&[text.as_str(); 10], 5)), 10);
        assert_eq!(sink.write(&batch(&["one more"], 0)), 1);
        assert_eq!(sink.unreported, 16);
    }

    #[test]
    fn a_line_that_was_cut_is_ended_before_the_next() {
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
