//! The latencies as a histogram for the terminal: a bar of `#` for each range.
//!
//! The bounds of the ranges are round numbers, and have the same ratio; where all latencies are nearly the same, the
//! same distance. A thousandth of the requests at either end has no influence on them: because of one request that took
//! a second, all others would be in a few rows.

use std::fmt::Write;
use std::time::Duration;

use super::figures::{grouped, in_unit, readable};
use super::latencies::Latencies;

/// The columns of the whole. Chosen: those of a terminal whose size nobody has changed.
const WIDTH: usize = 80;

/// The most rows of the scale; one more is for latencies beyond it. Chosen: with the table they fit on 40 lines. The
/// finest scale that has no more is taken, so a logarithmic one has 10 rows at least.
const MAX_ROWS: usize = 20;

/// The shares of the requests whose latencies are the ends of the scale. Chosen: the table above has 99.9% and the
/// maximum.
const ENDS: [f64; 2] = [0.001, 0.999];

/// The ratio of the ends from which the scale is logarithmic. Chosen: up to there, linear rows differ little from
/// logarithmic ones, whose bounds would have more digits.
const LOGARITHMIC_FROM: u64 = 2;

/// The preferred numbers of ISO 3, times 100: the series R40, with ratios of about 1.06. Every second number of a
/// series is a coarser one.
const R40: [u64; 40] = [
    100, 106, 112, 118, 125, 132, 140, 150, 160, 170, 180, 190, 200, 212, 224, 236, 250, 265, 280, 300, 315, 335, 355,
    375, 400, 425, 450, 475, 500, 530, 560, 600, 630, 670, 710, 750, 800, 850, 900, 950,
];

/// The decades of the logarithmic scale, from 100 ns. Derived: the longest latency, an hour, and two bounds of the
/// coarsest series after it, which has ratios of 6.3, are within them.
const DECADES: u32 = 13;

/// A row of a linear scale is at least its upper end divided by this. Derived: latencies are recorded with three
/// digits, and a row has at least four that differ, so that it matters little where its bound is between two.
const LINEAR_PRECISION: u64 = 250;

/// A head, and a line for each range: its upper bound, the requests, their share, and a bar, the longest of which fills
/// the line. Empty without latencies.
#[must_use]
pub fn table(latencies: &Latencies) -> String {
    let total = latencies.count();
    if total == 0 {
        return String::new();
    }
    let rows = rows(latencies);
    let most = rows.iter().map(|(_, requests)| *requests).max().unwrap_or_default();
    let digits = grouped(total).len().max("requests".len());
    let mut table = format!("\n{:>13}  {:>digits$}  {:>7}\n", "latency up to", "requests", "share");
    for (label, requests) in rows {
        let head = format!("{label:>13}  {:>digits$}  {:>6.2}%  ", grouped(requests), percent(requests, total));
        let bar = "#".repeat(bar_length(requests, most, WIDTH - head.len()));
        let _ = writeln!(table, "{}", (head + &bar).trim_end());
    }
    table
}

/// The upper bound of each range, and the number of requests in it.
fn rows(latencies: &Latencies) -> Vec<(String, u64)> {
    let mut below = 0;
    let row = |(bound, label)| {
        let requests = latencies.count_within(bound) - below;
        below += requests;
        (label, requests)
    };
    bounds(latencies).into_iter().map(row).collect()
}

#[allow(clippy::cast_precision_loss, reason = "two decimals are shown")]
fn percent(requests: u64, total: u64) -> f64 {
    requests as f64 * 100.0 / total as f64
}

/// The length of a bar, at least 1 for any request: the few that are slow must be seen.
fn bar_length(requests: u64, most: u64, longest: usize) -> usize {
    let rounded = (u128::from(requests) * longest as u128 + u128::from(most) / 2) / u128::from(most);
    usize::try_from(rounded).unwrap_or(longest).max(usize::from(requests > 0))
}

/// An upper bound in nanoseconds, and as it is shown.
type Bound = (u64, String);

/// Rising bounds; all latencies are within the last one.
fn bounds(latencies: &Latencies) -> Vec<Bound> {
    let [low, high] = ENDS.map(|share| latencies.lower_end_at(share));
    let mut bounds = if high < low * LOGARITHMIC_FROM { linear(low, high) } else { logarithmic(low, high) };
    let beyond = bounds.pop();
    let has_all = |(bound, _): &Bound| latencies.count_within(*bound) == latencies.count();
    if !bounds.last().is_some_and(has_all) {
        let max = latencies.at(1.0);
        let max = || (u64::try_from(max.as_nanos()).unwrap_or(u64::MAX), readable(max));
        bounds.push(beyond.filter(has_all).unwrap_or_else(max));
    }
    bounds
}

/// Bounds from the first that is not below `low` to the first that is not below `high`, and the one after it: of the
/// finest series of preferred numbers with which they are at most [`MAX_ROWS`], and that one.
fn logarithmic(low: u64, high: u64) -> Vec<Bound> {
    let decades = (0..DECADES).map(|decade| 10u64.pow(decade));
    let numbers: Vec<u64> = decades.flat_map(|factor| R40.map(|number| number * factor)).collect();
    let series = [1, 2, 4, 8, 16, 32].map(|step| {
        let series = || numbers.iter().copied().step_by(step).skip_while(|&number| number < low);
        let rows = series().take_while(|&number| number < high).count() + 1;
        series().take(rows + 1).collect::<Vec<_>>()
    });
    let series = series.into_iter().find(|series| series.len() <= MAX_ROWS + 1).unwrap_or_default();
    series.into_iter().map(|bound| (bound, readable(Duration::from_nanos(bound)))).collect()
}

/// The same with equal distances: a power of ten, or two or five times that.
fn linear(low: u64, high: u64) -> Vec<Bound> {
    let mut steps = (0..DECADES).flat_map(|decade| [1, 2, 5].map(|digit| digit * 10u64.pow(decade)));
    let numbers = |step: u64| low.div_ceil(step)..=high.div_ceil(step) + 1;
    let fits = |&step: &u64| step >= high / LINEAR_PRECISION && numbers(step).count() <= MAX_ROWS + 1;
    let step = steps.find(fits).unwrap_or(high);
    let bounds = numbers(step).map(|number| number * step);
    bounds.map(|bound| (bound, in_steps(bound, step, high.div_ceil(step) * step))).collect()
}

/// A multiple of `step` in the unit of `largest`, with as many decimals as tell it from the next.
#[allow(clippy::cast_precision_loss, reason = "at most an hour")]
fn in_steps(nanoseconds: u64, step: u64, largest: u64) -> String {
    let unit = 10u64.pow((largest.ilog10() / 3 * 3).min(9));
    let (_, name) = in_unit(unit as f64);
    let decimals = (unit / step).saturating_sub(1).checked_ilog10().map_or(0, |digits| digits as usize + 1);
    format!("{:.decimals$} {name}", nanoseconds as f64 / unit as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(counts: &[(u64, u64)]) -> Latencies {
        let mut latencies = Latencies::new();
        for &(latency, requests) in counts {
            latencies.record(latency, requests);
        }
        latencies
    }

    #[test]
    fn a_known_distribution_is_drawn_exactly() {
        let counts = [
            (25_000, 10),
            (40_000, 1_000),
            (50_000, 20_000),
            (63_000, 40_000),
            (80_000, 20_000),
            (100_000, 1_000),
            (150_000, 500),
            (400_000, 400),
            (30_000_000, 3),
        ];
        let expected = "
latency up to  requests    share
      40.0 us     1,010    1.22%  #
      50.0 us    20,000   24.12%  #######################
      63.0 us    40,000   48.24%  ##############################################
      80.0 us    20,000   24.12%  #######################
       100 us     1,000    1.21%  #
       125 us         0    0.00%
       160 us       500    0.60%  #
       200 us         0    0.00%
       250 us         0    0.00%
       315 us         0    0.00%
       400 us       400    0.48%  #
      30.0 ms         3    0.00%  #
";
        assert_eq!(table(&recorded(&counts)), expected);
    }

    #[test]
    fn nearly_equal_latencies_have_equal_distances() {
        let counts = [(995_100, 1_000), (999_000, 3_000), (1_003_000, 2_000), (1_016_000, 250), (9_000_000, 1)];
        let expected = "
latency up to  requests    share
     0.995 ms     1,000   16.00%  ###############
     1.000 ms     3,000   47.99%  ##############################################
     1.005 ms     2,000   31.99%  ###############################
     1.010 ms         0    0.00%
     1.015 ms         0    0.00%
     1.020 ms       250    4.00%  ####
      9.00 ms         1    0.02%  #
";
        assert_eq!(table(&recorded(&counts)), expected);
    }

    #[test]
    fn one_latency_is_one_row() {
        for (latency, requests, label) in
            [(1, 1, "1 ns"), (1_000_000, 7, "1.000 ms"), (123_456_789, 1, "123.5 ms"), (3_600_000_000_000, 9, "3600 s")]
        {
            let row = format!("{label:>13}  {requests:>8}  100.00%  {}\n", "#".repeat(46));
            let head = "\nlatency up to  requests    share\n";
            assert_eq!(table(&recorded(&[(latency, requests)])), format!("{head}{row}"));
        }
    }

    #[test]
    fn latencies_that_are_recorded_as_one_are_one_row() {
        let counts: Vec<_> = (1_000_000..1_000_400).map(|latency| (latency, 100)).collect();
        let table = table(&recorded(&counts));
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert!(matches!(rows[..], [row] if row.starts_with("     1.000 ms    40,000  100.00%  #")), "{table}");
    }

    #[test]
    fn no_latencies_are_no_table() {
        assert_eq!(table(&Latencies::new()), "");
    }

    /// Latencies from 1 ns to an hour, whose ends have every ratio, and numbers of requests up to 10^18.
    #[test]
    #[allow(clippy::cast_sign_loss, reason = "latencies are not negative")]
    fn every_distribution_fits_on_a_terminal() {
        for low in [1.0_f64, 90.0, 999.0, 40_000.0, 7_777_777.0, 1e9] {
            for ratio in [1.0_f64, 1.01, 1.1, 1.5, 1.99, 2.5, 3.17, 9.9, 11.0, 99.0, 1e4, 1e6, 1e9, 1e12] {
                for requests in [1, 1_000_000_000_000_000] {
                    let latency = |part: u32| (low * ratio.powf(f64::from(part) / 999.0)) as u64;
                    let counts: Vec<_> = (0..=999).map(|part| (latency(part), requests)).collect();
                    check(&recorded(&counts), ratio > 2.1 && low > 2.0);
                }
            }
        }
    }

    fn check(latencies: &Latencies, is_logarithmic: bool) {
        let table = table(latencies);
        assert!(table.lines().all(|line| line.len() <= WIDTH), "{table}");
        let rows = rows(latencies);
        assert_eq!(rows.iter().map(|(_, requests)| requests).sum::<u64>(), latencies.count(), "{table}");
        let least = if is_logarithmic { 10 } else { 1 };
        assert!((least..=MAX_ROWS + 1).contains(&rows.len()), "{} rows: {table}", rows.len());
        assert!(rows[0].1 > 0 && rows[rows.len() - 1].1 > 0, "{table}");
    }
}
