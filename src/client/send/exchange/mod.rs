//! The loop that sends requests and receives their replies, in every protocol with requests.
//!
//! One thread waits for the input, for replies and for room to send at once. So a server that has closed the connection
//! is noticed while the input is idle, and neither side can block the other. Protocols differ in how many requests are
//! in flight on a connection, and in what follows when one fails: with pipelined requests that is the end, otherwise the
//! next request gets a new connection.
//!
//! | module | content |
//! |---|---|
//! | `ending` | failed requests, closed connections, and what follows the last reply |

mod ending;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::reply_printer::ReplyPrinter;
use super::request::{RequestLabel, SendRequest};
use super::request_source::{NextRequest, RequestSource};
use super::session::Session;
use crate::client::client_protocol::ConnectionUse;
use crate::client::failure::{Failure, Status};
use crate::client::pipeline::Pipeline;
use crate::client::progress_clock::ProgressClock;
use crate::sys::{Interest, wait_any_ready};

/// The most requests without a reply. Chosen: 160,000 requests per second over a round trip of 100 ms, in a few MiB.
const MAX_IN_FLIGHT: usize = 1 << 14;

/// No further request is queued while more bytes than these are to be sent. Chosen without tuning.
const ENOUGH_TO_SEND: u64 = 64 << 10;

/// Requests on their way, and what has become of them.
pub struct Exchange<'a> {
    session: &'a Session,
    source: RequestSource,
    input: InputState,
    printer: &'a mut ReplyPrinter,
    /// `None` where the next request makes a connection.
    connection: Option<Pipeline<SendRequest>>,
    started: Instant,
    clock: ProgressClock,
    status: Status,
    /// The request whose reply arrived last, or that was queued last if there are no replies.
    last: Option<RequestLabel>,
}

/// Whether there may be more requests.
enum InputState {
    Open,
    /// There are none, or the source cannot tell.
    Ended(Result<(), Failure>),
}

/// What the loop does next.
enum Next {
    /// Nothing can be done before an event.
    Wait,
    /// There may be more to do.
    Continue,
    Stop,
}

impl<'a> Exchange<'a> {
    /// An exchange that has not begun.
    pub fn new(session: &'a Session, source: RequestSource, printer: &'a mut ReplyPrinter) -> Self {
        let clock = ProgressClock::new(&session.timeouts, Duration::ZERO);
        let (input, status) = (InputState::Open, Status::Success);
        let started = Instant::now();
        Self { session, source, input, printer, connection: None, started, clock, status, last: None }
    }

    /// Sends all requests, and prints the replies.
    pub fn run(mut self) -> Result<Status, Failure> {
        if !self.replaces_connections() {
            self.connection = Some(self.connect()?);
        }
        loop {
            self.queue_requests()?;
            self.send();
            let next = match self.take_replies()? {
                Next::Wait => self.check_deadline()?,
                next => next,
            };
            match next {
                Next::Stop => break,
                Next::Continue => {}
                Next::Wait if self.is_done() => {
                    self.expect_end()?;
                    break;
                }
                Next::Wait => {
                    self.printer.flush()?;
                    self.wait()?;
                }
            }
        }
        self.printer.flush()?;
        match self.input {
            InputState::Ended(Err(failure)) => Err(failure),
            _ => Ok(self.status),
        }
    }

    /// The time since the start of the exchange.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn connection_use(&self) -> ConnectionUse {
        self.session.protocol.connection_use()
    }

    /// Whether a connection that has failed or was closed is replaced for the next request.
    fn replaces_connections(&self) -> bool {
        matches!(self.connection_use(), ConnectionUse::Sequential | ConnectionUse::PerRequest)
    }

    fn connect(&self) -> Result<Pipeline<SendRequest>, Failure> {
        Pipeline::new(self.session.connect()?).map_err(|error| Failure::cannot("prepare the socket", &error))
    }

    /// Queues requests from the source, as many as may be in flight.
    fn queue_requests(&mut self) -> Result<(), Failure> {
        while self.may_queue() {
            match self.source.next() {
                Ok(NextRequest::Request(request)) => self.queue(request)?,
                Ok(NextRequest::NeedInput) => break,
                Ok(NextRequest::End) => self.input = InputState::Ended(Ok(())),
                Err(failure) => self.input = InputState::Ended(Err(failure)),
            }
        }
        Ok(())
    }

    fn may_queue(&self) -> bool {
        let max_in_flight = if self.replaces_connections() { 1 } else { MAX_IN_FLIGHT };
        let has_room = self.connection.as_ref().is_none_or(|connection| {
            let has_little_to_send = connection.unsent_bytes() < ENOUGH_TO_SEND;
            has_little_to_send && connection.in_flight().len() < max_in_flight && !connection.is_closed()
        });
        has_room && matches!(self.input, InputState::Open)
    }

    fn queue(&mut self, mut request: SendRequest) -> Result<(), Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        if connection.in_flight().len() == 0 {
            self.clock.restart(self.now());
        }
        let wire = request.take_wire();
        if self.connection_use() == ConnectionUse::NoReply {
            connection.queue_bytes(wire);
            self.last = Some(request.label);
        } else {
            connection.queue(wire, request.format, request);
        }
        self.connection = Some(connection);
        Ok(())
    }

    fn send(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let was_sent = connection.first_is_sent();
        let sent = connection.send();
        self.session.progress.sent(sent);
        if sent > 0 && !was_sent {
            self.clock.restart(self.now());
        }
    }

    /// Receives, and prints the replies that are complete.
    fn take_replies(&mut self) -> Result<Next, Failure> {
        let mut next = Next::Wait;
        loop {
            let Some(connection) = &mut self.connection else { return Ok(next) };
            if connection.receive() > 0 {
                self.clock.receive(self.started.elapsed());
            }
            match connection.next_reply() {
                Err(error) => return self.fail_request(&error),
                Ok(None) if !connection.unexpected().is_empty() => return self.fail_unexpected(),
                Ok(None) if connection.is_closed() => return self.on_idle_close(),
                Ok(None) => return Ok(next),
                Ok(Some((request, reply))) => {
                    next = Next::Continue;
                    self.clock.restart(self.now());
                    self.status = self.status.and(self.printer.reply(self.session, &request, reply)?);
                    self.last = Some(request.label);
                    if self.connection_use() == ConnectionUse::PerRequest {
                        self.connection = None;
                    }
                }
            }
        }
    }

    /// Whether every request has got its reply, or without replies was sent.
    fn is_done(&self) -> bool {
        let is_done = |connection: &Pipeline<_>| {
            let is_sent = self.connection_use() != ConnectionUse::NoReply || connection.unsent_bytes() == 0;
            connection.in_flight().len() == 0 && is_sent
        };
        matches!(self.input, InputState::Ended(_)) && self.connection.as_ref().is_none_or(is_done)
    }

    /// When the current wait has lasted too long.
    fn deadline(&self) -> Option<Duration> {
        let connection = self.connection.as_ref()?;
        if !connection.first_is_sent() {
            return Some(self.clock.send_deadline());
        }
        let late = self.clock.reply_deadline(connection.received().bytes).min(self.clock.silence_deadline());
        (connection.in_flight().len() > 0).then_some(late)
    }

    /// Waits for input, for replies or for room to send.
    fn wait(&mut self) -> Result<(), Failure> {
        let mut watched = Vec::new();
        let input = if self.may_queue() { self.source.descriptor() } else { None };
        watched.extend(input.map(|input| (input, Interest::READ)));
        let connection = self.connection.as_ref();
        watched.extend(connection.map(|connection| (connection.stream().as_fd(), connection.interest())));
        let timeout = self.deadline().map(|deadline| deadline.saturating_sub(self.now()));
        let ready = wait_any_ready(&watched, timeout).map_err(|error| Failure::cannot("wait", &error))?;
        if input.is_some() && ready[0].read {
            self.read_input();
        }
        Ok(())
    }

    fn read_input(&mut self) {
        if let Err(failure) = self.source.read() {
            self.input = InputState::Ended(Err(failure));
        }
    }
}
