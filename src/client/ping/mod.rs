//! `retort ping`: round trips at an interval, as ping(8) shows them.
//!
//! Owns the rhythm: a request is due every interval, whether or not the one before was answered in time. Guarantees:
//! connecting is timed apart from asking; a lost answer is counted and the next request has a connection of its own;
//! Ctrl-C ends with the summary.

mod statistics;

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::answers::Answers;
use super::client_protocol::{ClientProtocol, ConnectionUse, ReplyFraming};
use super::failure::{Failure, Verdict};
use super::options::PingOptions;
use super::target::Target;
use crate::sys::{Interrupts, Woken};
use statistics::Statistics;

/// What is asked for where there are actions; its answer shows that the server did something.
const ACTION: &str = "reverse";

/// Sends requests until there were enough, or somebody wants an end.
pub fn run(options: &PingOptions) -> Result<Verdict, Failure> {
    let request = request(options)?;
    let target = Target::resolve(&options.host, options.protocol.port())?;
    let interrupts =
        Interrupts::watch().map_err(|error| Failure::cannot_run(format!("cannot watch for an interrupt: {error}")))?;
    let mut ping = Ping { options, target, interrupts, request, connection: None, counts: Counts::default() };
    ping.begin()?;
    ping.go_on()?;
    ping.summary()
}

/// Small, because making it is part of the time that is measured.
const BUFFER: usize = 4096;

struct Request {
    wire: Vec<u8>,
    framing: ReplyFraming,
    answer: Option<Vec<u8>>,
    /// How many bytes of an answer are worth reading.
    most: usize,
}

fn request(options: &PingOptions) -> Result<Request, Failure> {
    let dialogue = options.protocol;
    if matches!(dialogue.connection_use(), ConnectionUse::Streaming | ConnectionUse::NoReply) {
        return Err(Failure::cannot_run(format!(
            "{} has no answers with an end: there is no round trip",
            dialogue.name()
        )));
    }
    let size = if dialogue.takes_messages() { options.size } else { 0 };
    if size == 0 && dialogue.framing(b"") == ReplyFraming::Fixed(0) {
        return Err(Failure::cannot_run(format!(
            "an empty message has no answer in {}: give a --size",
            dialogue.name()
        )));
    }
    let message: Vec<u8> = (b'a'..=b'z').cycle().take(size).collect();
    let mut wire = Vec::new();
    dialogue.write_request(ACTION, &message, &mut wire).map_err(Failure::cannot_run)?;
    let answer = dialogue.expected(ACTION, &message);
    let most = dialogue.longest_answer(answer.as_ref().map(Vec::len));
    Ok(Request { wire, framing: dialogue.framing(&message), answer, most })
}

#[derive(Default)]
struct Counts {
    sent: u64,
    connects: Statistics,
    round_trips: Statistics,
}

struct Ping<'a> {
    options: &'a PingOptions,
    target: Target,
    interrupts: Interrupts,
    request: Request,
    connection: Option<TcpStream>,
    counts: Counts,
}

/// What came of one request.
enum Reply {
    /// An answer of so many bytes, after so long.
    Answered(usize, Duration),
    /// None, for this reason.
    Lost(String),
    /// Somebody wants an end.
    Interrupted,
}

impl Ping<'_> {
    fn dialogue(&self) -> ClientProtocol {
        self.options.protocol
    }

    /// The first connection: without one there is nothing to measure.
    fn begin(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        let stream = self.target.connect_or_fail(self.options.patience.connect_timeout)?;
        self.counts.connects.add(begun.elapsed());
        self.connection = Some(stream);
        let connected = milliseconds(begun.elapsed());
        self.say(&format!("{} ({}): connected in {connected} ms", self.target, self.dialogue().name()))
    }

    fn go_on(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut due = Duration::ZERO;
        loop {
            self.counts.sent += 1;
            match self.round_trip() {
                Reply::Interrupted => {
                    // Nobody waited for this one to its end.
                    self.counts.sent -= 1;
                    return Ok(());
                }
                Reply::Lost(reason) => {
                    self.connection = None;
                    self.say(&format!("seq={} lost: {reason}", self.counts.sent))?;
                }
                Reply::Answered(length, time) => self.tell(length, time)?,
            }
            if self.options.count == Some(self.counts.sent) {
                return Ok(());
            }
            due += self.options.interval;
            let wait = due.saturating_sub(begun.elapsed());
            if self.wait(None, wait)? == Woken::Interrupted {
                return Ok(());
            }
        }
    }

    fn tell(&mut self, length: usize, time: Duration) -> Result<(), Failure> {
        self.counts.round_trips.add(time);
        let mut line = format!("{length} bytes: seq={} time={} ms", self.counts.sent, milliseconds(time));
        if self.reconnects() {
            self.connection = None;
            let connect = self.counts.connects.last().unwrap_or_default();
            let _ = write!(line, " connect={} ms", milliseconds(connect));
        }
        self.say(&line)
    }

    fn reconnects(&self) -> bool {
        self.options.reconnect || self.dialogue().connection_use() == ConnectionUse::PerRequest
    }

    fn round_trip(&mut self) -> Reply {
        let stream = match self.connected() {
            Ok(stream) => stream,
            Err(error) => return Reply::Lost(format!("cannot connect: {error}")),
        };
        let begun = Instant::now();
        match self.exchange(&stream, begun) {
            Ok(Some(answer)) => {
                let time = begun.elapsed();
                self.connection = Some(stream);
                self.judge(&answer, time)
            }
            Ok(None) => Reply::Interrupted,
            Err(reason) => Reply::Lost(reason),
        }
    }

    fn judge(&self, answer: &[u8], time: Duration) -> Reply {
        match &self.request.answer {
            Some(expected) if answer != expected => Reply::Lost("the answer is wrong".into()),
            _ => Reply::Answered(answer.len(), time),
        }
    }

    fn connected(&mut self) -> io::Result<TcpStream> {
        if let Some(stream) = self.connection.take() {
            return Ok(stream);
        }
        let begun = Instant::now();
        let stream = self.target.connect(self.options.patience.connect_timeout)?;
        self.counts.connects.add(begun.elapsed());
        Ok(stream)
    }

    /// Asks, and waits for the answer; nothing when interrupted.
    fn exchange(&self, stream: &TcpStream, begun: Instant) -> Result<Option<Vec<u8>>, String> {
        stream.set_write_timeout(Some(self.options.patience.write_timeout)).map_err(|error| error.to_string())?;
        (&mut &*stream).write_all(&self.request.wire).map_err(|error| format!("cannot send: {error}"))?;
        if self.request.framing == ReplyFraming::CloseDelimited {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let mut patient = Patient { ping: self, stream, begun, interrupted: false };
        let mut answers = Answers::with_buffer(&mut patient, BUFFER);
        let answer = answers.next(self.request.framing, self.request.most, &mut || false);
        match answer {
            _ if patient.interrupted => Ok(None),
            Ok(answer) => Ok(Some(answer)),
            Err(broken) => Err(broken.to_string()),
        }
    }

    fn wait(&self, socket: Option<&TcpStream>, time: Duration) -> Result<Woken, Failure> {
        self.interrupts.wait(socket, time).map_err(|error| Failure::cannot_run(format!("cannot wait: {error}")))
    }

    fn summary(&self) -> Result<Verdict, Failure> {
        let (sent, received) = (self.counts.sent, self.counts.round_trips.count());
        let lost = sent - received;
        let share = 100 * lost / sent.max(1);
        let mut text = format!("\n--- {} ---\n{sent} sent, {received} received, {lost} lost ({share}%)", self.target);
        for (name, statistics) in [("connect", &self.counts.connects), ("round trip", &self.counts.round_trips)] {
            if statistics.count() > 0 {
                let _ = write!(text, "\n{name:<10} min/avg/max/stddev = {statistics} ms");
            }
        }
        print(&text)?;
        Ok(Verdict::of(lost == 0 && received > 0))
    }

    fn say(&self, line: &str) -> Result<(), Failure> {
        if self.options.quiet { Ok(()) } else { print(line) }
    }
}

/// Reads from the server, and notices an interrupt while it waits.
struct Patient<'a> {
    ping: &'a Ping<'a>,
    stream: &'a TcpStream,
    begun: Instant,
    interrupted: bool,
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.ping.options.patience.read_timeout.saturating_sub(self.begun.elapsed());
        if left.is_zero() {
            // A server that never stops sending is always readable.
            return Err(io::ErrorKind::TimedOut.into());
        }
        match self.ping.interrupts.wait(Some(self.stream), left)? {
            Woken::Readable => (&mut &*self.stream).read(buffer),
            Woken::TimedOut => Err(io::ErrorKind::TimedOut.into()),
            Woken::Interrupted => {
                self.interrupted = true;
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }
}

fn print(line: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(|error| Failure::output(&error))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}
