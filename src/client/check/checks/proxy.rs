//! Checks of receivers of the PROXY protocol: the header comes first, then a request.
//!
//! Each header is sent twice, on two connections: in one piece with the request, and byte by byte. The bytes are written
//! out in the catalog, so that a receiver is judged neither by this project's parser nor by its encoder.

use std::time::Duration;

use super::sample::ANY_ACTION;
use crate::client::check::connection::TestConnection;
use crate::client::check::context::CheckContext;
use crate::client::check::failure::{CheckFailure, CheckResult, Observed, Pass};
use crate::client::json::Value;

/// What a receiver does after a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receives {
    /// It serves the client with this address.
    Client(&'static str),
    /// It serves the sender of the header.
    Sender,
    /// It closes the connection and sends nothing.
    Nothing,
    /// It serves the sender, or closes the connection: the specification allows both.
    SenderOrNothing,
}

/// What a receiver has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Served,
    Closed,
}

/// How a header is sent.
#[derive(Clone, Copy, Debug)]
enum Pieces {
    One,
    Bytes,
}

/// A correct header, and the address of its client.
pub const HEADER: &[u8] = b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 8083\r\n";
const CLIENT: &str = "192.0.2.10:56324";

/// The hint for a receiver that recognizes a header only if it arrives in one piece.
const PIECES: &str = "in one piece with the request the header has the right result: recv may return any part of it, so \
    keep what has arrived, and wait for the rest";

/// The hint for a server that names another peer than the header does.
const PEER: &str = "the announced source is the client, in place of the proxy's own address, wherever the server names or \
    counts its clients; LOCAL and UNKNOWN announce none";

/// The time in which a wrong reply would arrive. Chosen as for the check `silent`.
const SILENCE: Duration = Duration::from_millis(100);

/// The longest line of `who`, in bytes. Chosen far above what the names and addresses of its facts take.
const MAX_FACTS: usize = 4096;

/// Expects this of the server, after a header with a request behind it.
pub fn receives(context: &CheckContext, header: &[u8], expected: Receives) -> CheckResult {
    receives_with_requests(context, header, expected, 1)
}

/// As [`receives`], with two requests behind the header, where requests can be pipelined.
pub fn receives_two_requests(context: &CheckContext, header: &[u8], expected: Receives) -> CheckResult {
    receives_with_requests(context, header, expected, 2)
}

fn receives_with_requests(context: &CheckContext, header: &[u8], expected: Receives, requests: usize) -> CheckResult {
    let bytes = [header, &request(context).repeat(requests)].concat();
    let replies = reply(context).repeat(requests);
    let once = |pieces| outcome(context, &bytes, &replies, expected, pieces);
    let first = once(Pieces::One)?;
    let second = once(Pieces::Bytes).map_err(|failure| failure.with_hint(PIECES))?;
    if first != second {
        let received = format!("{}, and byte by byte: {}", first.name(), second.name());
        return Err(CheckFailure::in_words("one result, however the header arrives", received).with_hint(PIECES));
    }
    if expected == Receives::SenderOrNothing && first == Outcome::Closed {
        return Ok(Pass::WithNote("closes such a connection: allowed, but better is to serve it".into()));
    }
    Ok(Pass::Clean)
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Closed => "closed",
        }
    }
}

fn outcome(
    context: &CheckContext,
    bytes: &[u8],
    replies: &[u8],
    expected: Receives,
    pieces: Pieces,
) -> Result<Outcome, CheckFailure> {
    let mut connection = context.connect()?;
    match pieces {
        Pieces::One => connection.send(bytes)?,
        Pieces::Bytes => connection.send_in_parts(&bytes.chunks(1).collect::<Vec<_>>())?,
    }
    let closes = match expected {
        Receives::Client(_) | Receives::Sender => false,
        Receives::Nothing => true,
        Receives::SenderOrNothing => {
            connection.anything_within(context.patience())?;
            connection.unread().is_empty() && !connection.is_open()
        }
    };
    if closes {
        return connection.expect_end().map(|()| Outcome::Closed);
    }
    expect_service(context, &mut connection, replies, expected).map(|()| Outcome::Served)
}

/// A request whose reply is known, or bytes that a server that speaks first ignores.
pub fn request(context: &CheckContext) -> Vec<u8> {
    if context.protocol().takes_messages() { context.request(ANY_ACTION, b"hi") } else { b"hi\r\n".to_vec() }
}

/// The reply to [`request`]; empty if the server speaks first.
pub fn reply(context: &CheckContext) -> Vec<u8> {
    if context.protocol().takes_messages() { context.reply(ANY_ACTION, b"hi") } else { Vec::new() }
}

/// Expects these replies, or what a server that speaks first sends. The failure shows no bytes that could be taken for a
/// mistake of the protocol.
fn expect_service(
    context: &CheckContext,
    connection: &mut TestConnection,
    replies: &[u8],
    expected: Receives,
) -> Result<(), CheckFailure> {
    if context.protocol().name() == "who" {
        return expect_facts(connection, expected);
    }
    let served = if replies.is_empty() { connection.expect_bytes(1) } else { connection.expect(replies) };
    served.map_err(CheckFailure::condensed)
}

/// Expects the line of `who`, with the announced client as its peer, or any other peer than that.
fn expect_facts(connection: &mut TestConnection, expected: Receives) -> Result<(), CheckFailure> {
    let line = connection.reply_until_close(MAX_FACTS)?;
    let peer = peer_of(&line);
    let (is_right, words) = match expected {
        Receives::Client(client) => (peer.as_deref() == Some(client), format!("the peer {client}")),
        _ => (peer.as_deref().is_some_and(|peer| peer != CLIENT), "the sender of the header as the peer".into()),
    };
    if is_right {
        return Ok(());
    }
    Err(CheckFailure { received: Observed::Bytes(line), ..connection.failure(words, "") }.with_hint(PEER))
}

fn peer_of(line: &[u8]) -> Option<String> {
    let facts: Value = std::str::from_utf8(line).ok()?.parse().ok()?;
    facts.get("peer")?.as_str().map(str::to_owned)
}

/// Nothing is sent before the header, nor after a part of it.
pub fn silent_before_header(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    connection.expect_silence(SILENCE)?;
    let (start, rest) = HEADER.split_at(HEADER.len() - 2);
    connection.send(start)?;
    connection.expect_silence(SILENCE)?;
    connection.send(&[rest, &request(context)].concat())?;
    expect_service(context, &mut connection, &reply(context), Receives::Client(CLIENT))?;
    Ok(Pass::Clean)
}

/// A request without a header.
pub fn no_header(context: &CheckContext) -> CheckResult {
    receives(context, b"", Receives::Nothing)
}

/// In `echo`, whatever is behind the header comes back.
pub fn second_header(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    connection.send(&HEADER.repeat(2))?;
    connection.expect(HEADER)?;
    Ok(Pass::Clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_read_from_the_line_of_who() {
        let line = b"{\"host\":\"a\",\"protocol\":\"who\",\"peer\":\"192.0.2.10:56324\",\"local\":null}\n";
        assert_eq!(peer_of(line).as_deref(), Some(CLIENT));
        for line in [b"".as_slice(), b"{}", b"{\"peer\":null}\n", b"\xff"] {
            assert_eq!(peer_of(line), None);
        }
    }
}
