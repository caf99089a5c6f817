//! Recognizes a server of another protocol before the checks, so that a report says so once and not in every hint.
//!
//! Guarantees: a server that replies correctly is asked once, and any other at most four times, each within
//! [`REPLY_TIME`]; one that has not replied by then gets the whole patience once. Only what no server of the right
//! protocol does is taken for another protocol: everything else is left to the checks.

use std::time::Duration;

use super::checks::sample::ANY_ACTION;
use super::checks::services::{difference_to_time, is_chargen_pattern};
use super::connection::TestConnection;
use super::context::CheckContext;
use super::failure::{CheckFailure, ConnectionState};
use crate::client::client_protocol::{ClientProtocol, ConnectionUse, ERROR_TEXT};
use crate::client::failure::HEADER_QUESTION;
use crate::protocol::calendar::{MONTHS, Moment, WEEKDAYS};
use crate::sys;

/// The message of the first request. It ends the request line and the head of an HTTP request, so that a server of HTTP
/// replies.
const MESSAGE: &[u8] = b"retort check\r\n\r\n";

/// The most time to wait for the first reply, and for bytes without a request. Chosen: far more than a server on a
/// local network needs; a server that hangs delays the first check by it.
pub const REPLY_TIME: Duration = Duration::from_secs(1);

/// The protocols whose replies are any text, so that no text is a sign of another one.
const FREE_TEXT: &[&str] = &["qotd", "chargen"];

/// The beginnings of greetings. SMTP and FTP share the codes 220 and 421 (RFC 5321, RFC 959).
const GREETINGS: &[(&[u8], &str)] = &[
    (b"220 ", "SMTP or FTP"),
    (b"220-", "SMTP or FTP"),
    (b"421 ", "SMTP or FTP"),
    (b"554 ", "SMTP"),
    (b"+OK ", "POP3"),
    (b"* OK ", "IMAP"),
];

/// A TLS record with a truncated `ClientHello` (RFC 8446, 5.1 and 4), to which a server of TLS replies with an alert.
/// Many close without one if the first bytes are no record.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\0\x05\x01\0\0\x01\0";

/// A whole request of `length-prefix`, and the reply to it. Servers of it take other requests for the beginning of a
/// long one.
const LENGTH_PREFIX_REQUEST: &[u8] = b"\0\0\0\x0cretort check";

/// The greatest error of a clock whose time is taken for that of `time`, in seconds.
const DAY: u32 = 86_400;

/// The failure of every check, if the server speaks another protocol, or none.
pub fn failure_of_all(context: &CheckContext) -> Option<CheckFailure> {
    let protocol = context.protocol();
    let time = REPLY_TIME.min(context.patience());
    let (first, request) = first_reply(context, time).ok()?;
    if let Some(failure) = judged_reply(&first, protocol, &request) {
        return Some(failure);
    }
    let is_silent = first.unread().is_empty();
    // The checks judge a server that sends without end.
    let endless = first.has_excess() && !begins_with_line(first.unread());
    let for_checks = endless || is_right(protocol, first.unread()) || FREE_TEXT.contains(&protocol.name());
    if !is_silent && for_checks {
        return None;
    }
    if !is_silent && request.is_empty() {
        return judged_greeting(&first, protocol);
    }
    drop(first);
    if is_silent { mute_server(context, time) } else { greeting_of_other(context, time) }
}

/// The failure of every check, if the server greets a client that has sent nothing.
fn greeting_of_other(context: &CheckContext, time: Duration) -> Option<CheckFailure> {
    let mut connection = context.connect().ok()?;
    connection.anything_within(time).ok()?;
    judged_greeting(&connection, context.protocol())
}

/// The failure of every check, if a server of `protocol` does not send what has arrived without a request.
pub fn judged_greeting(connection: &TestConnection, protocol: ClientProtocol) -> Option<CheckFailure> {
    let greeting = connection.unread();
    match foreign_protocol(greeting).or_else(|| protocol_of_greeting(greeting, sys::unix_time())) {
        Some(name) if name == protocol.name() => None,
        Some(name) => Some(speaks(connection, protocol, name)),
        None if protocol.takes_messages() && !greeting.is_empty() => {
            let sent = if begins_with_line(greeting) { "text" } else { "bytes" };
            let name = protocol.name();
            let does =
                format!("speaks first: it sends {sent} before it has received a request, and a server of {name} waits");
            Some(failure(connection, protocol, &does))
        }
        None => None,
    }
}

/// The failure of every check, if this reply to the bytes of a request is one of another protocol.
pub fn judged_reply(connection: &TestConnection, protocol: ClientProtocol, request: &[u8]) -> Option<CheckFailure> {
    let names = protocols_of_reply(protocol, request, connection.unread())?;
    Some(speaks(connection, protocol, &names))
}

/// The failure of every check, if the server has not replied to the first request, and replies to requests of other
/// protocols or to none.
fn mute_server(context: &CheckContext, time: Duration) -> Option<CheckFailure> {
    let protocol = context.protocol();
    let tls = reply_to(context, CLIENT_HELLO, time).ok()?;
    if let Some(name) = foreign_protocol(tls.unread()) {
        return Some(speaks(&tls, protocol, name));
    }
    let is_mute = tls.unread().is_empty();
    drop(tls);
    let length_prefix = reply_to(context, LENGTH_PREFIX_REQUEST, time).ok()?;
    if length_prefix.unread() == LENGTH_PREFIX_REQUEST && protocol.name() != "length-prefix" {
        return Some(speaks(&length_prefix, protocol, "length-prefix"));
    }
    let is_mute = is_mute && length_prefix.unread().is_empty();
    drop(length_prefix);
    // No reply is the right one of discard.
    if is_mute && protocol.connection_use() != ConnectionUse::NoReply {
        never_replies(&context.renewed(), time)
    } else {
        None
    }
}

/// The failure of every check, if the server sends nothing before a request and, for the whole patience, after it. The
/// client does not half-close: some servers reply only to one that does not.
fn never_replies(context: &CheckContext, time: Duration) -> Option<CheckFailure> {
    let mut connection = context.connect().ok()?;
    connection.anything_within(time).ok()?;
    if !connection.unread().is_empty() {
        return None;
    }
    if !connection.is_open() {
        let does = "closes every connection at once, without a byte: look at what it prints, and whether it refuses this \
            address";
        return Some(unanswered(&connection, context.protocol(), does));
    }
    connection.send(&context.request(ANY_ACTION, MESSAGE)).ok()?;
    connection.anything_within(context.patience()).ok()?;
    if !connection.unread().is_empty() {
        return None;
    }
    let does = if connection.is_open() {
        "accepts connections and never replies: does it hang"
    } else {
        "closes every connection without a reply: is it another server"
    };
    let does = format!("{does}, is this the right address, and the right -P? Or {HEADER_QUESTION}");
    Some(unanswered(&connection, context.protocol(), &does))
}

fn speaks(connection: &TestConnection, protocol: ClientProtocol, name: &str) -> CheckFailure {
    failure(connection, protocol, &format!("speaks {name}, not {}", protocol.name()))
}

fn failure(connection: &TestConnection, protocol: ClientProtocol, does: &str) -> CheckFailure {
    let failure = connection.failure(format!("a server of {}", protocol.name()), "");
    failure.with_hint(format!("the server {does}: is this the right address, and the right -P?"))
}

/// The failure of every check, as the server does this and sends nothing.
pub fn unanswered(connection: &TestConnection, protocol: ClientProtocol, does: &str) -> CheckFailure {
    let mut failure = failure(connection, protocol, "").with_hint(format!("the server {does}"));
    if connection.is_open() {
        failure.state = ConnectionState::Silent;
    }
    failure
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

/// A connection with the reply to these bytes and the end of input. Nothing is waited for after the right reply to the
/// first request: a correct server may leave the connection open.
fn reply_to(context: &CheckContext, sent: &[u8], time: Duration) -> Result<TestConnection, CheckFailure> {
    let mut connection = context.connect()?;
    connection.send(sent)?;
    connection.half_close();
    connection.receive_until(time, |reply| !reply.is_empty() && is_right(context.protocol(), reply))?;
    Ok(connection)
}

/// The other protocols whose reply to `request` this is, for a message; `request` is empty if none was sent.
fn protocols_of_reply(protocol: ClientProtocol, request: &[u8], reply: &[u8]) -> Option<String> {
    if let Some(name) = foreign_protocol(reply) {
        return Some(name.to_owned());
    }
    let is_own = is_right(protocol, reply) || is_reply_of(protocol, protocol, request, reply);
    if request.is_empty() || reply.is_empty() || is_own {
        return None;
    }
    let replying = ClientProtocol::all().filter(|other| is_reply_of(*other, protocol, request, reply));
    let names: Vec<_> = replying.map(ClientProtocol::name).collect();
    if names.is_empty() { None } else { Some(names.join(" or ")) }
}

/// Whether this is the reply to the first request.
fn is_right(protocol: ClientProtocol, reply: &[u8]) -> bool {
    protocol.takes_messages()
        && protocol.expected(ANY_ACTION, MESSAGE).is_some_and(|expected| protocol.wire_reply(&expected) == reply)
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

/// The protocol of a server that has sent this without a request, at this time in seconds since 1970.
fn protocol_of_greeting(greeting: &[u8], now: u64) -> Option<&'static str> {
    let known = GREETINGS.iter().find(|(start, _)| greeting.starts_with(start)).map(|(_, name)| *name);
    known.or(match greeting {
        _ if is_chargen_pattern(greeting) => Some("chargen"),
        _ if is_who(greeting) => Some("who"),
        _ if is_daytime(greeting, &Moment::new(now).year.to_string()) => Some("daytime"),
        _ if difference_to_time(greeting, now).is_some_and(|seconds| seconds <= DAY) => Some("time"),
        _ => None,
    })
}

/// Whether this is the line of `who`, a JSON object.
fn is_who(greeting: &[u8]) -> bool {
    let names_itself = |line: &str| line.starts_with("{\"host\":") && line.contains(",\"protocol\":\"who\",");
    std::str::from_utf8(greeting).is_ok_and(|line| line.ends_with("}\n") && names_itself(line))
}

/// Whether this is one line in a form that servers of daytime have: the day of the week first, or day and month (both
/// RFC 867), with the time, and with the year in two digits or four.
fn is_daytime(greeting: &[u8], year: &str) -> bool {
    let Ok(line) = std::str::from_utf8(greeting.trim_ascii()) else { return false };
    let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let date = match words.as_slice() {
        [day, rest @ ..] if is_name(day, &WEEKDAYS) => rest,
        [day, month, ..] if day.parse::<u8>().is_ok() && is_name(month, &MONTHS) => &words[1..],
        _ => return false,
    };
    // A time zone may follow the time.
    let is_time = |word: &&str| word.get(..8).is_some_and(is_time_of_day);
    !line.contains('\n') && date.iter().any(is_time) && date.iter().any(|word| *word == year || *word == &year[2..])
}

/// Whether a word is one of these names, whole or its first three letters.
fn is_name(word: &str, names: &[&str]) -> bool {
    names.iter().any(|name| word.eq_ignore_ascii_case(name) || word.eq_ignore_ascii_case(&name[..3]))
}

/// Whether this has the form `HH:MM:SS`.
fn is_time_of_day(text: &str) -> bool {
    text.bytes().enumerate().all(|(i, byte)| if matches!(i, 2 | 5) { byte == b':' } else { byte.is_ascii_digit() })
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

    fn recognized(protocol: &str, request: &[u8], reply: &[u8]) -> Option<String> {
        protocols_of_reply(ClientProtocol::by_name(protocol).unwrap(), request, reply)
    }

    #[test]
    fn replies_of_other_protocols_are_recognized() {
        let request = b"\x20\0\0\x10retort check\r\n\r\n";
        for (reply, name) in [
            (b"HTTP/1.1 400 Bad Request\r\n".as_slice(), Some("HTTP")),
            (b"<!DOCTYPE HTML>\n<html lang=\"en\">", Some("HTTP")),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Some("SSH")),
            (b"\x15\x03\x01\0\x02\x02\x46", Some("TLS")),
            (request, Some("echo or record")),
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
            assert_eq!(recognized("frame", request, reply).as_deref(), name, "{}", reply.escape_ascii());
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
        assert_eq!(recognized("echo", MESSAGE, b"\0\0\0\x05error").as_deref(), Some("frame or frame-2021"));
    }

    /// 2026-11-26 12:00:00 UTC.
    const NOW: u64 = 1_795_694_400;

    #[test]
    fn greetings_are_recognized() {
        let pattern: Vec<u8> = (b' '..b' ' + 72).chain(*b"\r\n!").collect();
        let time = |unix_time: u64| u32::try_from(unix_time + 2_208_988_800).unwrap().to_be_bytes();
        for (greeting, name) in [
            (b"220 mail.example ESMTP\r\n".as_slice(), Some("SMTP or FTP")),
            (b"+OK ready\r\n", Some("POP3")),
            (b"Thursday, November 26, 2026 12:00:00-UTC\r\n", Some("daytime")),
            (b"Thu Nov 26 12:00:00 2026\r\n", Some("daytime")),
            (b"26 NOV 26 12:00:00 UTC\r\n", Some("daytime")),
            (b"Thursday, February 22, 1982 12:00:00-UTC\r\n", None),
            (b"{\"host\":\"mill\",\"protocol\":\"who\",\"time\":\"2026-11-26T12:00:00Z\"}\n", Some("who")),
            (b"{\"started\":\"2026-11-26T12:00:00Z\"}\n", None),
            (b"game server 2026: ready\n", None),
            (&pattern, Some("chargen")),
            (&time(NOW + 80_000), Some("time")),
            (&time(NOW - 90_000), None),
            (b"Welcome\r\n", None),
            (b"", None),
        ] {
            assert_eq!(protocol_of_greeting(greeting, NOW), name, "{}", greeting.escape_ascii());
        }
    }

    #[test]
    fn lines_of_text_are_recognized() {
        for line in [b"220 mail.example ESMTP\r\n".as_slice(), b"a\tb\n", b"Welcome\nmore"] {
            assert!(begins_with_line(line), "{}", line.escape_ascii());
        }
        for other in [b"".as_slice(), b"\n", b"no end", b"\0\0\0\x05error\n", b"\x1b[2J\n", b"xxxx"] {
            assert!(!begins_with_line(other), "{}", other.escape_ascii());
        }
    }
}
