//! The state of an impaired connection in a form that another process can continue from.

use std::sync::Arc;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::corruption::{Corruption, SavedCorruption};
use super::kind::Kinds;
use super::queue::{DelayQueue, Piece};
use super::settings::Impairments;
use super::shaper::Shaper;
use super::state::{End, Impairment};
use crate::connection::memory::Budget;
use crate::connection::millis::Millis;
use crate::protocol::InvalidState;

/// The most bytes of one connection. Chosen: nobody reaches it, and sums do not overflow.
const MAX_COUNT: u64 = 1 << 60;

/// All of an impairment but the bytes that it delays.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedImpairment {
    settings: Impairments,
    /// When the delayed bytes are due, and how many.
    pieces: Vec<Piece>,
    uncounted: usize,
    taken: u64,
    sent: u64,
    jitter: u64,
    corruption: Option<SavedCorruption>,
    send_line: Option<Shaper>,
    read_line: Option<Shaper>,
    next_slice: Millis,
    end: End,
    has_met_fault: bool,
    is_reading: bool,
    next_read: Millis,
    last_held: Millis,
    acted: Kinds,
    reported: Kinds,
}

impl Impairment {
    /// All of it but the bytes that are delayed.
    pub(super) fn save(&self) -> SavedImpairment {
        SavedImpairment {
            settings: (*self.settings).clone(),
            pieces: self.queue.pieces().collect(),
            uncounted: self.uncounted,
            taken: self.taken,
            sent: self.sent,
            jitter: self.jitter.get_seed(),
            corruption: self.corruption.as_ref().map(Corruption::save),
            send_line: self.send_line,
            read_line: self.read_line,
            next_slice: self.next_slice,
            end: self.end,
            has_met_fault: self.has_met_fault,
            is_reading: self.is_reading,
            next_read: self.next_read,
            last_held: self.last_held(),
            acted: self.acted,
            reported: self.reported,
        }
    }
}

impl SavedImpairment {
    /// The number of bytes that were delayed.
    #[must_use]
    pub fn delayed(&self) -> u64 {
        self.pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.length))
    }

    /// The impairment that was saved, with the bytes that were delayed. Charges them to the budget.
    ///
    /// # Errors
    /// If no impairment can have been in this state, or there is no memory for the bytes.
    pub fn restore(self, bytes: &[u8], budget: &Arc<Budget>, now: Millis) -> Result<Impairment, InvalidState> {
        self.check(bytes)?;
        let queue = DelayQueue::restore(bytes, &self.pieces, budget)
            .ok_or(InvalidState("there is no memory for the delayed bytes"))?;
        Ok(Impairment {
            queue,
            uncounted: self.uncounted,
            taken: self.taken,
            sent: self.sent,
            jitter: Rng::with_seed(self.jitter),
            corruption: self.corruption.map(Corruption::restore),
            send_line: self.send_line,
            read_line: self.read_line,
            next_slice: self.next_slice,
            end: self.end,
            has_met_fault: self.has_met_fault,
            is_reading: self.is_reading,
            next_read: self.next_read,
            last_held: self.last_held,
            acted: self.acted,
            reported: self.reported,
            ..Impairment::new(Arc::new(self.settings), 0, 0, budget, now)
        })
    }

    fn check(&self, bytes: &[u8]) -> Result<(), InvalidState> {
        let settings = &self.settings;
        ensure(settings.jitter <= settings.latency, "the jitter is above the latency")?;
        ensure(self.delayed() == bytes.len() as u64, "the delayed bytes have another length")?;
        ensure(self.pieces.iter().all(|piece| piece.length > 0), "delayed bytes are missing")?;
        ensure(self.pieces.is_sorted_by(|one, next| one.due <= next.due), "delayed bytes are out of order")?;
        let most = settings.fault.map_or(MAX_COUNT, |fault| fault.after).min(MAX_COUNT);
        ensure(self.taken <= most, "more was sent than there may be")?;
        let delayed = self.sent.checked_add(bytes.len() as u64);
        let counted = self.taken.checked_add(self.uncounted as u64);
        ensure(delayed.is_some() && delayed == counted, "the counts of bytes do not match")?;
        let is_met = settings.fault.is_some_and(|fault| self.sent == fault.after && self.uncounted == 0);
        ensure(!self.has_met_fault || is_met, "a fault came too early")?;
        ensure(self.end != End::Sent || bytes.is_empty(), "bytes are delayed beyond the end")?;
        ensure(!matches!(self.end, End::Slow(_)) || self.uncounted == bytes.len(), "bytes are delayed at the end")?;
        let is_corrupting = settings.corrupt != super::settings::Probability::NEVER;
        ensure(is_corrupting == self.corruption.is_some(), "the flipped bits do not match")?;
        for line in [&self.send_line, &self.read_line] {
            let is_possible = match (line, settings.rate) {
                (Some(line), Some(rate)) => line.is_possible(rate),
                (None, None) => true,
                _ => false,
            };
            ensure(is_possible, "the rate is impossible")?;
        }
        Ok(())
    }
}

fn ensure(is_valid: bool, otherwise: &'static str) -> Result<(), InvalidState> {
    if is_valid { Ok(()) } else { Err(InvalidState(otherwise)) }
}
