//! Requests out of the bytes that a client sent: the form of each protocol, written down a second time, because what a
//! client is judged by must not change with the code of the server.

use super::plan::Exchange;
use crate::client::client_protocol::{ClientProtocol, ERROR_TEXT};
use crate::client::judge::excerpt::escaped;
use crate::units::counted;

/// The beginning of some bytes, as a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// A whole request.
    Request(WireRequest),
    /// No request begins so.
    Invalid,
}

/// A request on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireRequest {
    /// The action, as a request file would name it: a word, or a number where the protocol has codes.
    pub action: String,
    /// The message.
    pub message: Vec<u8>,
    /// The bytes of the request.
    pub size: usize,
}

/// Bytes in which a header of `text` ends. From the protocol: no space in the first 32 bytes is an error; two numbers of
/// at most 9 digits follow in no longer header.
const MAX_TEXT_HEADER: usize = 48;

/// The request at the beginning of `bytes`. In `echo` each portion of bytes is one.
#[must_use]
pub fn parse(protocol: ClientProtocol, bytes: &[u8]) -> Parsed {
    match protocol.name() {
        "text" => parse_text(bytes),
        _ if protocol.has_action_codes() => parse_frame(bytes),
        _ if bytes.is_empty() => Parsed::Incomplete,
        _ => Parsed::Request(WireRequest { action: String::new(), message: bytes.to_vec(), size: bytes.len() }),
    }
}

/// The action's code and the length, out of the header of a frame.
#[must_use]
pub fn header_fields(header: u32) -> (u32, usize) {
    (header >> 27, (header & 0x07ff_ffff) as usize)
}

fn parse_frame(bytes: &[u8]) -> Parsed {
    let Some((header, rest)) = bytes.split_first_chunk::<4>() else { return Parsed::Incomplete };
    let (action, length) = header_fields(u32::from_be_bytes(*header));
    match rest.get(..length) {
        Some(message) => {
            Parsed::Request(WireRequest { action: action.to_string(), message: message.to_vec(), size: 4 + length })
        }
        None => Parsed::Incomplete,
    }
}

fn parse_text(bytes: &[u8]) -> Parsed {
    let mut words = bytes[..bytes.len().min(MAX_TEXT_HEADER)].splitn(3, |byte| *byte == b' ');
    let (Some(action), Some(length), Some(_)) = (words.next(), words.next(), words.next()) else {
        return if bytes.len() < MAX_TEXT_HEADER { Parsed::Incomplete } else { Parsed::Invalid };
    };
    let header = action.len() + length.len() + 2;
    let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    let length = std::str::from_utf8(length).ok().filter(|_| digits).and_then(|length| length.parse::<usize>().ok());
    let (Ok(action), Some(length)) = (std::str::from_utf8(action), length) else { return Parsed::Invalid };
    match bytes[header..].get(..length) {
        Some(message) => {
            let size = header + length;
            Parsed::Request(WireRequest { action: action.to_owned(), message: message.to_vec(), size })
        }
        None => Parsed::Incomplete,
    }
}

/// All whole requests in these bytes, and the number of bytes behind the last one.
#[must_use]
pub fn requests(protocol: ClientProtocol, bytes: &[u8]) -> (Vec<WireRequest>, usize) {
    let (mut requests, mut rest) = (Vec::new(), bytes);
    while let Parsed::Request(request) = parse(protocol, rest) {
        rest = &rest[request.size..];
        requests.push(request);
    }
    (requests, rest.len())
}

/// The reply of a correct server, on the wire. Where chance decides, it is the message itself.
#[must_use]
pub fn reply(protocol: ClientProtocol, request: &WireRequest) -> Vec<u8> {
    let known = !protocol.has_actions() || protocol.action(&request.action).is_some();
    let reply = match protocol.expected(&request.action, &request.message) {
        _ if !known => ERROR_TEXT.to_vec(),
        Some(reply) => reply,
        None => request.message.clone(),
    };
    protocol.wire_reply(&reply)
}

/// The first request that differs from the expected one: the expected one and the received one, in words.
///
/// `None` in protocols without boundaries between requests, and where it cannot be said.
#[must_use]
pub fn difference(protocol: ClientProtocol, expected: &[Exchange], received: &[u8]) -> Option<(String, String)> {
    if !protocol.has_actions() {
        return None;
    }
    let (requests, rest) = requests(protocol, received);
    let mut numbered = (1..).zip(expected);
    let same = |exchange: &Exchange, request: &WireRequest| {
        request.message == exchange.message && protocol.action(&request.action) == protocol.action(&exchange.action)
    };
    let differs = |(number, exchange): &(usize, &Exchange)| requests.get(number - 1).is_none_or(|r| !same(exchange, r));
    let Some((number, exchange)) = numbered.find(differs) else {
        let more = requests.len().saturating_sub(expected.len());
        let more = if more > 0 { counted(more, "request") } else { counted(rest, "byte") };
        return Some((counted(expected.len(), "request"), format!("{more} behind them")));
    };
    let wanted = words(protocol, &exchange.action, &exchange.message);
    let got = match requests.get(number - 1) {
        Some(request) => words(protocol, &request.action, &request.message),
        None if rest > 0 => announced(protocol, received, rest),
        None => String::from("nothing"),
    };
    Some((format!("request {number}, {wanted}"), format!("request {number}, {got}")))
}

fn words(protocol: ClientProtocol, action: &str, message: &[u8]) -> String {
    let name = protocol.action(action).map_or(action, |action| action.name());
    let name = if name.bytes().all(|byte| byte.is_ascii_digit()) { format!("action {name}") } else { name.to_owned() };
    format!("{name} of {} ({})", counted(message.len(), "byte"), escaped(message, message.len(), 0))
}

/// The request that is incomplete at the end of what was received.
fn announced(protocol: ClientProtocol, received: &[u8], rest: usize) -> String {
    let bytes = &received[received.len() - rest..];
    if protocol.has_action_codes() {
        if let Some(header) = bytes.first_chunk::<4>() {
            let (action, length) = header_fields(u32::from_be_bytes(*header));
            let came = rest - header.len();
            return format!("whose header announces action {action} and {length} bytes, of which {came} came");
        }
    }
    format!("of which {} came", counted(rest, "byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol(name: &str) -> ClientProtocol {
        ClientProtocol::by_name(name).unwrap()
    }

    fn request(action: &str, message: &[u8], size: usize) -> Parsed {
        Parsed::Request(WireRequest { action: action.into(), message: message.into(), size })
    }

    #[test]
    fn requests_are_those_of_the_specification() {
        for (name, bytes, parsed) in [
            ("frame", b"\x20\0\0\x03abcd".as_slice(), request("4", b"abc", 7)),
            ("frame-2021", b"\x08\0\0\0", request("1", b"", 4)),
            ("frame", b"\x20\0\0\x03ab", Parsed::Incomplete),
            ("frame", b"\x20\0\0", Parsed::Incomplete),
            ("text", b"reverse 3 abcreverse", request("reverse", b"abc", 13)),
            ("text", b"reverse 1 ", Parsed::Incomplete),
            ("text", b"reverse 1", Parsed::Incomplete),
            ("text", b"reverse 0 ", request("reverse", b"", 10)),
            ("text", b"reverse +1 a", Parsed::Invalid),
            ("text", b"reverse  1 a", Parsed::Invalid),
            ("text", &[b'a'; MAX_TEXT_HEADER], Parsed::Invalid),
            ("echo", b"abc", request("", b"abc", 3)),
            ("echo", b"", Parsed::Incomplete),
        ] {
            assert_eq!(parse(protocol(name), bytes), parsed, "{name} {bytes:?}");
        }
    }

    #[test]
    fn replies_are_those_of_a_correct_server() {
        for (name, action, message, expected) in [
            ("frame", "4", "abc", b"\0\0\0\x03cba".as_slice()),
            ("frame-2021", "4", "abc", b"\0\0\0\x03Abc"),
            ("frame", "6", "abc", b"\0\0\0\x05error"),
            ("frame", "8", "abc", b"\0\0\0\x03abc"),
            ("text", "nonsense", "abc", b"5 error"),
            ("text", "uppercase", "abc", b"3 ABC"),
            ("echo", "", "abc", b"abc"),
        ] {
            let request = WireRequest { action: action.into(), message: message.into(), size: 0 };
            assert_eq!(reply(protocol(name), &request), expected, "{name} {action}");
        }
    }

    #[test]
    fn the_first_request_that_differs_is_described() {
        let exchanges = [Exchange::new("reverse", "abc", "cba"), Exchange::new("uppercase", "abc", "ABC")];
        let difference = |bytes: &[u8]| difference(protocol("frame"), &exchanges, bytes).unwrap();
        let first = b"\x20\0\0\x03abc".as_slice();
        let (expected, received) = difference(b"\x10\0\0\x03abc");
        assert_eq!(expected, "request 1, reverse of 3 bytes (abc)");
        assert_eq!(received, "request 1, lowercase of 3 bytes (abc)");
        let (expected, received) = difference(&[first, b"\x08\0\0\x04abc\n"].concat());
        assert_eq!(expected, "request 2, uppercase of 3 bytes (abc)");
        assert_eq!(received, "request 2, uppercase of 4 bytes (abc\\x0a)");
        assert_eq!(difference(&[first, b"\x08\0\0\x03abcx"].concat()).1, "1 byte behind them");
        assert!(difference(b"\x03\0\0\x20abc").1.contains("announces action 0 and 50331680 bytes, of which 3 came"));
    }
}
