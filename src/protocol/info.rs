//! The descriptor of a protocol.

use super::client_side::ClientSide;
use super::contract::Protocol;
use super::example::Example;
use super::settings::{ConnectionInfo, ProtocolSettings};

/// The description of a protocol for the programs, the documents and the tests.
#[derive(Debug)]
pub struct ProtocolInfo {
    /// The name, as in `--listen NAME=ADDRESS`, `retort -P NAME` and `FileDescriptorName=`.
    pub name: &'static str,
    /// The assigned or customary port. `None`: there is none, and `--listen` requires one.
    pub port: Option<u16>,
    /// The service in one line.
    pub summary: &'static str,
    /// The number of its RFC.
    pub rfc: Option<u16>,
    /// The treatment of its input.
    pub input: Input,
    /// Its socket unit.
    pub socket_unit: SocketUnit,
    /// Makes the server's side of a new connection.
    pub new: fn(&ProtocolSettings, &dyn ConnectionInfo) -> Box<dyn Protocol>,
    /// The client's side.
    pub client: ClientSide,
    /// Requests and their replies. The first example is tried wherever one is enough.
    pub examples: &'static [Example],
    /// A shell command that shows the service; `{port}` is replaced by the port.
    pub try_it: &'static str,
}

/// The treatment of a protocol's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Reads requests. The replies do not depend on how the input is split.
    Stream,
    /// Reads chunks. The replies depend on how the input is split.
    Chunks,
    /// Ignores it: the service speaks first.
    Ignored,
}

/// The values of a protocol's socket unit.
#[derive(Clone, Copy, Debug)]
pub struct SocketUnit {
    /// The port: that of the protocol, or one that no other unit has.
    pub port: u16,
    /// The beginning of `Description=`.
    pub description: &'static str,
}

/// Each protocol has a name of its own.
impl PartialEq for ProtocolInfo {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl ProtocolInfo {
    /// Whether the server sends before it has received anything.
    #[must_use]
    pub fn speaks_first(&self) -> bool {
        self.input == Input::Ignored
    }
}
