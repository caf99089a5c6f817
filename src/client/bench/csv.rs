//! The intervals of a measurement as CSV (RFC 4180, with LF): a head, and a row for each.

use std::fmt::Write;
use std::time::Duration;

use super::figures::SHARES;
use super::interval_report::per_second;
use super::series::Interval;
use crate::client::json::{rounded, seconds};

/// The whole file. Fields of latencies are empty where no reply arrived. No field needs quotes: all are numbers, and
/// names without commas.
pub fn text(intervals: &[Interval]) -> String {
    let mut text = String::from(
        "from_seconds,until_seconds,partial,requests,requests_per_second,bytes_received,megabytes_per_second,errors",
    );
    for (name, _) in SHARES {
        let _ = write!(text, ",latency_{}_us", name.replace('.', "_"));
    }
    text.push('\n');
    for interval in intervals {
        row(&mut text, interval);
    }
    text
}

fn row(text: &mut String, interval: &Interval) {
    let Interval { from, until, partial, requests, received, errors, latencies } = interval;
    let (from, until) = (seconds(*from), seconds(*until));
    let rate = rounded(per_second(*requests, interval));
    let megabytes = rounded(per_second(*received, interval) / 1e6);
    let partial = u8::from(*partial);
    let _ = write!(text, "{from},{until},{partial},{requests},{rate},{received},{megabytes},{errors}");
    let has_replies = latencies.count() > 0;
    for (_, share) in SHARES {
        let time = has_replies.then(|| microseconds(latencies.at(share)).to_string());
        let _ = write!(text, ",{}", time.unwrap_or_default());
    }
    text.push('\n');
}

fn microseconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::bench::series::Series;

    #[test]
    fn each_interval_is_a_row_below_the_head() {
        let mut series = Series::new(Duration::from_secs(1));
        series.count_requests(1500);
        series.count_received(6_000_000);
        series.count_errors(3);
        series.record_latency(1_500_000, 1500);
        assert!(series.end_before(1_000_000_000).is_some());
        assert!(series.finish(1_500_000_000).is_some());
        let text = text(series.intervals());
        let rows: Vec<&str> = text.split_terminator('\n').collect();
        let head = "from_seconds,until_seconds,partial,requests,requests_per_second,bytes_received,\
                    megabytes_per_second,errors,latency_p50_us,latency_p90_us,latency_p99_us,latency_p99_9_us,\
                    latency_max_us";
        let times = ["1500.159"; 5].join(",");
        let first = format!("0.0,1.0,0,1500,1500,6000000,6,3,{times}");
        assert_eq!(rows, [head, &first, "1.0,1.5,1,0,0,0,0,0,,,,,"]);
    }
}
