//! Latencies by percentile as the text of `HdrHistogram`: what its plotters read, and wrk2 and others write.

use std::fmt::Write;
use std::time::Duration;

use super::figures::STEPS_PER_HALF;
use super::latencies::{Latencies, SUB_BUCKETS};

/// The whole text; values are in milliseconds. Without latencies there are the head and the footer.
pub fn text(latencies: &Latencies) -> String {
    let mut text = format!("{:>12} {:>12} {:>12} {:>12}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    for step in latencies.percentile_steps(STEPS_PER_HALF) {
        let (value, share, requests) = (milliseconds(step.latency), step.share, step.requests);
        let _ = write!(text, "{value:>12.3} {share:>12.6} {requests:>12}");
        // `inf` at 100%, as C prints it
        let _ = writeln!(text, " {:>12.2}", 1.0 / (1.0 - share));
    }
    let (mean, deviation) = (latencies.mean(), latencies.standard_deviation());
    let (max, count) = (if latencies.count() == 0 { Duration::ZERO } else { latencies.at(1.0) }, latencies.count());
    let [mean, deviation, max] = [mean, deviation, max].map(milliseconds);
    let _ = writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let _ = writeln!(text, "#[Max     = {max:>12.3}, Total count    = {count:>12}]");
    let _ = writeln!(text, "#[Buckets = {:>12}, SubBuckets     = {SUB_BUCKETS:>12}]", latencies.buckets());
    text
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The widths and names are those of `hdr_percentiles_print` of the implementation in C, which programs read.
    #[test]
    fn text_has_the_format_of_the_implementation_in_c() {
        let mut latencies = Latencies::new();
        for latency in [1_000_000, 2_000_000, 3_000_000, 4_000_000] {
            latencies.record(latency, 1);
        }
        let text = text(&latencies);
        let lines: Vec<&str> = text.lines().collect();
        let head = "       Value   Percentile   TotalCount 1/(1-Percentile)";
        assert_eq!(lines[..3], [head, "", "       1.000     0.000000            1         1.00"], "{text}");
        let end = [
            "       4.002     1.000000            4          inf",
            "#[Mean    =        2.500, StdDeviation   =        1.118]",
            "#[Max     =        4.002, Total count    =            4]",
            "#[Buckets =           32, SubBuckets     =         2048]",
        ];
        assert_eq!(lines[lines.len() - 4..], end, "{text}");
    }

    #[test]
    fn percentiles_and_counts_rise_to_all_requests() {
        let mut latencies = Latencies::new();
        for latency in 1..=10_000 {
            latencies.record(latency * 1000, 1);
        }
        let steps = latencies.percentile_steps(STEPS_PER_HALF);
        assert!(steps.len() > 50, "{steps:?}");
        assert!(steps.windows(2).all(|pair| pair[0].share < pair[1].share && pair[0].requests <= pair[1].requests));
        let median = steps.iter().find(|step| step.share >= 0.5).expect("the median");
        assert_eq!((median.requests, median.latency.as_micros()), (5001, 5001));
        let last = steps.last().expect("the maximum");
        assert!(last.requests == 10_000 && (1.0 - last.share).abs() < 1e-12, "{last:?}");
    }

    #[test]
    fn no_latencies_are_a_head_and_a_footer() {
        let text = text(&Latencies::new());
        assert_eq!((text.lines().count(), text.contains("Total count    =            0]")), (5, true), "{text}");
    }
}
