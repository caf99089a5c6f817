//! One connection of a service beside the workers: a request, its reply, and the end.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::health::LivenessCheck;
use super::http::{self, Refusal, Request, Response, Status};
use crate::sys::{Interest, StreamSocket};

/// The maximum length of a request's head, in bytes. Chosen: what web servers take by default; scrapers and probes send
/// a few hundred.
pub const MAX_HEAD: usize = 8 << 10;
/// The maximum time of a connection. Chosen: scrapers and probes give up after 1 to 10 seconds, and one that is slow
/// must not take a place for longer.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// The time after which a connection gives up its place if all places are taken and another client waits. Chosen: the
/// four round trips of a scrape take less, also to the other side of the world; and a probe behind 100 connections that
/// do nothing waits for 3 seconds, less than the 5 seconds that packaging/kubernetes gives it.
pub const MIN_TIME: Duration = Duration::from_millis(250);
/// The maximum number of bytes that are read after the request. They are dropped; unread, they would make close(2)
/// reset the connection, and the client could lose the reply (RFC 9112, section 9.6). Chosen: the content of a small
/// request, and a bound on the time that a client can take.
pub const MAX_DISCARDED: usize = 64 << 10;
/// The bytes that are read at a time. Chosen: the longest head in one call.
const READ_SIZE: usize = MAX_HEAD;

/// A reply, or what it waits for.
#[derive(Debug)]
pub enum Reply {
    /// The reply.
    Now(Response),
    /// It depends on the workers.
    After(LivenessCheck),
}

/// The content of the pages.
pub trait Pages {
    /// The reply to a request.
    fn reply(&mut self, request: Request) -> Reply;

    /// The reply that a check of the workers leads to, if that has ended.
    fn liveness(&self, check: &LivenessCheck, now: Instant) -> Option<Response>;
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: StreamSocket,
    state: State,
    accepted: Instant,
}

#[derive(Debug)]
enum State {
    /// Reads the head of the request.
    Reading(Vec<u8>),
    /// Waits for the workers.
    Waiting { check: LivenessCheck, is_head: bool },
    /// Sends the reply.
    Sending { reply: Vec<u8>, sent: usize },
    /// Waits until the client has closed, and drops what it sends.
    Lingering { discarded: usize },
}

/// What a step leads to.
enum Step {
    /// The next step.
    Continue,
    /// A wait for an event.
    Wait,
    /// The end.
    Close,
}

impl Client {
    /// A connection that begins with a request.
    #[must_use]
    pub fn with_request(stream: StreamSocket, now: Instant) -> Self {
        Self { stream, state: State::Reading(Vec::new()), accepted: now }
    }

    /// A connection that gets this reply at once.
    #[must_use]
    pub fn with_reply(stream: StreamSocket, reply: Vec<u8>, now: Instant) -> Self {
        Self { stream, state: State::Sending { reply, sent: 0 }, accepted: now }
    }

    /// What it waits for.
    #[must_use]
    pub fn interest(&self) -> Interest {
        match self.state {
            State::Reading(_) | State::Lingering { .. } => Interest { read: true, write: false },
            State::Waiting { .. } => Interest::default(),
            State::Sending { .. } => Interest { read: false, write: true },
        }
    }

    /// When it continues without an event.
    #[must_use]
    pub fn due(&self) -> Instant {
        match &self.state {
            State::Waiting { check, .. } => self.deadline().min(check.until),
            _ => self.deadline(),
        }
    }

    /// When it ends at the latest.
    fn deadline(&self) -> Instant {
        self.accepted + TIMEOUT
    }

    /// From when on it gives up its place to a client that waits; `None` while it waits for the workers, which is what
    /// a probe has come for, and takes no more than [`LIVENESS_TIMEOUT`](super::health::LIVENESS_TIMEOUT).
    #[must_use]
    pub fn yields_from(&self) -> Option<Instant> {
        (!matches!(self.state, State::Waiting { .. })).then_some(self.accepted + MIN_TIME)
    }

    /// Continues until it has to wait; false if it has ended. `ready` is what poll(2) has reported.
    pub fn advance(&mut self, ready: Interest, pages: &mut impl Pages, now: Instant) -> bool {
        if matches!(self.state, State::Waiting { .. }) && ready.read {
            // nothing was asked for: an error, or the end
            return false;
        }
        if now >= self.deadline() {
            self.expire();
            return false;
        }
        loop {
            let step = match &mut self.state {
                State::Reading(_) => self.read(pages),
                State::Waiting { check, is_head } => match pages.liveness(check, now) {
                    Some(response) => {
                        let reply = response.bytes(*is_head);
                        self.send(reply)
                    }
                    None => Step::Wait,
                },
                State::Sending { .. } => self.write(),
                State::Lingering { .. } => self.discard(),
            };
            match step {
                Step::Continue => {}
                Step::Wait => return true,
                Step::Close => return false,
            }
        }
    }

    fn read(&mut self, pages: &mut impl Pages) -> Step {
        let State::Reading(head) = &mut self.state else { return Step::Close };
        let begin = head.len();
        head.resize(MAX_HEAD, 0);
        let result = self.stream.read(&mut head[begin..]);
        head.truncate(begin + result.as_ref().map_or(0, |length| *length));
        match result {
            Ok(0) => return Step::Close,
            Ok(_) => {}
            Err(error) => return after(&error),
        }
        match http::parse(head) {
            None if head.len() < MAX_HEAD => Step::Continue,
            None => self.send(Refusal::of(Status::FieldsTooLarge).response()),
            Some(Err(refusal)) => self.send(refusal.response()),
            Some(Ok(request)) => match pages.reply(request) {
                Reply::Now(response) => self.send(response.bytes(request.is_head)),
                Reply::After(check) => {
                    self.state = State::Waiting { check, is_head: request.is_head };
                    Step::Continue
                }
            },
        }
    }

    fn send(&mut self, reply: Vec<u8>) -> Step {
        self.state = State::Sending { reply, sent: 0 };
        Step::Continue
    }

    fn write(&mut self) -> Step {
        let State::Sending { reply, sent } = &mut self.state else { return Step::Close };
        match self.stream.write(&reply[*sent..]) {
            Ok(length) => *sent += length,
            Err(error) => return after(&error),
        }
        if *sent < reply.len() {
            return Step::Continue;
        }
        if self.stream.shutdown(Shutdown::Write).is_err() {
            // the client has gone
            return Step::Close;
        }
        self.state = State::Lingering { discarded: 0 };
        Step::Continue
    }

    fn discard(&mut self) -> Step {
        let State::Lingering { discarded } = &mut self.state else { return Step::Close };
        match self.stream.read(&mut [0; READ_SIZE]) {
            Ok(0) => Step::Close,
            Ok(length) => {
                *discarded += length;
                if *discarded < MAX_DISCARDED { Step::Continue } else { Step::Close }
            }
            Err(error) => after(&error),
        }
    }

    /// The time is over: tells a client whose request is incomplete, as far as one write can.
    pub fn expire(&mut self) {
        if matches!(&self.state, State::Reading(head) if !head.is_empty()) {
            // fails if the client has gone, or takes nothing
            let _ = self.stream.write(&Refusal::of(Status::RequestTimeout).response());
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// What an error of the socket leads to.
fn after(error: &io::Error) -> Step {
    match error.kind() {
        io::ErrorKind::WouldBlock => Step::Wait,
        io::ErrorKind::Interrupted => Step::Continue,
        _ => Step::Close,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::daemon::side::http::Page;

    /// Every page is its name; `/livez` waits for the end of its check.
    struct Names;

    impl Pages for Names {
        fn reply(&mut self, request: Request) -> Reply {
            match request.page {
                Page::Live => Reply::After(LivenessCheck { number: 1, until: Instant::now() + TIMEOUT / 2 }),
                page => Reply::Now(Response::text(Status::Ok, &format!("{page:?}"))),
            }
        }

        fn liveness(&self, check: &LivenessCheck, now: Instant) -> Option<Response> {
            (now >= check.until).then(|| Response::text(Status::Unavailable, "late"))
        }
    }

    const NOTHING: Interest = Interest { read: false, write: false };

    fn pair() -> (UnixStream, Client, Instant) {
        let (client, server) = UnixStream::pair().expect("a pair");
        server.set_nonblocking(true).expect("non-blocking");
        let now = Instant::now();
        let stream = StreamSocket::try_from(OwnedFd::from(server)).expect("a stream socket");
        (client, Client::with_request(stream, now), now)
    }

    fn received(mut client: UnixStream, server: Client) -> String {
        drop(server);
        let mut text = String::new();
        client.read_to_string(&mut text).expect("a reply");
        text
    }

    #[test]
    fn requests_may_come_byte_by_byte() {
        let (mut client, mut server, now) = pair();
        for byte in b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n" {
            assert_eq!(server.interest(), Interest { read: true, write: false });
            client.write_all(&[*byte]).expect("write");
            assert!(server.advance(NOTHING, &mut Names, now));
        }
        assert!(matches!(server.state, State::Lingering { .. }));
        assert!(received(client, server).ends_with("\r\n\r\nReady\n"));
    }

    #[test]
    fn what_follows_the_request_is_dropped_up_to_a_limit() {
        for (length, open) in [(MAX_DISCARDED - 1, true), (MAX_DISCARDED, false)] {
            let (mut client, mut server, now) = pair();
            client.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").expect("write");
            assert!(server.advance(NOTHING, &mut Names, now));
            client.write_all(&vec![b'x'; length]).expect("write");
            assert_eq!(server.advance(NOTHING, &mut Names, now), open, "{length}");
            assert!(received(client, server).ends_with("Ready\n"), "{length}");
        }
        let (mut client, mut server, now) = pair();
        client.write_all(b"GET /readyz HTTP/1.0\r\n\r\nGET /livez HTTP/1.0\r\n\r\n").expect("write");
        assert!(server.advance(NOTHING, &mut Names, now), "a pipelined request is dropped");
        assert_eq!(received(client, server).matches("HTTP/1.1").count(), 1);
    }

    #[test]
    fn the_head_of_a_request_has_a_limit() {
        let head = |length: usize| {
            let start = "GET /readyz HTTP/1.0\r\nA: ";
            [start, &"b".repeat(length - start.len() - 4), "\r\n\r\n"].concat()
        };
        for (length, status) in [(MAX_HEAD, "200 OK"), (MAX_HEAD + 1, "431 ")] {
            let (mut client, mut server, now) = pair();
            client.write_all(head(length).as_bytes()).expect("write");
            assert!(server.advance(NOTHING, &mut Names, now));
            let text = received(client, server);
            assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{length}: {text}");
        }
    }

    #[test]
    fn a_connection_has_a_limit_on_its_time() {
        let (mut client, mut server, now) = pair();
        client.write_all(b"GET /ready").expect("write");
        assert!(server.advance(NOTHING, &mut Names, now));
        assert_eq!(server.due(), now + TIMEOUT);
        assert!(server.advance(NOTHING, &mut Names, now + TIMEOUT / 2));
        assert!(!server.advance(NOTHING, &mut Names, now + TIMEOUT));
        assert!(received(client, server).starts_with("HTTP/1.1 408 "));
        let (client, mut server, now) = pair();
        assert!(!server.advance(NOTHING, &mut Names, now + TIMEOUT));
        assert_eq!(received(client, server), "", "a client that has sent nothing gets nothing");
    }

    #[test]
    fn a_place_is_given_up_unless_the_workers_are_waited_for() {
        let (mut client, mut server, now) = pair();
        assert_eq!(server.yields_from(), Some(now + MIN_TIME));
        client.write_all(b"GET /livez HTTP/1.0\r\n\r\n").expect("write");
        assert!(server.advance(NOTHING, &mut Names, now));
        assert_eq!(server.yields_from(), None);
        assert!(server.advance(NOTHING, &mut Names, now + TIMEOUT / 2 + MIN_TIME));
        assert_eq!(server.yields_from(), Some(now + MIN_TIME), "it has its reply");
    }

    #[test]
    fn the_end_of_a_client_ends_its_connection() {
        let (mut client, mut server, now) = pair();
        client.write_all(b"GET /ready").expect("write");
        drop(client);
        assert!(!server.advance(NOTHING, &mut Names, now));
        let (mut client, mut server, now) = pair();
        client.write_all(b"GET /livez HTTP/1.0\r\n\r\n").expect("write");
        assert!(server.advance(NOTHING, &mut Names, now));
        assert_eq!(server.interest(), NOTHING);
        assert!(!server.advance(Interest { read: true, write: false }, &mut Names, now), "it is gone");
    }

    #[test]
    fn a_reply_may_wait_for_the_workers() {
        let (mut client, mut server, now) = pair();
        client.write_all(b"HEAD /livez HTTP/1.0\r\n\r\n").expect("write");
        assert!(server.advance(NOTHING, &mut Names, now));
        let due = server.due();
        assert!(due < now + TIMEOUT && server.advance(NOTHING, &mut Names, now));
        assert!(server.advance(NOTHING, &mut Names, due));
        let text = received(client, server);
        assert!(text.starts_with("HTTP/1.1 503 ") && text.ends_with("\r\n\r\n"), "{text}");
    }

    #[test]
    fn replies_are_sent_as_far_as_the_client_takes_them() {
        let (mut client, server, now) = pair();
        let long = vec![b'x'; 4 << 20];
        let mut server = Client::with_reply(server.stream, long.clone(), now);
        assert!(server.advance(NOTHING, &mut Names, now));
        assert_eq!(server.interest(), Interest { read: false, write: true });
        let mut taken = vec![0; long.len()];
        let mut length = 0;
        while matches!(server.state, State::Sending { .. }) {
            length += client.read(&mut taken[length..]).expect("read");
            assert!(server.advance(NOTHING, &mut Names, now));
        }
        client.read_exact(&mut taken[length..]).expect("the rest");
        assert!(taken == long);
    }
}
