//! What is counted for each stage of an open load.

use super::latencies::Latencies;
use super::schedule::Schedule;

/// The requests of one stage, whenever their replies arrived.
#[derive(Clone, Debug)]
pub struct StageCounts {
    /// Its begin, in nanoseconds since the start of the measurement.
    pub begin: u64,
    /// Its end.
    pub end: u64,
    /// Requests that were due in it.
    pub due: u64,
    /// Latencies of those with a correct reply.
    pub latencies: Latencies,
    /// How late the generator was with them.
    pub lateness: Latencies,
}

impl StageCounts {
    /// The stages of a load, with all counts 0; none if its rate never changes.
    #[must_use]
    pub fn of(schedule: &Schedule) -> Vec<Self> {
        let counts =
            |(begin, end)| Self { begin, end, due: 0, latencies: Latencies::new(), lateness: Latencies::new() };
        if schedule.is_constant() { Vec::new() } else { schedule.bounds().map(counts).collect() }
    }

    /// The counts of the stage in which `time` is.
    pub fn at(stages: &mut [Self], time: u64) -> Option<&mut Self> {
        let after = stages.partition_point(|stage| stage.begin <= time);
        stages.get_mut(after.checked_sub(1)?)
    }

    /// Adds what another part of the same load has counted.
    pub fn absorb(&mut self, other: &Self) {
        self.due += other.due;
        self.latencies.absorb(&other.latencies);
        self.lateness.absorb(&other.lateness);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::options::Stage;

    #[test]
    fn counts_belong_to_the_stage_of_their_time() {
        let stage = |rate| Stage { from: rate, to: rate, duration: Duration::from_nanos(10) };
        let mut stages = StageCounts::of(&Schedule::new(&[stage(1.0), stage(2.0)]));
        for (time, begin) in [(0, 0), (9, 0), (10, 10), (99, 10)] {
            assert_eq!(StageCounts::at(&mut stages, time).map(|stage| stage.begin), Some(begin), "{time}");
        }
        stages[0].due = 3;
        stages[0].latencies.record(5, 2);
        stages[0].lateness.record(5, 1);
        let other = stages[0].clone();
        stages[0].absorb(&other);
        assert_eq!((stages[0].due, stages[0].latencies.count(), stages[0].lateness.count()), (6, 4, 2));
        assert!(StageCounts::of(&Schedule::constant(5.0)).is_empty());
        assert!(StageCounts::at(&mut [], 5).is_none());
    }
}
