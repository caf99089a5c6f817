//! `daytime`: sends the date and time as one line of ASCII, then closes (RFC 867).

use crate::protocol::calendar::{self, Moment};
use crate::protocol::client_side::ClientSide;
use crate::protocol::contract::{CallContext, Exchange, Progress, Protocol};
use crate::protocol::example::{Example, Reply};
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};
use crate::protocol::opening;

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "daytime",
    port: Some(13),
    summary: "date and time as a line, then close",
    rfc: Some(867),
    input: Input::Ignored,
    socket_unit: SocketUnit { port: 13, description: "Daytime service, RFC 867" },
    new: |_, _| Box::new(Daytime),
    client: ClientSide::DEFAULT,
    examples: &[
        // Friday, May 1, 1970 to Wednesday, September 10, 9999
        Example::spoken("a line", Reply::Form { start: b"", end: b"-UTC\r\n", lengths: (32, 46) }),
    ],
    try_it: "nc localhost {port} < /dev/null",
};

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Daytime;

impl Protocol for Daytime {
    fn open(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        opening::reply_and_close(exchange, "daytime", line((context.unix_time)()).as_bytes())
    }
}

/// `Weekday, Month Day, Year Time-Zone`, the first form that the RFC suggests.
fn line(unix_time: u64) -> String {
    let Moment { year, month, day, hour, minute, second } = Moment::new(unix_time);
    let weekday = calendar::WEEKDAYS[(unix_time / calendar::DAY % 7) as usize];
    let month = calendar::MONTHS[month - 1];
    format!("{weekday}, {month} {day}, {year} {hour:02}:{minute:02}:{second:02}-UTC\r\n")
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn known_moments() {
        for (unix_time, expect) in [
            (0, "Thursday, January 1, 1970 00:00:00-UTC\r\n"),
            (951_782_399, "Monday, February 28, 2000 23:59:59-UTC\r\n"),
            (951_782_400, "Tuesday, February 29, 2000 00:00:00-UTC\r\n"),
            (1_000_000_000, "Sunday, September 9, 2001 01:46:40-UTC\r\n"),
            (1_709_164_800, "Thursday, February 29, 2024 00:00:00-UTC\r\n"),
            (1_735_689_599, "Tuesday, December 31, 2024 23:59:59-UTC\r\n"),
            (1_795_220_304, "Saturday, November 21, 2026 00:18:24-UTC\r\n"),
            (4_107_542_399, "Sunday, February 28, 2100 23:59:59-UTC\r\n"),
            (4_107_542_400, "Monday, March 1, 2100 00:00:00-UTC\r\n"),
        ] {
            assert_eq!(line(unix_time), expect);
        }
    }
}
