//! Numbers in reports: for people with three digits and a unit, in JSON in microseconds.

#![allow(clippy::cast_possible_truncation, reason = "a rate is printed without its fraction")]

use std::time::Duration;

use super::latencies::Latencies;
use crate::client::json::{Map, Value, json, rounded};

/// The percentiles in the report.
pub const SHARES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// The percentile of the generator's lateness where there is only one. Chosen: a few late requests decide no bound but
/// that of the maximum.
pub const LATENESS_SHARE: f64 = 0.99;

/// The version of the format of JSON reports, which docs/bench.schema.json describes.
pub const JSON_VERSION: u64 = 1;

/// The points of a curve for each halving of the distance to 100%. Chosen: as the programs of `HdrHistogram`; a drawing
/// of the usual size shows no more. There are at most 64 halvings in a count of requests, so at most 325 points.
pub const STEPS_PER_HALF: u32 = 5;

/// Latency by percentile.
pub fn curve(latencies: &Latencies) -> Vec<Value> {
    let steps = latencies.percentile_steps(STEPS_PER_HALF).into_iter();
    steps.map(|step| json!({ "share": step.share, "latency_us": microseconds(step.latency) })).collect()
}

/// Percentiles, minimum and mean in microseconds; `None` without latencies, which is null in JSON.
pub fn percentiles(latencies: &Latencies) -> Option<Map> {
    if latencies.count() == 0 {
        return None;
    }
    let mut map = percentiles_of(|share| latencies.at(share));
    let others = [("min", latencies.min()), ("mean", latencies.mean())];
    map.extend(others.map(|(name, time)| (name.into(), microseconds(time))));
    Some(map)
}

/// Percentiles of the times that `at` knows, in microseconds.
pub fn percentiles_of(at: impl Fn(f64) -> Duration) -> Map {
    SHARES.iter().map(|&(name, share)| (name.replace('.', "_"), microseconds(at(share)))).collect()
}

/// A time for a JSON object.
pub fn microseconds(time: Duration) -> Value {
    Value::from(rounded(time.as_secs_f64() * 1e6))
}

/// A rate for people: with decimals if it is small.
#[allow(clippy::cast_sign_loss, reason = "a rate is not negative")]
pub fn grouped_rate(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.2}") } else { grouped(rate as u64) }
}

/// The number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The time with three digits and a unit.
pub fn readable(time: Duration) -> String {
    let (value, unit) = in_unit(time.as_secs_f64() * 1e9);
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}

/// The latency that this share of the requests did not exceed, as [`readable`]; `-` without latencies.
pub fn readable_at(latencies: &Latencies, share: f64) -> String {
    if latencies.count() == 0 { "-".into() } else { readable(latencies.at(share)) }
}

/// A number of nanoseconds in the unit in which it is shown.
pub fn in_unit(nanoseconds: f64) -> (f64, &'static str) {
    match nanoseconds {
        under if under < 1e3 => (nanoseconds, "ns"),
        under if under < 1e6 => (nanoseconds / 1e3, "us"),
        under if under < 1e9 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn numbers_in_json_have_no_rounding_errors() {
        let mut latencies = Latencies::new();
        latencies.record(1_100, 2);
        latencies.record(1_300, 1);
        let mut text = Value::from(percentiles(&latencies)).to_string();
        text.retain(|character| character == '.' || character.is_ascii_digit() || character == ',');
        let decimals = text.split(',').filter_map(|number| number.split_once('.'));
        assert!(decimals.clone().count() >= 5 && decimals.clone().all(|(_, digits)| digits.len() <= 3), "{text}");
    }

    #[test]
    fn without_latencies_there_are_no_percentiles() {
        let mut latencies = Latencies::new();
        assert_eq!((percentiles(&latencies), readable_at(&latencies, 0.5)), (None, "-".into()));
        latencies.record(7, 1);
        assert!(percentiles(&latencies).is_some_and(|map| map["p50"] == 0.007 && map["min"] == 0.007));
        assert_eq!(readable_at(&latencies, 0.5), "7.00 ns");
    }

    #[test]
    fn times_have_three_digits() {
        for (nanoseconds, text) in
            [(7, "7.00 ns"), (1_500, "1.50 us"), (12_340, "12.3 us"), (999_400, "999 us"), (2_000_000_000, "2.00 s")]
        {
            assert_eq!(readable(Duration::from_nanos(nanoseconds)), text);
        }
    }
}
