//! The stages of a load in the report: a line or an object for each.

use std::fmt::Write;

use super::figures::{LATENESS_SHARE, grouped, percentiles, readable};
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
        let sender = readable(counts.lateness.at(LATENESS_SHARE));
        let _ = write!(table, "{:<19} {due:>9} {replies:>9} {sender:>10}", stage.to_string());
        table.extend([0.5, 0.99, 1.0].map(|share| format!(" {:>9}", readable(counts.latencies.at(share)))));
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
