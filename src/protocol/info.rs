//! The descriptor of a protocol.

use super::contract::Protocol;
use super::settings::{ConnectionInfo, ProtocolSettings};

/// What the programs know of a protocol.
#[derive(Debug)]
pub struct ProtocolInfo {
    /// The name, as in `--listen NAME=ADDRESS`, `retort -P NAME` and `FileDescriptorName=`.
    pub name: &'static str,
    /// The assigned or customary port. `None`: there is none, and `--listen` requires one.
    pub port: Option<u16>,
    /// What it does, in one line.
    pub summary: &'static str,
    /// The number of its RFC.
    pub rfc: Option<u16>,
    /// Makes the server's side of a new connection.
    pub new: fn(&ProtocolSettings, &dyn ConnectionInfo) -> Box<dyn Protocol>,
}
