//! The expectations of a check on a connection.
//!
//! A wrong byte is noticed when it arrives, without waiting for the rest.

use std::time::Duration;

use super::TestConnection;
use crate::client::check::failure::{CheckFailure, ConnectionState};
use crate::client::client_protocol::ReplyFraming;
use crate::client::judge::mismatch::Observed;
use crate::client::reply::body::DiscardBody;
use crate::client::reply::decoder::{BodyLength, ReplyDecoder, ReplyError, ReplyFormat, ReplyProgress};
use crate::sys::Interest;
use crate::units::{counted, format_time};

/// The hint for a reply that announces more bytes than any correct reply has.
const TOO_LONG: &str =
    "the length before the reply is larger than that of any correct reply: look at how it is counted and written";

/// The hint for a server that replies, correctly, when the client half-closes and not before.
const AT_THE_END: &str = "the server replies only at the end of input, after the client has half-closed: reply to each \
    request when it is complete, without waiting for recv to return nothing";

/// How decoding a reply ended.
enum Decoded {
    /// This is its body, or the beginning of it.
    Body(Vec<u8>),
    /// It is wrong.
    Wrong(ReplyError),
    /// It did not arrive in full.
    Incomplete,
}

impl TestConnection {
    /// Expects exactly these bytes next.
    ///
    /// # Errors
    /// Other bytes arrive, too few within the patience, or the server closes the connection.
    pub fn expect(&mut self, expected: &[u8]) -> Result<(), CheckFailure> {
        let mut equal = 0;
        loop {
            // Only the new bytes are compared: long replies arrive in thousands of portions.
            let arrived = self.unread().len().min(expected.len());
            if self.unread()[equal..arrived] != expected[equal..arrived] {
                self.collect();
                break;
            }
            equal = arrived;
            if equal == expected.len() || !self.receive_more()? {
                break;
            }
        }
        if equal == expected.len() {
            self.consume(expected.len());
            return Ok(());
        }
        let failure = CheckFailure { expected: Observed::Bytes(expected.to_vec()), ..self.failure("", "") };
        let waits = self.state == ConnectionState::Silent && self.replies_at_the_end(expected);
        Err(if waits { failure.with_hint(AT_THE_END) } else { failure })
    }

    /// After silence: whether the rest of the expected reply begins to arrive when the server reads the end of input.
    /// The connection is of no further use then.
    fn replies_at_the_end(&mut self, expected: &[u8]) -> bool {
        let before = self.unread().len();
        self.half_close();
        self.state = ConnectionState::Open;
        self.collect();
        self.unread().len() > before && expected.starts_with(&self.unread()[..self.unread().len().min(expected.len())])
    }

    /// Expects a reply of any content, and returns its body. One of more than `limit` bytes is a failure before its
    /// body arrives.
    ///
    /// Of a body that is longer than `enough` bytes, only that many are read; the connection is of no further use then.
    ///
    /// # Errors
    /// The reply is malformed, too long, or not complete within the patience.
    pub fn reply(&mut self, framing: ReplyFraming, limit: usize, enough: usize) -> Result<Vec<u8>, CheckFailure> {
        match self.decode(ReplyFormat { framing, length: BodyLength::AtMost(limit) }, enough)? {
            Decoded::Body(body) => Ok(body),
            Decoded::Wrong(ReplyError::InvalidLength) => Err(self.failure("a reply that begins with its length", "")),
            Decoded::Wrong(_) => Err(self.failure(format!("a reply of at most {limit} bytes"), "").with_hint(TOO_LONG)),
            Decoded::Incomplete => Err(self.failure("a whole reply", "")),
        }
    }

    /// Expects at most `limit` bytes and then the end of the connection, and returns the bytes.
    ///
    /// # Errors
    /// More than `limit` bytes arrive, or the connection does not end within the patience.
    pub fn reply_until_close(&mut self, limit: usize) -> Result<Vec<u8>, CheckFailure> {
        match self.decode(
            ReplyFormat { framing: ReplyFraming::CloseDelimited, length: BodyLength::AtMost(limit) },
            usize::MAX,
        )? {
            Decoded::Body(body) => Ok(body),
            Decoded::Wrong(_) | Decoded::Incomplete => {
                Err(self.failure(format!("at most {limit} bytes, then the end"), ""))
            }
        }
    }

    fn decode(&mut self, format: ReplyFormat, enough: usize) -> Result<Decoded, CheckFailure> {
        let (mut decoder, mut fed) = (ReplyDecoder::new(format), 0);
        // The bytes are kept until the reply is complete, because a failure shows them: they need no second copy.
        let (end, length) = loop {
            match decoder.feed(&self.unread()[fed..], &mut DiscardBody) {
                Ok(ReplyProgress::Reply { consumed, length }) => break (fed + consumed, length),
                Ok(ReplyProgress::NeedMore) => fed = self.unread().len(),
                Err(error) => return Ok(Decoded::Wrong(error)),
            }
            if decoder.body_received() >= enough {
                break (fed, decoder.body_received());
            }
            if !self.receive_more()? {
                match decoder.finish(&mut DiscardBody) {
                    Ok(length) if self.state == ConnectionState::Closed => break (fed, length),
                    _ => return Ok(Decoded::Incomplete),
                }
            }
        };
        let start = end - length;
        let body = self.unread()[start..start + length.min(enough)].to_vec();
        self.consume(end);
        Ok(Decoded::Body(body))
    }

    /// Expects the server to close the connection, and to send nothing before.
    ///
    /// # Errors
    /// Bytes arrive, or the connection does not end within the patience.
    pub fn expect_close(&mut self) -> Result<(), CheckFailure> {
        self.expect_state(&[ConnectionState::Closed], "the server closes the connection, and nothing before")
    }

    /// Expects the server to close or reset the connection, and to send nothing before.
    ///
    /// # Errors
    /// Bytes arrive, or the connection does not end within the patience.
    pub fn expect_end(&mut self) -> Result<(), CheckFailure> {
        let time = format_time(self.patience);
        let expected = format!("the server closes the connection within {time}, and sends nothing");
        self.expect_state(&[ConnectionState::Closed, ConnectionState::Reset], &expected)
    }

    /// Expects one of these ends of the connection, and no bytes before.
    fn expect_state(&mut self, ends: &[ConnectionState], expected: &str) -> Result<(), CheckFailure> {
        while self.unread().is_empty() && self.receive_more()? {}
        if self.unread().is_empty() && ends.contains(&self.state) {
            return Ok(());
        }
        self.collect();
        Err(self.failure(expected, ""))
    }

    /// Expects that nothing arrives within `time`, and that the connection stays open.
    ///
    /// # Errors
    /// Bytes arrive, or the connection ends.
    pub fn expect_silence(&mut self, time: Duration) -> Result<(), CheckFailure> {
        self.pause(time)?;
        if self.unread().is_empty() && self.state == ConnectionState::Open {
            return Ok(());
        }
        Err(self.failure("nothing, and an open connection", ""))
    }

    /// Whether anything arrives within `time`, be it the end of the connection.
    ///
    /// # Errors
    /// As poll(2).
    pub fn anything_within(&mut self, time: Duration) -> Result<bool, CheckFailure> {
        if self.unread().is_empty() && self.state == ConnectionState::Open {
            if self.wait(Interest::READ, time)?.is_none() {
                return Ok(false);
            }
            self.receive();
        }
        Ok(true)
    }

    /// Expects at least `length` bytes; they remain unread.
    ///
    /// # Errors
    /// Fewer bytes arrive within the patience, or the server closes the connection.
    pub fn expect_bytes(&mut self, length: usize) -> Result<(), CheckFailure> {
        while self.unread().len() < length {
            if !self.receive_more()? {
                let received = counted(self.unread().len(), "byte");
                return Err(self.failure(format!("at least {}", counted(length, "byte")), received));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::tests::pair;
    use super::*;

    #[test]
    fn expected_bytes_are_consumed() {
        let (mut connection, mut server) = pair();
        server.write_all(b"abcdef").unwrap();
        connection.expect(b"abc").unwrap();
        connection.expect(b"def").unwrap();
        drop(server);
        connection.expect_close().unwrap();
    }

    #[test]
    fn wrong_byte_is_noticed_before_the_rest_arrives() {
        let (mut connection, mut server) = pair();
        server.write_all(b"abX").unwrap();
        let failure = connection.expect(&vec![b'a'; 1_000_000]).unwrap_err();
        assert_eq!((failure.received, failure.state), (Observed::Bytes(b"abX".to_vec()), ConnectionState::Open));
    }

    #[test]
    fn silence_and_a_closed_connection_are_distinguished() {
        let (mut connection, server) = pair();
        assert_eq!(connection.expect(b"abc").unwrap_err().state, ConnectionState::Silent);
        drop(server);
        assert_eq!(connection.expect(b"abc").unwrap_err().state, ConnectionState::Closed);
    }

    #[test]
    fn replies_are_decoded_one_after_another() {
        let (mut connection, mut server) = pair();
        server.write_all(b"\0\0\0\x02ab12 abcdefghijklrest").unwrap();
        assert_eq!(connection.reply(ReplyFraming::Length32, 2, 2).unwrap(), b"ab");
        assert_eq!(connection.reply(ReplyFraming::DecimalLength, 12, 20).unwrap(), b"abcdefghijkl");
        drop(server);
        assert_eq!(connection.reply(ReplyFraming::Fixed(4), 4, 4).unwrap(), b"rest");
    }

    #[test]
    fn too_long_reply_is_a_failure_before_it_arrives() {
        let (mut connection, mut server) = pair();
        server.write_all(b"\xff\xff\xff\xff").unwrap();
        let failure = connection.reply(ReplyFraming::Length32, 10, 10).unwrap_err();
        assert_eq!((&*failure.hint, failure.state), (TOO_LONG, ConnectionState::Open));
        let (mut connection, mut server) = pair();
        server.write_all(b"12345").unwrap();
        let failure = connection.reply_until_close(4).unwrap_err();
        assert_eq!(failure.received, Observed::Bytes(b"12345".to_vec()));
        drop(server);
        assert_eq!(connection.reply_until_close(5).unwrap(), b"12345");
    }

    #[test]
    fn a_reply_without_its_end_is_a_failure() {
        for (sent, expected) in [(b"x".as_slice(), "begins with its length"), (b"12 abc", "a whole reply")] {
            let (mut connection, mut server) = pair();
            server.write_all(sent).unwrap();
            drop(server);
            let failure = connection.reply(ReplyFraming::DecimalLength, 99, 99).unwrap_err();
            assert!(failure.expected_shown().contains(expected), "{failure:?}");
            assert_eq!(failure.received, Observed::Bytes(sent.to_vec()));
        }
        let (mut connection, mut server) = pair();
        server.write_all(b"abc").unwrap();
        assert_eq!(connection.reply_until_close(9).unwrap_err().state, ConnectionState::Silent);
    }

    #[test]
    fn of_a_long_reply_only_enough_is_read() {
        let (mut connection, mut server) = pair();
        server.write_all(b"\x07\xff\xff\xffabc").unwrap();
        assert_eq!(connection.reply(ReplyFraming::Length32, usize::MAX, 2).unwrap(), b"ab");
    }
}
