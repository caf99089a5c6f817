//! Parsers of option values.

use std::time::Duration;

use crate::client::client_protocol::{ClientProtocol, MAX_LENGTH};
use crate::client::duration;

pub fn protocol(name: &str) -> Result<ClientProtocol, String> {
    ClientProtocol::by_name(name).ok_or_else(|| format!("no such protocol; one of {}", ClientProtocol::names()))
}

pub fn positive_time(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text)?;
    if time.is_zero() { Err("must be more than 0".into()) } else { Ok(time) }
}

/// 100,000: chosen; above it, one thread that drives all connections measures itself.
pub fn connections(text: &str) -> Result<usize, String> {
    within(text, 1, 100_000)
}

/// 65,536: chosen without tuning, far more than any server or network needs to be busy.
pub fn depth(text: &str) -> Result<usize, String> {
    within(text, 1, 65_536)
}

fn within(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| String::from("not a whole number"))?;
    if (min..=max).contains(&number) { Ok(number) } else { Err(format!("must be from {min} to {max}")) }
}

/// From one request in 100 s to one every 10 ns: times are computed in whole nanoseconds.
pub fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| String::from("not a number"))?;
    if (0.01..=100_000_000.0).contains(&rate) { Ok(rate) } else { Err("must be from 0.01 to 100000000".into()) }
}

/// Length of a message, in bytes.
pub fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "B" => 1,
        "K" | "k" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        other => return Err(format!("unknown unit {other}; a size is a number with the suffix K or M, or none")),
    };
    let number: usize = digits.parse().map_err(|_| String::from("not a size, such as 64, 64K or 16M"))?;
    match number.checked_mul(unit) {
        Some(bytes) if bytes <= MAX_LENGTH => Ok(bytes),
        _ => Err(format!("more than {MAX_LENGTH} bytes, the longest message")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_a_bound() {
        assert_eq!(size("64"), Ok(64));
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("1M"), Ok(1 << 20));
        assert_eq!(size("134217727"), Ok(MAX_LENGTH));
        assert!(size("134217728").is_err());
        assert!(size("3G").unwrap_err().contains("unknown unit G"));
        assert!(size("-1").is_err());
        assert!(size("").is_err());
    }
}
