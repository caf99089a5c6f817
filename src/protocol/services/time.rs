//! `time`: sends the seconds since 1900-01-01 00:00 UTC in four bytes, then closes (RFC 868).

#![allow(clippy::cast_possible_truncation, reason = "the seconds since 1900 wrap around at 32 bits (RFC 868)")]

use crate::protocol::calendar::DAY;
use crate::protocol::client_side::ClientSide;
use crate::protocol::contract::{CallContext, Exchange, Progress, Protocol};
use crate::protocol::example::{Example, Reply};
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};
use crate::protocol::opening;

/// Seconds from 1900-01-01 to 1970-01-01: 70 years with 17 leap days.
const EPOCH: u64 = (70 * 365 + 17) * DAY;

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "time",
    port: Some(37),
    summary: "seconds since 1900 in four bytes, then close",
    rfc: Some(868),
    input: Input::Ignored,
    socket_unit: SocketUnit { port: 37, description: "Time service, RFC 868" },
    new: |_, _| Box::new(Time),
    client: ClientSide {
        display: |reply| match <[u8; 4]>::try_from(reply.as_slice()) {
            Ok(seconds) => u32::from_be_bytes(seconds).to_string().into_bytes(),
            Err(_) => reply,
        },
        ..ClientSide::DEFAULT
    },
    examples: &[Example::spoken("32 bits", Reply::Form { start: b"", end: b"", lengths: (4, 4) })],
    try_it: "nc localhost {port} < /dev/null | xxd",
};

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Time;

/// The time on the wire, from seconds since 1970. It wraps in 2036, as the RFC's arithmetic does.
fn since_1900(unix_time: u64) -> u32 {
    unix_time.wrapping_add(EPOCH) as u32
}

impl Protocol for Time {
    fn open(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        opening::reply_and_close(exchange, "time", &since_1900((context.unix_time)()).to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::since_1900;

    #[test]
    fn the_values_that_the_rfc_gives() {
        for (unix_time, expect) in [
            (0, 2_208_988_800),
            (2_629_584_000 - 2_208_988_800, 2_629_584_000),
            (2_085_978_495, u32::MAX),
            (2_085_978_496, 0),
        ] {
            assert_eq!(since_1900(unix_time), expect);
        }
    }
}
