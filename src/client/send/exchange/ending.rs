//! The ends of requests and connections that are not the reply of a request.

use std::fmt;
use std::time::{Duration, Instant};

use super::{Exchange, InputState, Next};
use crate::client::client_protocol::ConnectionUse;
use crate::client::failure::{Failure, reason};
use crate::client::pipeline::Pipeline;
use crate::client::reply::collector::ReadError;
use crate::client::send::request_source::NextRequest;
use crate::sys::{Interest, wait_ready};
use crate::units::{counted, format_time};

/// The most time to wait, after the last reply, for the server to close the connection or to send too much. Chosen: far
/// more than either takes, far less than a user notices as a delay of the prompt.
const CLOSE_WAIT: Duration = Duration::from_millis(500);

/// The most time to wait for more input, or its end, when the server has closed the connection. Chosen: a program that
/// has written its last request may take a moment to end.
const INPUT_WAIT: Duration = Duration::from_secs(1);

/// The most bytes beyond the last reply that the message about them shows. Chosen: enough to recognize them.
const SHOWN: usize = 32;

impl Exchange<'_> {
    /// Fails the first request in flight if it takes too long.
    pub(super) fn check_deadline(&mut self) -> Result<Next, Failure> {
        let (Some(deadline), Some(connection)) = (self.deadline(), &self.connection) else { return Ok(Next::Wait) };
        let now = self.now();
        if now < deadline {
            return Ok(Next::Wait);
        }
        if connection.first_is_sent() {
            let received = connection.received();
            let is_silent = self.clock.silence_deadline() <= now;
            let why = if is_silent { ReadError::TimedOut(received) } else { ReadError::TooSlow(received) };
            return self.fail_request(&why);
        }
        let time = format_time(self.session.timeouts.write_timeout);
        self.fail_request(&format_args!("cannot send: the server has accepted no bytes for {time}"))
    }

    /// The first request in flight has failed, and with it the connection.
    pub(super) fn fail_request(&mut self, why: &dyn fmt::Display) -> Result<Next, Failure> {
        let Some(connection) = self.connection.take() else { return Ok(Next::Wait) };
        let mut in_flight = connection.in_flight().map(|request| &request.label);
        let first = in_flight.next().or(self.last.as_ref()).map(|label| format!("{label}: ")).unwrap_or_default();
        let others = match (in_flight.next(), in_flight.last()) {
            (None, _) => String::new(),
            (Some(next), None) => format!("; request {} has no reply either", next.number),
            (Some(next), Some(last)) => format!("; requests {} to {} have no reply either", next.number, last.number),
        };
        self.fail(&format_args!("{first}{why}{others}"))
    }

    /// Bytes have arrived that belong to no request.
    pub(super) fn fail_unexpected(&mut self) -> Result<Next, Failure> {
        let Some(connection) = self.connection.take() else { return Ok(Next::Wait) };
        let bytes = connection.unexpected();
        let (length, shown) = (counted(bytes.len(), "byte"), bytes[..bytes.len().min(SHOWN)].escape_ascii());
        if self.connection_use() == ConnectionUse::NoReply {
            return self.fail(&format_args!("the server sent bytes, and this protocol has no replies: {shown}"));
        }
        match self.last.clone() {
            Some(label) => self.fail(&format_args!("{label}: {length} arrived after its reply: {shown}")),
            None => self.fail(&format_args!("{length} arrived before the first request: {shown}")),
        }
    }

    fn fail(&mut self, why: &dyn fmt::Display) -> Result<Next, Failure> {
        self.printer.flush()?;
        self.status = self.session.fail(why);
        Ok(if self.replaces_connections() { Next::Continue } else { Next::Stop })
    }

    /// The server has closed the connection, and no reply is missing.
    pub(super) fn on_idle_close(&mut self) -> Result<Next, Failure> {
        if self.replaces_connections() {
            self.connection = None;
            return Ok(Next::Continue);
        }
        let is_sent = self.connection.as_ref().is_none_or(Pipeline::first_is_sent);
        if self.connection_use() == ConnectionUse::NoReply && !is_sent {
            return self.fail_request(&"the server closed the connection before it had accepted all of the request");
        }
        match self.input {
            InputState::Open => self.expect_end_of_input(),
            InputState::Ended(_) => Ok(Next::Wait),
        }
    }

    /// No request can follow, because the server has closed the connection.
    fn expect_end_of_input(&mut self) -> Result<Next, Failure> {
        self.printer.flush()?;
        let deadline = Instant::now() + INPUT_WAIT;
        loop {
            match self.source.next() {
                Ok(NextRequest::Request(request)) => {
                    let label = request.label;
                    return self.fail(&format_args!("{label}: the server closed the connection before it was sent"));
                }
                Ok(NextRequest::End) => self.input = InputState::Ended(Ok(())),
                Err(failure) => self.input = InputState::Ended(Err(failure)),
                Ok(NextRequest::NeedInput) if self.has_input_until(deadline)? => self.read_input(),
                Ok(NextRequest::NeedInput) => {
                    let number = self.source.next_number();
                    return self.fail(&format_args!(
                        "the server closed the connection: request {number} and those after it cannot be sent"
                    ));
                }
            }
            if let InputState::Ended(_) = self.input {
                return Ok(Next::Wait);
            }
        }
    }

    fn has_input_until(&self, deadline: Instant) -> Result<bool, Failure> {
        let Some(input) = self.source.descriptor() else { return Ok(false) };
        let left = deadline.saturating_duration_since(Instant::now());
        let ready = wait_ready(&input, Interest::READ, left).map_err(|error| Failure::cannot("wait", &error))?;
        Ok(ready.is_some_and(|ready| ready.read))
    }

    /// After the last reply, whatever else the server sends is an error. A server that never replies closes the
    /// connection when it has read everything.
    pub(super) fn expect_end(&mut self) -> Result<(), Failure> {
        let replaces_connections = self.replaces_connections();
        let never_replies = self.connection_use() == ConnectionUse::NoReply;
        let Some(connection) = self.connection.as_mut().filter(|_| self.last.is_some()) else { return Ok(()) };
        if replaces_connections {
            return Ok(());
        }
        self.printer.flush()?;
        connection.half_close();
        connection.send();
        let patience = if never_replies { self.session.timeouts.read_timeout } else { CLOSE_WAIT };
        wait_ready(connection.stream(), Interest::READ, patience).map_err(|error| Failure::cannot("wait", &error))?;
        connection.receive();
        if !connection.unexpected().is_empty() {
            return self.fail_unexpected().map(drop);
        }
        let why = match connection.failure() {
            Some(error) => reason(error),
            None if connection.is_closed() => return Ok(()),
            None => String::from("the read timed out"),
        };
        if never_replies {
            self.fail(&format_args!("the server did not close the connection: {why}"))?;
        }
        Ok(())
    }
}
