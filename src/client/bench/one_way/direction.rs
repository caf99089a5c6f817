//! Which way the bytes of a measurement of throughput go, and the options that have no meaning then.

use crate::client::client_protocol::ConnectionUse;
use crate::client::failure::Failure;
use crate::client::options::{BenchOptions, TextKind, Verify};

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the server.
    Send,
    /// From the server.
    Receive,
}

impl Direction {
    /// The direction in which the protocol of the options carries bytes, if it is one only.
    #[must_use]
    pub fn of(options: &BenchOptions) -> Option<Self> {
        match options.protocol.connection_use() {
            ConnectionUse::NoReply => Some(Self::Send),
            ConnectionUse::Streaming => Some(Self::Receive),
            _ => None,
        }
    }

    /// Checks that the options have a meaning for a measurement of throughput.
    ///
    /// # Errors
    /// One has none.
    pub fn check(self, options: &BenchOptions) -> Result<(), Failure> {
        let given = [
            ("--action", options.action.is_some()),
            ("--depth", options.depth.is_some()),
            ("--rate", options.rate.is_some()),
            ("--ramp", options.ramp.is_some()),
            ("--stages", !options.stages.is_empty()),
            ("--find-rate", options.find_rate.is_some()),
            ("--reconnect", options.reconnect),
            ("--requests", options.requests.is_some()),
            ("--svg", options.files.svg.is_some()),
            ("--hdr", options.files.hdr.is_some()),
            ("--csv", options.files.csv.is_some()),
            ("--compare", options.compare.is_some()),
            ("--histogram", options.histogram),
            ("--threads", options.threads > 1),
            ("--text", self == Self::Receive && options.text != TextKind::Ascii),
            ("--size", self == Self::Receive && options.size > 0),
            ("--verify", self == Self::Send && options.verify == Verify::Length),
        ];
        let name = options.protocol.name();
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => Err(Failure::cannot_run(format!(
                "{option} has no meaning with -P {name}, which has no requests with replies: one thread measures its \
                 throughput"
            ))),
            None if self == Self::Send && options.size == 0 => {
                Err(Failure::cannot_run("--size is the size of each write: it must be at least 1"))
            }
            None => Ok(()),
        }
    }
}
