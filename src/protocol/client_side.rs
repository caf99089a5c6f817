//! A protocol from the client's side: how a request is written, where its reply ends, and what the correct reply is.
//!
//! Each protocol describes its client side in its own file, apart from the code that serves it. `retort` speaks every
//! protocol from these descriptions alone.

use super::request_head::ERROR_TEXT;
use crate::transform::{Action, Placed, RandomSource};

/// The client's side of a protocol.
#[derive(Clone, Copy, Debug)]
pub struct ClientSide {
    /// How requests share a connection.
    pub connection_use: ConnectionUse,
    /// The actions that a request can name. `None`: a request is a message alone.
    pub actions: Option<Actions>,
    /// The longest message of a request, in bytes.
    pub max_message: usize,
    /// The port of a server, if it is not the protocol's own.
    pub port: Option<u16>,
    /// Appends a request to a buffer.
    pub write_request: WriteRequest,
    /// Where the reply to this message ends.
    pub framing: fn(&[u8]) -> ReplyFraming,
    /// The correct reply to an action and a message, without its length field. `None`: chance or the server decides.
    pub expected: fn(&str, &[u8]) -> Option<Vec<u8>>,
    /// A reply in the form that people read.
    pub display: fn(Vec<u8>) -> Vec<u8>,
}

impl ClientSide {
    /// A message of any length without a header; one reply per connection, about which nothing is known. Descriptions
    /// change what differs.
    pub const DEFAULT: Self = Self {
        connection_use: ConnectionUse::PerRequest,
        actions: None,
        max_message: usize::MAX,
        port: None,
        write_request: |_, message, wire| {
            wire.extend_from_slice(message);
            Ok(())
        },
        framing: |_| ReplyFraming::CloseDelimited,
        expected: |_, _| None,
        display: |reply| reply,
    };
}

/// Appends the request that consists of an action and a message to a buffer. The error says why there is no such
/// request.
pub type WriteRequest = fn(action: &str, message: &[u8], wire: &mut Vec<u8>) -> Result<(), String>;

/// The actions that a request can name.
#[derive(Clone, Copy, Debug)]
pub struct Actions {
    /// All of them.
    pub known: &'static [Action],
    /// The action that this word in a request names.
    pub parse: fn(&str) -> Option<Action>,
    /// A request names its action by a code, so that a client can also send codes without an action.
    pub have_codes: bool,
}

/// How requests share a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionUse {
    /// Any number of requests can be in flight on one connection.
    Pipelined,
    /// One connection, but each request waits for the reply to the previous one: nothing separates replies.
    Sequential,
    /// A connection for each request.
    PerRequest,
    /// One connection; the reply never ends.
    Streaming,
    /// One connection; the server never replies.
    NoReply,
}

/// Where a reply ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFraming {
    /// Its length precedes it, as a 32-bit big-endian number.
    Length32,
    /// Its length precedes it, as a decimal number and a space.
    DecimalLength,
    /// It has this number of bytes.
    Fixed(usize),
    /// The server closes the connection after it.
    CloseDelimited,
}

/// The correct reply of a protocol that applies `action` to `message`, [`ERROR_TEXT`] included. `None`: chance decides.
#[must_use]
pub fn transformed(action: Action, message: &[u8]) -> Option<Vec<u8>> {
    if matches!(action, Action::Shuffle | Action::Random) {
        return std::str::from_utf8(message).is_err().then(|| ERROR_TEXT.to_vec());
    }
    let mut text = message.to_vec();
    // the limit bounds `random` alone, which has returned above
    let mut out = vec![0; action.max_output_len(text.len(), usize::MAX)];
    match action.apply(&mut text, &mut out, &mut NoChance, usize::MAX) {
        Ok(Placed::InPlace) => Some(text),
        Ok(Placed::Out(length)) => {
            out.truncate(length);
            Some(out)
        }
        Err(_) => Some(ERROR_TEXT.to_vec()),
    }
}

/// The random source of actions that use none.
struct NoChance;

impl RandomSource for NoChance {
    fn below(&mut self, _bound: usize) -> usize {
        0
    }

    fn unit(&mut self) -> f64 {
        0.0
    }
}
