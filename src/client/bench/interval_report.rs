//! An interval of a measurement in reports: a line of a table, or an object.

use std::time::Duration;

use super::figures::{grouped_rate, percentiles_of, readable};
use super::series::Interval;
use crate::client::json::{Value, json, seconds};

/// The head of the table of intervals.
pub const HEAD: &str = "\n      time    requests/s      MB/s    errors        p50        p99        max\n";

/// Events of an interval per second.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn per_second(events: u64, interval: &Interval) -> f64 {
    events as f64 / interval.until.saturating_sub(interval.from).as_secs_f64()
}

/// The end of an interval in seconds: with milliseconds if one of its ends has some beside hundredths.
pub fn end_time(from: Duration, until: Duration) -> String {
    let has_thousandths = [from, until].iter().any(|time| time.as_nanos() % 10_000_000 != 0);
    let decimals = if has_thousandths { 3 } else { 2 };
    format!("{:>8.decimals$} s", until.as_secs_f64())
}

/// An interval as a line of the table.
pub fn line(interval: &Interval) -> String {
    let times = [0.5, 0.99, 1.0].map(|share| match interval.latencies.count() {
        0 => "-".into(),
        _ => readable(interval.latencies.at(share)),
    });
    format!(
        "{} {:>13} {:>9.1} {:>9} {:>10} {:>10} {:>10}{}\n",
        end_time(interval.from, interval.until),
        grouped_rate(per_second(interval.requests, interval)),
        per_second(interval.received, interval) / 1e6,
        interval.errors,
        times[0],
        times[1],
        times[2],
        if interval.partial { "  (partial)" } else { "" },
    )
}

/// An interval as an object.
pub fn object(interval: &Interval) -> Value {
    let has_replies = interval.latencies.count() > 0;
    json!({
        "type": "interval",
        "from_seconds": seconds(interval.from),
        "until_seconds": seconds(interval.until),
        "partial": interval.partial,
        "requests": interval.requests,
        "bytes_received": interval.received,
        "errors": interval.errors,
        "latency_us": has_replies.then(|| percentiles_of(|share| interval.latencies.at(share))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::bench::series::Series;

    fn interval() -> Interval {
        let mut series = Series::new(Duration::from_secs(1));
        series.count_requests(1500);
        series.count_received(6_000_000);
        series.count_errors(3);
        series.record_latency(1_500_000, 1500);
        series.finish(500_000_000).expect("half an interval")
    }

    #[test]
    fn an_interval_is_a_line_below_its_head() {
        let line = line(&interval());
        let expected = "    0.50 s         3,000      12.0         3    1.50 ms    1.50 ms    1.50 ms  (partial)\n";
        assert_eq!(line, expected);
        assert_eq!(HEAD.trim_start_matches('\n').trim_end().len(), expected.find("  (partial)").expect("the mark"));
    }

    #[test]
    fn the_time_of_a_short_interval_differs_from_that_before() {
        let times = |ends: &[u64]| -> Vec<String> {
            let end_time = |pair: &[u64]| end_time(Duration::from_micros(pair[0]), Duration::from_micros(pair[1]));
            ends.windows(2).map(end_time).collect()
        };
        assert_eq!(times(&[90_000, 100_000, 105_000]), ["    0.10 s", "   0.105 s"]);
        assert_eq!(times(&[25_000, 50_000, 75_000]), ["   0.050 s", "   0.075 s"]);
        assert_eq!(times(&[10_500, 21_000]), ["   0.021 s"]);
    }

    #[test]
    fn an_interval_without_replies_has_no_latencies() {
        let mut series = Series::new(Duration::from_secs(1));
        let empty = series.end_before(1_000_000_000).expect("an interval");
        assert_eq!(object(&empty)["latency_us"], Value::Null);
        assert!(line(&empty).ends_with("         -          -          -\n"), "{}", line(&empty));
    }

    #[test]
    fn an_interval_is_an_object_of_one_line() {
        let object = object(&interval());
        assert!(!object.to_string().contains('\n'));
        assert_eq!((&object["type"], &object["partial"]), (&json!("interval"), &json!(true)));
        assert_eq!((&object["from_seconds"], &object["until_seconds"]), (&json!(0.0), &json!(0.5)));
        assert_eq!((&object["requests"], &object["errors"]), (&json!(1500), &json!(3)));
    }
}
