//! Checks of receivers of the PROXY protocol: the header comes first, then a request.
//!
//! Each header is sent in one piece with what follows it; a receiver need not be able to do more. Two checks of their
//! own send a header byte by byte, and one sends only a part of a header. The bytes are written out here and in the
//! catalog, so that a receiver is judged neither by this project's parser nor by its encoder.

use std::time::Duration;

use super::sample::ANY_ACTION;
use crate::client::check::connection::TestConnection;
use crate::client::check::context::CheckContext;
use crate::client::check::failure::{CheckFailure, CheckResult};
use crate::client::json::Value;
use crate::client::judge::mismatch::Observed;
use crate::client::judge::outcome::Pass;

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

/// A correct header of version 1, and the address of its client.
pub const HEADER: &[u8] = b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 8083\r\n";
pub const CLIENT: &str = "192.0.2.10:56324";

/// The header of version 2 that announces the same.
pub const HEADER_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93";

/// The note about a receiver that closes the connection at a part of a header.
const DROPS_PARTS: &str = "closes the connection when a part of a header arrives alone: allowed, but the \
    specification recommends keeping what has arrived and waiting for the rest";

/// The hint for a server that serves a client without a header.
const GUESSES: &str = "a receiver must not guess whether there is a header: a client that can choose could claim any \
    address; close the connection";

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

/// As [`receives`], with this many requests behind the header.
pub fn receives_with_requests(
    context: &CheckContext,
    header: &[u8],
    expected: Receives,
    requests: usize,
) -> CheckResult {
    let mut connection = context.connect()?;
    connection.send(&[header, &request(context).repeat(requests)].concat())?;
    match expected {
        Receives::Nothing => return connection.expect_end().map(|()| Pass::Clean),
        Receives::SenderOrNothing if ends_unserved(context, &mut connection)? => {
            return Ok(Pass::WithNote("closes such a connection: allowed, but it is better to serve it".into()));
        }
        Receives::Client(_) | Receives::Sender | Receives::SenderOrNothing => {}
    }
    expect_service(context, &mut connection, &reply(context).repeat(requests), expected)?;
    Ok(Pass::Clean)
}

/// Whether the connection ends, within the patience, before the server has sent anything.
fn ends_unserved(context: &CheckContext, connection: &mut TestConnection) -> Result<bool, CheckFailure> {
    connection.anything_within(context.patience())?;
    Ok(connection.unread().is_empty() && !connection.is_open())
}

/// A header that arrives byte by byte: the client is served, or the connection is closed, which the specification allows.
pub fn fragments(context: &CheckContext, header: &[u8]) -> CheckResult {
    let mut connection = context.connect()?;
    let bytes = [header, &request(context)].concat();
    connection.send_in_parts(&bytes.chunks(1).collect::<Vec<_>>())?;
    if ends_unserved(context, &mut connection)? {
        return Ok(Pass::WithNote(DROPS_PARTS.into()));
    }
    expect_service(context, &mut connection, &reply(context), Receives::Client(CLIENT))?;
    Ok(Pass::Clean)
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
    match peer {
        _ if is_right => Ok(()),
        Some(peer) => Err(connection.failure(words, format!("the peer {peer}")).with_hint(PEER)),
        None => Err(CheckFailure { received: Observed::Bytes(line), ..connection.failure(words, "") }),
    }
}

fn peer_of(line: &[u8]) -> Option<String> {
    let facts: Value = std::str::from_utf8(line).ok()?.parse().ok()?;
    facts.get("peer")?.as_str().map(str::to_owned)
}

/// Nothing is sent before the header, nor after a part of it, at which the connection may be closed.
pub fn silent_before_header(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    connection.expect_silence(SILENCE)?;
    connection.send(&HEADER[..HEADER.len() - 2])?;
    connection.pause(SILENCE)?;
    if connection.unread().is_empty() {
        return Ok(Pass::Clean);
    }
    Err(connection.failure("nothing before the end of the header", ""))
}

/// A request without a header.
pub fn no_header(context: &CheckContext) -> CheckResult {
    receives(context, b"", Receives::Nothing).map_err(|failure| {
        let is_served = matches!(&failure.received, Observed::Bytes(bytes) if is_served(context, bytes));
        if is_served { failure.with_hint(GUESSES) } else { failure }
    })
}

/// Whether these bytes show that the request of [`request`] was served.
pub fn is_served(context: &CheckContext, received: &[u8]) -> bool {
    let reply = reply(context);
    !received.is_empty() && received.starts_with(&reply)
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
