//! One connection to the server under judgement.
//!
//! Owns a non-blocking socket, what was received and not yet judged, and the memory of what was sent. Guarantees:
//! sending receives too, so that a server that answers while it reads is never stuck; every wait ends, when nothing
//! moves for the patience, or when the check's time is up however much moves; what comes wrong is noticed at the first
//! wrong byte, without waiting for the rest; memory is bounded by what the check sends and expects, whatever the server
//! sends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::flaw::{Excerpt, Flaw, Seen, State};
use crate::client::client_protocol::ReplyFraming;
use crate::client::measure::{Measure, measure};
use crate::sys::{self, Interest};

/// A connection, with deadlines and a memory.
#[derive(Debug)]
pub struct Probe {
    stream: TcpStream,
    patience: Duration,
    deadline: Instant,
    sent: Excerpt,
    received: Vec<u8>,
    judged: usize,
    state: State,
}

/// How long to go on collecting after a wrong byte, so that what came can be shown. Chosen: the rest of an answer on a
/// local network arrives in less.
const GRACE: Duration = Duration::from_millis(50);

/// How many bytes more than it took a server may have sent while nothing is judged.
///
/// No answer that a check asks for while it sends is longer than its request by more than a header or the word `error`;
/// a thousand requests in one go make that a few kilobytes. Chosen with a margin.
const TOLERATED: usize = 64 << 10;

/// The hint for an answer that announces more bytes than any correct answer has.
const TOO_LONG: &str =
    "the length before the answer is larger than that of any correct answer: look at how it is counted and written";

const READ: Interest = Interest { read: true, write: false };

impl Probe {
    /// Takes over a connection; waits at most `patience` for any progress, and not beyond `deadline`.
    pub fn new(stream: TcpStream, patience: Duration, deadline: Instant) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (sent, received) = (Excerpt::default(), Vec::new());
        Ok(Self { stream, patience, deadline, sent, received, judged: 0, state: State::Open })
    }

    /// What has come and was not yet judged.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.received[self.judged..]
    }

    /// How the connection stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Sends it all. A server that stops reading is a flaw; one that closes, or sends more than can be right, is found
    /// out when its answer is judged.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Flaw> {
        let mut rest = bytes;
        while !rest.is_empty() && self.state != State::Excess {
            let wanted = Interest { read: self.state == State::Open, write: true };
            let Some(ready) = self.wait(wanted, self.patience)? else {
                self.state = self.out_of_time();
                let finding = format!("it took {} of {} bytes and no more", bytes.len() - rest.len(), bytes.len());
                return Err(self.flaw("a server that goes on reading", finding));
            };
            if ready.read {
                self.receive_tolerated();
            }
            if ready.write || ready.read {
                match self.stream.write(rest) {
                    Ok(n) => {
                        let (gone, left) = rest.split_at(n);
                        self.sent.push(gone);
                        rest = left;
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                    Err(_) => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Sends it in two or more parts, each of which the server gets to see alone.
    pub fn send_in_parts(&mut self, parts: &[&[u8]]) -> Result<(), Flaw> {
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.pause(PART_PAUSE)?;
            }
            self.send(part)?;
        }
        Ok(())
    }

    /// Lets so much time pass, receiving what comes.
    pub fn pause(&mut self, time: Duration) -> Result<(), Flaw> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if self.state != State::Open {
                // Nothing can come any more; what is left of the pause would tell nothing.
                return Ok(());
            }
            if self.wait(READ, left)?.is_none() {
                return Ok(());
            }
            self.receive_tolerated();
        }
    }

    /// Ends our side: the server sees the end of its input.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Leaves with a reset.
    pub fn reset(self) {
        sys::close_with_reset(self.stream);
    }

    /// Exactly these bytes come next.
    pub fn expect(&mut self, expected: &[u8]) -> Result<(), Flaw> {
        let mut same = 0;
        loop {
            // Only what is new: long answers come in thousands of portions.
            let come = self.unread().len().min(expected.len());
            if self.unread()[same..come] != expected[same..come] {
                self.collect();
                break;
            }
            same = come;
            if same == expected.len() || !self.more()? {
                break;
            }
        }
        if same == expected.len() {
            self.forget(expected.len());
            return Ok(());
        }
        Err(Flaw { expected: Seen::Bytes(expected.to_vec()), ..self.flaw("", "") })
    }

    /// An answer of any content comes next, from a server that tells its length; one of more than `most` bytes is wrong
    /// before it has come. Of an answer that is longer than `enough`, only that many bytes are read, and the connection
    /// is of no more use.
    pub fn answer(&mut self, framing: ReplyFraming, most: usize, enough: usize) -> Result<Vec<u8>, Flaw> {
        let (start, length) = self.header(framing)?;
        if length > most {
            let expected = format!("an answer of at most {most} bytes");
            return Err(self.flaw(expected, "").with_hint(TOO_LONG));
        }
        let end = start + length.min(enough);
        while self.unread().len() < end {
            if !self.more()? {
                return Err(self.flaw("a whole answer", ""));
            }
        }
        let answer = self.unread()[start..end].to_vec();
        self.forget(end);
        Ok(answer)
    }

    /// Where an answer begins behind its length, and that length.
    fn header(&mut self, framing: ReplyFraming) -> Result<(usize, usize), Flaw> {
        loop {
            match measure(self.unread(), framing) {
                Measure::Known { start, length } => return Ok((start, length)),
                Measure::Nonsense => return Err(self.flaw("an answer that begins with its length", "")),
                Measure::Unknown if self.more()? => {}
                Measure::Unknown => return Err(self.flaw("a whole answer", "")),
            }
        }
    }

    /// All that comes before the server closes; more than `most` bytes are wrong, whether or not it closes.
    pub fn until_close(&mut self, most: usize) -> Result<Vec<u8>, Flaw> {
        while self.unread().len() <= most && self.more()? {}
        if self.unread().len() > most || self.state != State::Closed {
            return Err(self.flaw(format!("at most {most} bytes, then the end"), ""));
        }
        Ok(self.received.split_off(self.judged))
    }

    /// The server closes, and sends nothing before.
    pub fn expect_close(&mut self) -> Result<(), Flaw> {
        while self.unread().is_empty() && self.more()? {}
        if self.unread().is_empty() && self.state == State::Closed {
            return Ok(());
        }
        self.collect();
        Err(self.flaw("the server closes the connection, and nothing before", ""))
    }

    /// Nothing comes for so long, and the connection stays.
    pub fn expect_silence(&mut self, time: Duration) -> Result<(), Flaw> {
        self.pause(time)?;
        if self.unread().is_empty() && self.state == State::Open {
            return Ok(());
        }
        Err(self.flaw("nothing, and an open connection", ""))
    }

    /// Whether anything comes within this time, be it the end.
    pub fn anything_within(&mut self, time: Duration) -> Result<bool, Flaw> {
        if self.unread().is_empty() && self.state == State::Open {
            if self.wait(READ, time)?.is_none() {
                return Ok(false);
            }
            self.receive();
        }
        Ok(true)
    }

    /// At least so many bytes are there to be read.
    pub fn gather(&mut self, length: usize) -> Result<(), Flaw> {
        while self.unread().len() < length {
            if !self.more()? {
                return Err(self.flaw(format!("at least {length} bytes"), format!("{} bytes", self.unread().len())));
            }
        }
        Ok(())
    }

    /// A flaw of this conversation, as it stands; without a `finding`, what came and was not judged is it.
    pub fn flaw(&self, expected: impl Into<String>, finding: impl Into<String>) -> Flaw {
        let mut flaw = Flaw::in_words(expected, finding);
        if flaw.came == Seen::Words(String::new()) {
            flaw.came = Seen::Bytes(self.unread().to_vec());
        }
        Flaw { sent: self.sent.clone(), state: self.state, ..flaw }
    }

    /// Waits for more; false when there will be none, or none came in time.
    fn more(&mut self) -> Result<bool, Flaw> {
        if matches!(self.state, State::Closed | State::Reset | State::Excess) {
            return Ok(false);
        }
        if self.wait(READ, self.patience)?.is_none() {
            self.state = self.out_of_time();
            return Ok(false);
        }
        Ok(self.receive())
    }

    /// Takes what else comes in the next moment.
    fn collect(&mut self) {
        let end = Instant::now() + GRACE;
        while self.state == State::Open {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !matches!(self.wait(READ, left), Ok(Some(_))) {
                return;
            }
            self.receive_tolerated();
        }
    }

    /// Takes what has come; notes when that is more than can be right.
    fn receive_tolerated(&mut self) {
        if self.receive() && self.unread().len() > self.sent.total + TOLERATED {
            self.state = State::Excess;
        }
    }

    /// Takes what has come; false when that is the end.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 16_384];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.state = State::Closed,
            Ok(n) => {
                self.state = State::Open;
                self.received.extend_from_slice(&buffer[..n]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.state = State::Reset,
        }
        self.state == State::Open
    }

    /// Waits for the socket, not beyond the end of the check's time.
    fn wait(&self, interest: Interest, at_most: Duration) -> Result<Option<Interest>, Flaw> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let ready = sys::wait_ready(&self.stream, interest, at_most.min(left))
            .map_err(|error| self.flaw("", format!("cannot wait for the socket: {error}")))?;
        // A server that never stops sending is always ready: its time is up nevertheless.
        Ok(ready.filter(|_| !left.is_zero()))
    }

    /// How the connection stands after a wait in vain.
    fn out_of_time(&self) -> State {
        let late = Instant::now() >= self.deadline
            && matches!(sys::wait_ready(&self.stream, READ, Duration::ZERO), Ok(Some(Interest { read: true, .. })));
        if late { State::Late } else { State::Silent }
    }

    /// So many bytes have been judged. They are of no more use; moving the rest is put off until it is the smaller part.
    fn forget(&mut self, bytes: usize) {
        self.judged += bytes;
        if self.judged * 2 >= self.received.len() {
            self.received.drain(..std::mem::take(&mut self.judged));
        }
    }
}

/// Long enough for the part before to arrive alone, and to be read alone by a server that has nothing else to do.
const PART_PAUSE: Duration = Duration::from_millis(3);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair() -> (Probe, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let patience = Duration::from_millis(100);
        (Probe::new(client, patience, Instant::now() + Duration::from_secs(10)).unwrap(), server)
    }

    #[test]
    fn what_is_expected_is_judged_and_forgotten() {
        let (mut probe, mut server) = pair();
        server.write_all(b"abcdef").unwrap();
        probe.expect(b"abc").unwrap();
        probe.expect(b"def").unwrap();
        drop(server);
        probe.expect_close().unwrap();
    }

    #[test]
    fn a_wrong_byte_is_noticed_before_the_rest_has_come() {
        let (mut probe, mut server) = pair();
        server.write_all(b"abX").unwrap();
        let flaw = probe.expect(&vec![b'a'; 1_000_000]).unwrap_err();
        assert_eq!((flaw.came, flaw.state), (Seen::Bytes(b"abX".to_vec()), State::Open));
    }

    #[test]
    fn silence_and_the_end_are_told_apart() {
        let (mut probe, server) = pair();
        assert_eq!(probe.expect(b"abc").unwrap_err().state, State::Silent);
        drop(server);
        assert_eq!(probe.expect(b"abc").unwrap_err().state, State::Closed);
    }

    #[test]
    fn answers_are_measured() {
        let (mut probe, mut server) = pair();
        server.write_all(b"\0\0\0\x02ab12 abcdefghijklrest").unwrap();
        assert_eq!(probe.answer(ReplyFraming::Length32, 2, 2).unwrap(), b"ab");
        assert_eq!(probe.answer(ReplyFraming::DecimalLength, 12, 20).unwrap(), b"abcdefghijkl");
        drop(server);
        assert_eq!(probe.answer(ReplyFraming::Fixed(4), 4, 4).unwrap(), b"rest");
    }

    #[test]
    fn an_answer_that_is_too_long_is_wrong_before_it_has_come() {
        let (mut probe, mut server) = pair();
        server.write_all(b"\xff\xff\xff\xff").unwrap();
        let flaw = probe.answer(ReplyFraming::Length32, 10, 10).unwrap_err();
        assert_eq!((flaw.hint, flaw.state), (TOO_LONG, State::Open));
        let (mut probe, mut server) = pair();
        server.write_all(b"12345").unwrap();
        assert_eq!(probe.until_close(4).unwrap_err().came, Seen::Bytes(b"12345".to_vec()));
        drop(server);
        assert_eq!(probe.until_close(5).unwrap(), b"12345");
    }

    #[test]
    fn of_a_long_answer_as_much_is_read_as_is_enough() {
        let (mut probe, mut server) = pair();
        server.write_all(b"\x07\xff\xff\xffabc").unwrap();
        assert_eq!(probe.answer(ReplyFraming::Length32, usize::MAX, 2).unwrap(), b"ab");
    }

    /// Sends until the client closes.
    fn flood(mut server: TcpStream) -> std::thread::JoinHandle<()> {
        std::thread::spawn(move || while server.write_all(&[b'x'; 1 << 14]).is_ok() {})
    }

    #[test]
    fn a_server_that_never_stops_sending_is_not_read_to_its_end() {
        let (mut probe, server) = pair();
        probe.patience = Duration::from_secs(10);
        let server = flood(server);
        probe.send(&vec![b'a'; 16 << 20]).unwrap();
        let flaw = probe.expect(b"answer").unwrap_err();
        assert_eq!(flaw.state, State::Excess);
        // What was sent until then, the tolerance, and what one read brings.
        let (held, sent) = (probe.received.len(), probe.sent.total);
        assert!(sent < 16 << 20 && held <= sent + TOLERATED + (16 << 10), "{held} of {sent}");
        assert!(probe.expect_close().is_err() && probe.expect_silence(Duration::from_secs(60)).is_err());
        assert_eq!(probe.received.len(), held);
        drop(probe);
        server.join().unwrap();
    }

    #[test]
    fn time_is_up_although_bytes_come() {
        let (probe, server) = pair();
        let server = flood(server);
        let mut probe = Probe { deadline: Instant::now(), ..probe };
        sys::wait_ready(&probe.stream, READ, Duration::from_secs(10)).unwrap().expect("bytes come");
        assert_eq!(probe.gather(1).unwrap_err().state, State::Late);
        drop(probe);
        server.join().unwrap();
    }

    /// A byte now and then does not prolong the moment in which the rest of a wrong answer is collected.
    #[test]
    fn bytes_that_drip_do_not_hold_a_judgement_up() {
        let (mut probe, mut server) = pair();
        let dripping = std::thread::spawn(move || {
            while server.write_all(b"x").is_ok() {
                std::thread::sleep(GRACE / 10);
            }
        });
        probe.deadline = Instant::now() + GRACE * 600;
        assert!(probe.expect(b"answer").is_err());
        // Ten in the time that is allowed, 6000 until the end of the check.
        assert!(probe.unread().len() < 1000, "{}", probe.unread().len());
        drop(probe);
        dripping.join().unwrap();
    }

    #[test]
    fn sending_does_not_wait_for_a_server_that_waits_for_us() {
        let (mut probe, server) = pair();
        let echo = std::thread::spawn(move || std::io::copy(&mut &server, &mut &server));
        let much = vec![b'x'; 16 << 20];
        probe.send(&much).unwrap();
        probe.finish();
        probe.expect(&much).unwrap();
        assert_eq!(echo.join().unwrap().unwrap(), much.len() as u64);
    }
}
