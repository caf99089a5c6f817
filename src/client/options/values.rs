//! Parsers of option values, beside those that both programs share ([`units`]).

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::client::client_protocol::{ClientProtocol, MAX_LENGTH};
use crate::units;

/// The help text of the server's name.
pub const SERVER: &str = "The server: a name, an IPv4 address, or an IPv6 address in brackets, with the protocol's port as \
    the default; or unix:/PATH, unix:@NAME or vsock:CID:PORT";

/// 100,000: chosen; above it, one thread that drives all connections measures itself.
pub const CONNECTIONS: RangeInclusive<u64> = 1..=100_000;
/// 256: chosen; more than the processors of most machines, and each thread takes some MiB.
pub const THREADS: RangeInclusive<u64> = 1..=256;
/// 65,536: chosen without tuning, far more than any server or network needs to be busy.
pub const DEPTH: RangeInclusive<u64> = 1..=65_536;
/// From one request in 100 s to one every 10 ns: times are computed in whole nanoseconds.
const RATE: RangeInclusive<f64> = 0.01..=100_000_000.0;

pub fn protocol(name: &str) -> Result<ClientProtocol, String> {
    ClientProtocol::by_name(name).ok_or_else(|| format!("no such protocol; one of {}", ClientProtocol::names()))
}

pub fn rate(text: &str) -> Result<f64, String> {
    units::rate_within(text, &RATE)
}

/// The shortest interval of a series. Chosen: to end one takes some 50 us, in which the load waits.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

pub fn interval(text: &str) -> Result<Duration, String> {
    let time = units::time(text)?;
    if time < MIN_INTERVAL { Err("must be at least 10ms".into()) } else { Ok(time) }
}

/// Length of a message, in bytes.
pub fn size(text: &str) -> Result<usize, String> {
    let bytes = usize::try_from(units::size(text)?).ok().filter(|bytes| *bytes <= MAX_LENGTH);
    bytes.ok_or_else(|| format!("more than {MAX_LENGTH} bytes, the longest message"))
}

/// The largest tolerance of a comparison, in percent. Chosen: a run that is ten times as slow is always worse.
const MAX_TOLERANCE: f64 = 900.0;

/// A tolerance, as a share: `5%` is 0.05.
pub(super) fn tolerance(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    let percent = percent.filter(|percent| (0.0..=MAX_TOLERANCE).contains(percent));
    percent.map(|percent| percent / 100.0).ok_or_else(|| format!("write a percentage from 0% to {MAX_TOLERANCE}%: 5%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_a_maximum() {
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("134217727"), Ok(MAX_LENGTH));
        for text in ["134217728", "128M", "3G", "18446744073709551615"] {
            assert!(size(text).expect_err(text).contains("the longest message"), "{text}");
        }
    }
}
