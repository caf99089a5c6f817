//! The stages of a load in the report: a line or an object for each.

use std::fmt::Write;

use super::figures::{LATENESS_SHARE, grouped, percentiles, readable_at};
use super::stage_counts::StageCounts;
use crate::client::json::{Value, json, rounded, seconds};
use crate::client::options::Stage;

/// A table below its head.
pub fn table(stages: &[Stage], counts: &[StageCounts]) -> String {
    let mut table = format!("\n{:<19} {:>9} {:>9} {:>10}", "stage", "due", "replies", "sender p99");
    table.extend(["p50", "p99", "max"].map(|name| format!(" {name:>9}")));
    table.push('\n');
    for (stage, counts) in stages.iter().zip(counts) {
        let (due, replies) = (grouped(counts.due), grouped(counts.latencies.count()));
        let sender = readable_at(&counts.lateness, LATENESS_SHARE);
        let _ = write!(table, "{:<19} {due:>9} {replies:>9} {sender:>10}", stage.to_string());
        table.extend([0.5, 0.99, 1.0].map(|share| format!(" {:>9}", readable_at(&counts.latencies, share))));
        table.push('\n');
    }
    table
}

/// An object for each.
pub fn objects(stages: &[Stage], counts: &[StageCounts]) -> Vec<Value> {
    let object = |(stage, counts): (&Stage, &StageCounts)| {
        json!({
            "rate_from": rounded(stage.from),
            "rate_to": rounded(stage.to),
            "seconds": seconds(stage.duration),
            "due": counts.due,
            "replies": counts.latencies.count(),
            "latency_us": percentiles(&counts.latencies),
            "sender_lateness_us": percentiles(&counts.lateness),
        })
    };
    stages.iter().zip(counts).map(object).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::bench::schedule::Schedule;

    #[test]
    fn a_stage_without_replies_has_no_times() {
        let stages = [1.0, 2.0].map(|rate| Stage { from: rate, to: rate, duration: Duration::from_secs(1) });
        let mut counts = StageCounts::of(&Schedule::new(&stages));
        counts[1].latencies.record(7, 1);
        let table = table(&stages, &counts);
        let times: Vec<Vec<&str>> =
            table.lines().skip(2).map(|line| line.split_whitespace().skip(3).collect()).collect();
        assert_eq!(times, [&["-", "-", "-", "-"][..], &["-", "7.00", "ns", "7.00", "ns", "7.00", "ns"]], "{table}");
        let objects = objects(&stages, &counts);
        assert_eq!((&objects[0]["latency_us"], &objects[1]["sender_lateness_us"]), (&Value::Null, &Value::Null));
        assert_eq!(objects[1]["latency_us"]["max"], 0.007);
    }
}
