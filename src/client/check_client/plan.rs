//! What a scenario prepares: the requests, how the client gets them, and what the server does.
//!
//! Plain data: nothing here does I/O.

use std::time::Duration;

use crate::client::client_protocol::ClientProtocol;

/// The pause between two portions of bytes that a client is to receive apart. Chosen: far more than a client needs to
/// return from recv(2), and far less than a person notices.
pub const PAUSE: Duration = Duration::from_millis(20);

/// A request, and the reply that the server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The name of the action; empty where the protocol has none.
    pub action: String,
    /// The message.
    pub message: Vec<u8>,
    /// The reply, without its length.
    pub reply: Vec<u8>,
}

/// One run of the client.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The requests, in order: what the server expects on the wire.
    pub exchanges: Vec<Exchange>,
    /// How the client gets the requests.
    pub input: Input,
    /// How the server listens.
    pub listening: Listening,
    /// The host that the client is given.
    pub host: Host,
    /// What the client is given in place of the server's port.
    pub port: Option<String>,
    /// What the server does on the connection. At its end the server reads until the client closes or half-closes, and
    /// then closes.
    ///
    /// A client that closes its connection and opens another one finds the server at the step where it was.
    pub script: Vec<Step>,
    /// Whether the kernel's buffers for the connection are small: some ten kilobytes.
    pub small_buffers: bool,
    /// Whether the server ends the run as soon as bytes arrive that are not those of the `exchanges`. Without it, any
    /// requests are accepted, and the scenario judges them.
    pub exact_requests: bool,
}

/// How a client gets its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// As a file with the lines of the exchanges.
    Lines,
    /// As a file with this content.
    File(Vec<u8>),
    /// As `-`, with this on standard input.
    Standard(Vec<u8>),
    /// As the name of a file that does not exist.
    MissingFile,
}

/// How the server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// It accepts connections, on 127.0.0.1.
    V4,
    /// It accepts connections, on `::1`; nothing listens on the same port of 127.0.0.1.
    V6,
    /// It resets each connection that it has accepted.
    Resets,
    /// It does not listen: the kernel refuses connections.
    Absent,
}

/// The host that a client is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The server's address.
    Address,
    /// `localhost`.
    Localhost,
}

/// What the server does next. Unless it says otherwise, the server reads all the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Waits until this number of requests more has arrived in full.
    Expect(usize),
    /// Sends these bytes in one segment, if they fit in one.
    Send(Vec<u8>),
    /// Sends these bytes and does not read until they are sent.
    SendWithoutReading(Vec<u8>),
    /// Sends these pieces with a pause between two of them, so that each can arrive alone.
    SendPieces(Vec<Vec<u8>>, Duration),
    /// Replies to these requests: waits for one of them; then for more, until nothing has arrived for the time; sends the
    /// replies to all of them in one go, and so on, until all of them are sent. The elements are whole replies, with
    /// their lengths. So a client that waits for each reply is served as well.
    AnswerTogether(Vec<Vec<u8>>, Duration),
    /// Replies to every request, whichever it is, as a correct server does, until the client closes or half-closes.
    ServeAll,
    /// Waits.
    Pause(Duration),
    /// Waits until the client closes or half-closes.
    ExpectEnd,
    /// Closes the connection (FIN); what still arrives is read and dropped, so that no reset follows.
    Close,
    /// Resets the connection (RST).
    Reset,
    /// Does nothing more: the connection stays open, and what arrives is read.
    Silence,
}

impl Exchange {
    /// A request whose reply is this one.
    pub fn new(action: impl Into<String>, message: impl Into<Vec<u8>>, reply: impl Into<Vec<u8>>) -> Self {
        Self { action: action.into(), message: message.into(), reply: reply.into() }
    }

    /// The request on the wire.
    ///
    /// # Panics
    /// If the protocol has no such request: a scenario has a wrong text then.
    #[must_use]
    pub fn request(&self, protocol: ClientProtocol) -> Vec<u8> {
        let mut wire = Vec::new();
        let written = protocol.write_request(&self.action, &self.message, &mut wire);
        written.expect("the actions of scenarios are those of the protocol");
        wire
    }

    /// The reply on the wire.
    #[must_use]
    pub fn wire_reply(&self, protocol: ClientProtocol) -> Vec<u8> {
        protocol.wire_reply(&self.reply)
    }

    /// The line of a file of requests, with its end.
    #[must_use]
    pub fn line(&self, protocol: ClientProtocol) -> Vec<u8> {
        let action = if protocol.has_actions() { [self.action.as_bytes(), b" "].concat() } else { Vec::new() };
        [&action, &self.message[..], b"\n"].concat()
    }
}

impl Plan {
    /// A run with these requests: from a file, to a server on 127.0.0.1 that replies to one after another. There is a
    /// pause between two replies, so that a client that cannot take two out of one segment fails only where that is
    /// judged.
    #[must_use]
    pub fn new(protocol: ClientProtocol, exchanges: Vec<Exchange>) -> Self {
        let answer =
            |exchange: &Exchange| [Step::Pause(PAUSE), Step::Expect(1), Step::Send(exchange.wire_reply(protocol))];
        let script = exchanges.iter().flat_map(answer).skip(1).collect();
        Self::scripted(exchanges, script)
    }

    /// A run with these requests: from a file, to a server on 127.0.0.1 with this script.
    #[must_use]
    pub fn scripted(exchanges: Vec<Exchange>, script: Vec<Step>) -> Self {
        Self {
            exchanges,
            input: Input::Lines,
            listening: Listening::V4,
            host: Host::Address,
            port: None,
            script,
            small_buffers: false,
            exact_requests: true,
        }
    }

    /// The requests on the wire.
    #[must_use]
    pub fn requests(&self, protocol: ClientProtocol) -> Vec<u8> {
        self.exchanges.iter().flat_map(|exchange| exchange.request(protocol)).collect()
    }

    /// The replies on the wire.
    #[must_use]
    pub fn replies(&self, protocol: ClientProtocol) -> Vec<u8> {
        self.exchanges.iter().flat_map(|exchange| exchange.wire_reply(protocol)).collect()
    }

    /// The lines of a file with the requests.
    #[must_use]
    pub fn lines(&self, protocol: ClientProtocol) -> Vec<u8> {
        self.exchanges.iter().flat_map(|exchange| exchange.line(protocol)).collect()
    }

    /// What a correct client prints: a line for each reply.
    #[must_use]
    pub fn output(&self) -> Vec<u8> {
        self.exchanges.iter().flat_map(|exchange| [&exchange.reply[..], b"\n"].concat()).collect()
    }
}
