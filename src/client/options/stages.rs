//! The stages of an open load: `--ramp`, `--stages`, and the range of `--find-rate`.
//!
//! | text | meaning |
//! |---|---|
//! | `1000/10s` | 1000 requests per second for 10 s |
//! | `100..2000/30s` | from 100 to 2000 requests per second in 30 s, by the same amount in each second |
//! | `100..1M` | a range of rates |

use std::fmt;
use std::time::Duration;

use super::values::rate;
use crate::units;

/// A part of an open load whose rate is constant, or changes linearly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Requests per second at its begin.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
    /// Its duration.
    pub duration: Duration,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, duration } = self;
        write!(f, "{from}")?;
        if from.total_cmp(to).is_ne() {
            write!(f, "..{to}")?;
        }
        // without the spaces between units
        write!(f, "/{}", units::format_time(*duration).to_string().replace(' ', ""))
    }
}

/// A range of rates, in requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateRange {
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

/// A stage of `--stages`.
pub fn stage(text: &str) -> Result<Stage, String> {
    let example = "write RATE/TIME or RATE..RATE/TIME, such as 1000/10s or 100..2000/30s";
    let (rates, time) = text.split_once('/').ok_or_else(|| format!("no time: {example}"))?;
    let (from, to) = rates.split_once("..").unwrap_or((rates, rates));
    let duration = units::positive_time(time.trim()).map_err(|error| format!("{time}: {error}"))?;
    Ok(Stage { from: named_rate(from)?, to: named_rate(to)?, duration })
}

/// The stage of `--ramp`.
pub fn ramp(text: &str) -> Result<Stage, String> {
    if text.contains("..") {
        stage(text)
    } else {
        Err("not a ramp: write RATE..RATE/TIME, such as 100..2000/30s".into())
    }
}

/// The range of `--find-rate`.
pub fn rate_range(text: &str) -> Result<RateRange, String> {
    let (low, high) = text.split_once("..").ok_or("not a range: write RATE..RATE, such as 100..1M")?;
    let range = RateRange { low: named_rate(low)?, high: named_rate(high)? };
    if range.low < range.high { Ok(range) } else { Err("the first rate must be below the second".into()) }
}

/// A rate whose error names it.
fn named_rate(text: &str) -> Result<f64, String> {
    rate(text.trim()).map_err(|error| format!("{text}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_constant_or_linear() {
        let ten = Duration::from_secs(10);
        assert_eq!(stage("1k/10s"), Ok(Stage { from: 1000.0, to: 1000.0, duration: ten }));
        assert_eq!(stage("0.5..2000/10"), Ok(Stage { from: 0.5, to: 2000.0, duration: ten }));
        assert_eq!(ramp("2000..100/10s"), Ok(Stage { from: 2000.0, to: 100.0, duration: ten }));
    }

    #[test]
    fn a_stage_is_printed_as_it_is_written() {
        for text in ["1000/10s", "0.5..2000/1h30m"] {
            assert_eq!(stage(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_to_write() {
        for (text, part) in [
            ("1000", "no time: write RATE/TIME"),
            ("1000/", "not a time"),
            ("1000/0s", "must be more than 0"),
            ("x/10s", "x: not a rate"),
            ("100../10s", "not a rate"),
            ("0..100/10s", "0: must be from 0.01"),
            ("1..2..3/4s", "2..3: not a rate"),
        ] {
            let error = stage(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(ramp("1000/10s").expect_err("constant").starts_with("not a ramp: "));
        assert!(rate_range("1000").expect_err("one rate").starts_with("not a range: "));
        assert!(rate_range("5..5").expect_err("empty").contains("must be below"));
        assert_eq!(rate_range("100..1M"), Ok(RateRange { low: 100.0, high: 1e6 }));
    }
}
