//! `--find-rate`: the highest rate of an open loop at which the server keeps the bounds of `--slo`.
//!
//! Each run is a load of its own, with its own connections and warm-up, and waits for the replies in flight at its end;
//! what is not replied to then is dropped with the connections, so that a run does not load the next one.
//!
//! | module | content |
//! |---|---|
//! | `search` | which rate to try next |
//! | `evaluation` | whether a run has kept the bounds |
//! | `report` | the lines and the JSON object |

mod evaluation;
mod report;
mod search;

use std::io;
use std::time::Duration;

use super::load::Load;
use super::schedule::Schedule;
use super::threads;
use super::timeline::GRACE;
use crate::client::failure::{Failure, Status};
use crate::client::options::{BenchOptions, RateRange};
use crate::sys::Interrupts;
use report::{ConfirmingRun, FindRateReport, SearchMonitor};
use search::{CONFIRMATION_FACTOR, Outcome, RateSearch, SearchStep};

/// The most time that the call takes that begins a connection; it does not wait for the server. Chosen: several times what
/// it takes on loopback, where it includes the handshake.
const CONNECT_CALL: Duration = Duration::from_micros(100);

/// The result of a search.
#[derive(Debug)]
pub struct FoundRate {
    /// Whether a rate was confirmed.
    pub status: Status,
    /// The run that confirmed it.
    pub confirmed: Option<ConfirmingRun>,
    /// Whether the report could be printed.
    pub printed: Result<(), Failure>,
}

/// Searches, and prints each run and the result. If that is impossible, the search ends, unless there are files to write.
///
/// # Errors
/// The load cannot be made, or the server not be reached any more.
pub fn run(options: &BenchOptions, load: &Load<'_>, range: RateRange) -> Result<FoundRate, Failure> {
    let failed = |error: io::Error| Failure::cannot("generate the load", &error);
    let interrupts = Interrupts::watch().map_err(failed)?;
    let monitor = SearchMonitor::new(RateSearch::max_runs(range));
    let mut report = FindRateReport::new(options, load);
    let mut search = RateSearch::new(range);
    let (mut confirmed, mut unreachable, mut printed) = (None, None, Ok(()));
    while let Some(step) = search.next_step() {
        monitor.begin(step);
        let measurement = threads::run(&load_of(load, step), &interrupts, &monitor).map_err(failed)?;
        let Some(measurement) = measurement.filter(|measurement| !measurement.interrupted) else { break };
        let verdict = evaluation::verdict(&options.slo, &measurement);
        printed = printed.and(monitor.suspend(|| report.add(step, verdict, &measurement)));
        unreachable = measurement.unreachable();
        if unreachable.is_some() || printed.is_err() && !options.files.are_written() {
            break;
        }
        search.record(verdict);
        if let Outcome::Found(rate) = search.outcome() {
            confirmed = Some(ConfirmingRun { rate, measurement });
        }
    }
    monitor.finish();
    let printed = printed.and_then(|()| report.print(&search, confirmed.as_ref()));
    if let Some(class) = unreachable {
        return Err(Failure::cannot_run(format!("cannot connect to {} any more: {}", load.target, class.name())));
    }
    Ok(FoundRate { status: Status::success_if(confirmed.is_some()), confirmed, printed })
}

/// The load of one run.
fn load_of<'a>(load: &Load<'a>, step: SearchStep) -> Load<'a> {
    let duration = load.duration.map(|duration| duration * step.phase.duration_factor());
    Load { schedule: Some(Schedule::constant(step.rate)), duration, ..load.clone() }
}

/// The most time that a search takes.
#[must_use]
pub fn time_limit(options: &BenchOptions, range: RateRange) -> Duration {
    let measured = options.time_limit().unwrap_or_default();
    let connections = u32::try_from(options.connections).unwrap_or(u32::MAX);
    let waits = [CONNECT_CALL.saturating_mul(connections), options.warm_up, options.timeouts.read_timeout.min(GRACE)];
    let beside = waits.into_iter().fold(Duration::ZERO, Duration::saturating_add);
    let (short, long) = RateSearch::max_runs(range);
    let time = |runs, factor| measured.saturating_mul(factor).saturating_add(beside).saturating_mul(runs);
    time(short, 1).saturating_add(time(long, CONFIRMATION_FACTOR))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::client::options::{Command, Options};

    /// 5 rates and 5 halvings, twice, of 4 s; and 8 confirmations of 10 s; 28 times, 1000 connections are made.
    #[test]
    fn the_time_is_bounded_by_the_range() {
        let words =
            "retort bench localhost --find-rate=100..1600 --slo p99=5ms --duration 3s --warm-up 0 --connections 1k";
        let Command::Bench(options) = Options::parse_from(words.split(' ')).command else { panic!("not a benchmark") };
        assert_eq!(
            time_limit(&options, options.find_rate.expect("given")).as_millis(),
            20 * 4000 + 8 * 10_000 + 28 * 100
        );
    }
}
