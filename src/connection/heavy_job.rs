//! A request that takes long, on its way to another thread and back.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use super::budget::Lease;
use super::buffers::Buffer;
use super::work::Output;
use crate::protocol::{Env, Need, Note, Protocol, Random, RequestLimits, Step, Tally, Turn};

/// Bytes of room beside what the protocol asked for: a response's header.
const HEADER_ROOM: usize = 64;

/// One whole request, with the state of its protocol and the memory that it may take.
pub struct Job {
    pub(super) protocol: Box<dyn Protocol>,
    pub(super) input: Buffer,
    pub(super) need: Need,
    pub(super) seed: Option<u64>,
    pub(super) lease: Lease,
    pub(super) limits: RequestLimits,
    pub(super) notes: bool,
}

/// A [`Job`] that is done.
pub struct Finished {
    pub(super) protocol: Box<dyn Protocol>,
    pub(super) lease: Lease,
    pub(super) output: Output,
    pub(super) tally: Tally,
    pub(super) notes: Vec<Note>,
    pub(super) step: Step,
    pub(super) took: Duration,
}

impl Job {
    /// Answers the request; takes as long as that takes.
    ///
    /// # Errors
    /// When the system has no memory for the answer, whatever the budget says.
    pub fn run(mut self, random: &mut Random, unix_time: fn() -> u64) -> io::Result<Finished> {
        let begun = Instant::now();
        let mut spill = Buffer::with_capacity(self.need.answer + HEADER_ROOM)?;
        if let Some(seed) = self.seed {
            random.replay(seed);
        }
        let mut turn =
            Turn::new(self.input.held(), spill.spare()).with_prepared(self.need.prepared).with_notes(self.notes);
        let mut env = Env { random, unix_time, quotes: &[], limits: self.limits, inline: false };
        let step = self.protocol.advance(&mut turn, &mut env);
        let (placed, spilled) = turn.placed();
        let tally = turn.tally();
        let notes = turn.drain_notes().collect();
        spill.fill(spilled);
        let output = match (placed.is_empty(), spilled) {
            (_, 0) => Output::new(self.input, placed),
            (true, _) => Output::new(spill, 0..spilled),
            (false, _) => Output::copied([&self.input.as_slice()[placed], spill.as_slice()])?,
        };
        Ok(Finished { protocol: self.protocol, lease: self.lease, output, tally, notes, step, took: begun.elapsed() })
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("need", &self.need).finish_non_exhaustive()
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished").field("tally", &self.tally).finish_non_exhaustive()
    }
}
