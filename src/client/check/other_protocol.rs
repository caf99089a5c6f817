//! Recognizes a server of another protocol before the checks, so that a report says so once and not in every hint.
//!
//! Guarantees: a server that replies correctly is asked once, and any other at most three times, each within
//! [`REPLY_TIME`]. Only what no server of the right protocol sends is taken for another protocol: everything else is left
//! to the checks.

use std::time::Duration;

use super::checks::sample::ANY_ACTION;
use super::checks::services::is_chargen_pattern;
use super::connection::TestConnection;
use super::context::CheckContext;
use super::failure::CheckFailure;
use crate::client::client_protocol::{ClientProtocol, ConnectionUse, ERROR_TEXT};
use crate::client::date;
use crate::protocol::PROTOCOLS;
use crate::sys;

/// The message of the first request. It ends the request line and the head of an HTTP request, so that a server of HTTP
/// replies.
const MESSAGE: &[u8] = b"retort check\r\n\r\n";

/// The most time to wait for the first reply, and for bytes without a request. Chosen: far more than a server on a local
/// network needs; a server that hangs delays the first check by it.
const REPLY_TIME: Duration = Duration::from_secs(1);

/// The protocols whose replies are any text, so that no text is a sign of another one.
const FREE_TEXT: &[&str] = &["qotd", "chargen"];

/// The beginnings of greetings. SMTP and FTP have the same code (RFC 5321, RFC 959).
const GREETINGS: &[(&[u8], &str)] = &[
    (b"220 ", "SMTP or FTP"),
    (b"220-", "SMTP or FTP"),
    (b"421 ", "SMTP or FTP"),
    (b"554 ", "SMTP"),
    (b"+OK ", "POP3"),
    (b"* OK ", "IMAP"),
];

/// A TLS record with a truncated `ClientHello` (RFC 8446, 5.1 and 4), to which a server of TLS replies with an alert. Many
/// close without one if the first bytes are no record.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\0\x05\x01\0\0\x01\0";

/// The failure of every check, if the server speaks another protocol.
pub fn failure_of_all(context: &CheckContext) -> Option<CheckFailure> {
    let protocol = context.protocol();
    let time = REPLY_TIME.min(context.patience());
    let (first, request) = first_reply(context, time).ok()?;
    if let Some(name) = protocol_of_reply(protocol, &request, first.unread()) {
        return Some(speaks(&first, protocol, name));
    }
    let closed_without_reply = first.unread().is_empty() && !first.is_open();
    let is_text = begins_with_line(first.unread());
    drop(first);
    if closed_without_reply {
        let second = reply_to(context, CLIENT_HELLO, time).ok()?;
        return foreign_protocol(second.unread()).map(|name| speaks(&second, protocol, name));
    }
    // A wrong reply may be text. Only text without a request is a greeting.
    let may_greet = is_text && !FREE_TEXT.contains(&protocol.name());
    if may_greet { greeting_of_other(context, time) } else { None }
}

/// The failure of every check, if the server greets a client that has sent nothing.
fn greeting_of_other(context: &CheckContext, time: Duration) -> Option<CheckFailure> {
    let protocol = context.protocol();
    let mut connection = context.connect().ok()?;
    connection.anything_within(time).ok()?;
    match protocol_of_greeting(connection.unread()) {
        Some(name) if name == protocol.name() => None,
        Some(name) => Some(speaks(&connection, protocol, name)),
        None if protocol.takes_messages() && begins_with_line(connection.unread()) => {
            let name = protocol.name();
            let does = format!("sends text before it has received a request, and a server of {name} waits");
            Some(failure(&connection, protocol, &does))
        }
        None => None,
    }
}

fn speaks(connection: &TestConnection, protocol: ClientProtocol, name: &str) -> CheckFailure {
    failure(connection, protocol, &format!("speaks {name}, not {}", protocol.name()))
}

fn failure(connection: &TestConnection, protocol: ClientProtocol, does: &str) -> CheckFailure {
    let failure = connection.failure(format!("a server of {}", protocol.name()), "");
    failure.with_hint(format!("the server {does}: is this the right port, and the right -P?"))
}

/// A connection with the reply to the first request, and the request. A server that should speak first gets it only if
/// it does not.
fn first_reply(context: &CheckContext, time: Duration) -> Result<(TestConnection, Vec<u8>), CheckFailure> {
    if !context.protocol().takes_messages() {
        let mut connection = context.connect()?;
        if connection.anything_within(time)? {
            return Ok((connection, Vec::new()));
        }
    }
    let request = context.request(ANY_ACTION, MESSAGE);
    Ok((reply_to(context, &request, time)?, request))
}

/// A connection with the reply to these bytes and the end of input.
fn reply_to(context: &CheckContext, sent: &[u8], time: Duration) -> Result<TestConnection, CheckFailure> {
    let mut connection = context.connect()?;
    connection.send(sent)?;
    connection.half_close();
    connection.pause(time)?;
    Ok(connection)
}

/// The other protocol whose reply to `request` this is; `request` is empty if none was sent.
fn protocol_of_reply(protocol: ClientProtocol, request: &[u8], reply: &[u8]) -> Option<&'static str> {
    foreign_protocol(reply).or_else(|| {
        let is_right = protocol.takes_messages()
            && protocol.expected(ANY_ACTION, MESSAGE).is_some_and(|expected| protocol.wire_reply(&expected) == reply);
        if request.is_empty() || reply.is_empty() || is_right {
            return None;
        }
        let known = PROTOCOLS.iter().filter_map(|info| ClientProtocol::by_name(info.name));
        known.filter(|other| is_reply_of(*other, protocol, request, reply)).map(ClientProtocol::name).next()
    })
}

/// The protocol of a reply that no protocol of this program has.
fn foreign_protocol(reply: &[u8]) -> Option<&'static str> {
    let html = |tag: &[u8]| reply.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    match reply {
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] => Some("HTTP"),
        // A server may send the error page alone, as to a client of HTTP/0.9.
        _ if html(b"<!doctype html") || html(b"<html") => Some("HTTP"),
        [b'S', b'S', b'H', b'-', b'0'..=b'9', b'.', ..] => Some("SSH"),
        // An alert: type, version, length, level, description (RFC 8446, 5.1 and 6).
        [21, 3, 0..=4, 0, 2, 1..=2, _, ..] => Some("TLS"),
        _ => None,
    }
}

/// Whether `other` replies so to the bytes of a request of `protocol`.
fn is_reply_of(other: ClientProtocol, protocol: ClientProtocol, request: &[u8], reply: &[u8]) -> bool {
    if other.has_actions() {
        // The bytes are no request that it knows. With equal refusals the protocols are editions of one.
        let refusal = other.wire_reply(ERROR_TEXT);
        return reply == refusal && !(protocol.has_actions() && protocol.wire_reply(ERROR_TEXT) == refusal);
    }
    other.takes_messages()
        && !other.has_reply_length()
        && other.connection_use() != ConnectionUse::NoReply
        && other.expected("", request).is_some_and(|expected| reply == expected)
}

/// The protocol of a server that has sent this without a request.
fn protocol_of_greeting(greeting: &[u8]) -> Option<&'static str> {
    if is_chargen_pattern(greeting) {
        return Some("chargen");
    }
    let known = GREETINGS.iter().find(|(start, _)| greeting.starts_with(start)).map(|(_, name)| *name);
    let year = &date::date(sys::unix_time())[..4];
    known.or_else(|| is_daytime(greeting, year).then_some("daytime"))
}

/// Whether this is one line of text that names the year and the time.
fn is_daytime(greeting: &[u8], year: &str) -> bool {
    let line = greeting.trim_ascii_end();
    !line.contains(&b'\n') && std::str::from_utf8(line).is_ok_and(|line| line.contains(year) && line.contains(':'))
}

/// Whether the first bytes are a line of text.
fn begins_with_line(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let line = end.and_then(|end| std::str::from_utf8(&bytes[..end]).ok()).map(|line| line.trim_end_matches('\r'));
    line.is_some_and(|line| !line.is_empty() && !line.contains(|c: char| c.is_control() && c != '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognized(protocol: &str, request: &[u8], reply: &[u8]) -> Option<&'static str> {
        protocol_of_reply(ClientProtocol::by_name(protocol).unwrap(), request, reply)
    }

    #[test]
    fn replies_of_other_protocols_are_recognized() {
        let request = b"\x20\0\0\x10retort check\r\n\r\n";
        for (reply, name) in [
            (b"HTTP/1.1 400 Bad Request\r\n".as_slice(), Some("HTTP")),
            (b"<!DOCTYPE HTML>\n<html lang=\"en\">", Some("HTTP")),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Some("SSH")),
            (b"\x15\x03\x01\0\x02\x02\x46", Some("TLS")),
            (request, Some("echo")),
            (b"Echo: \x20\0\0\x10retort check\r\n\r\n", Some("echo-prefix")),
            (b"Message received!", Some("ack")),
            (b"5 error", Some("text")),
            // the right reply, a refusal, a little-endian length, no header, nothing
            (b"\0\0\0\x10\n\r\n\rkcehc troter", None),
            (b"\0\0\0\x05error", None),
            (b"\x10\0\0\0\n\r\n\rkcehc troter", None),
            (b"\n\r\n\rkcehc troter", None),
            (b"", None),
        ] {
            assert_eq!(recognized("frame", request, reply), name, "{}", reply.escape_ascii());
        }
    }

    #[test]
    fn replies_of_the_protocol_itself_are_not_taken_for_another() {
        for (protocol, request, reply) in [
            ("echo", MESSAGE, MESSAGE),
            ("text", b"reverse 16 retort check\r\n\r\n", b"5 error"),
            ("length-prefix", b"\0\0\0\x10retort check\r\n\r\n", b"\0\0\0\x10retort check\r\n\r\n"),
            ("discard", MESSAGE, b""),
            ("qotd", b"", b"Message received!"),
        ] {
            assert_eq!(recognized(protocol, request, reply), None, "{protocol}");
        }
        assert_eq!(recognized("echo", MESSAGE, b"\0\0\0\x05error"), Some("frame"));
    }

    #[test]
    fn greetings_are_recognized() {
        let year = date::date(sys::unix_time())[..4].to_owned();
        let daytime = format!("Thursday, November 26, {year} 12:00:00-UTC\r\n");
        let pattern: Vec<u8> = (b' '..b' ' + 72).chain(*b"\r\n!").collect();
        for (greeting, name) in [
            (b"220 mail.example ESMTP\r\n".as_slice(), Some("SMTP or FTP")),
            (b"+OK ready\r\n", Some("POP3")),
            (daytime.as_bytes(), Some("daytime")),
            (&pattern, Some("chargen")),
            (b"Welcome\r\n", None),
        ] {
            assert_eq!(protocol_of_greeting(greeting), name, "{}", greeting.escape_ascii());
            assert!(begins_with_line(greeting));
        }
        for other in [b"".as_slice(), b"\n", b"no end", b"\0\0\0\x05error\n", b"\x1b[2J\n", b"xxxx"] {
            assert!(!begins_with_line(other), "{}", other.escape_ascii());
        }
    }
}
