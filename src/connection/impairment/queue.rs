//! A delay line: bytes on their way to the client, each with the time at which it is due.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem::size_of;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::connection::memory::{Budget, Charge};
use crate::connection::millis::Millis;

/// Memory is taken for this number of bytes at a time. Chosen: half of what is free of charge, so that a delay line with
/// a few bytes takes little.
const BLOCK: usize = 2 * 1024;
/// The memory of a delay line that is not charged to the budget, so that every connection makes progress, in bytes.
/// Chosen: a quarter of what a connection may hold without a charge for requests and replies.
pub const UNCHARGED: usize = 4 * 1024;
/// The most times at which bytes of one connection are due. Derived: at 16 bytes each they are 1 MiB, the default of
/// `--max-delayed`, and they fit into the line of the connection when it is handed over.
const MAX_PIECES: usize = 64 * 1024;
/// Pieces for which there is memory at first. Chosen: a connection seldom has more replies on their way.
const FIRST_PIECES: usize = 4;
/// Memory for more than this number of times what is used is given back. Chosen: that costs little beside the bytes that
/// were sent.
const SHRINK_ABOVE: usize = 4;
/// The most parts of one send. Chosen: 128 KiB in blocks, and 1 KiB on the stack.
pub(super) const MAX_PARTS: usize = 64;
/// Room, in bytes, below which a delay line takes nothing more until some of it is sent, unless it is empty. Chosen: a
/// block, so that a large reply does not go through in single bytes.
const LEAST_ROOM: usize = BLOCK;

/// Bytes that are due at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) due: Millis,
    pub(super) length: u64,
}

/// Bytes on their way to the client.
#[derive(Debug, Default)]
pub(super) struct DelayQueue {
    blocks: VecDeque<Box<[u8]>>,
    /// The place of the first byte in the first block.
    start: usize,
    length: usize,
    /// Never empty ones; in the order in which they are due.
    pieces: VecDeque<Piece>,
    charge: Option<Charge>,
    /// The budget, or the system, had too little memory for more; reset when bytes are sent.
    is_starved: bool,
}

impl DelayQueue {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// When the first byte is due.
    pub(super) fn due(&self) -> Option<Millis> {
        self.pieces.front().map(|piece| piece.due)
    }

    /// When the last byte is due.
    pub(super) fn last_due(&self) -> Option<Millis> {
        self.pieces.back().map(|piece| piece.due)
    }

    /// What counts of it for a limit: the bytes, and the times at which they are due.
    fn counted(&self) -> usize {
        self.length + self.pieces.len() * size_of::<Piece>()
    }

    /// Whether it takes more under this limit.
    pub(super) fn has_room(&self, limit: usize) -> bool {
        let least = if self.is_empty() { 1 } else { LEAST_ROOM.min(limit / 4) };
        let has_room = limit.saturating_sub(self.counted() + size_of::<Piece>()) >= least;
        has_room && !self.is_starved && self.pieces.len() < MAX_PIECES
    }

    /// Takes bytes that are due then, after those before them: as many as the limit and the memory allow. Calls
    /// `change` with each part of its copy. Returns the number of bytes.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        due: Millis,
        limit: usize,
        budget: &Arc<Budget>,
        mut change: impl FnMut(&mut [u8]),
    ) -> usize {
        let starts_piece = self.last_due() != Some(due);
        let cost = if starts_piece { size_of::<Piece>() } else { 0 };
        let most = bytes.len().min(limit.saturating_sub(self.counted() + cost));
        let mut rest = &bytes[..most];
        let is_full = starts_piece && self.pieces.len() >= MAX_PIECES;
        if rest.is_empty() || is_full || !self.reserve_piece(starts_piece, budget) {
            return 0;
        }
        while !rest.is_empty() {
            let filled = self.start + self.length;
            if filled == self.blocks.len() * BLOCK && !self.add_block(budget) {
                self.is_starved = true;
                break;
            }
            let Some(block) = self.blocks.back_mut() else { break };
            let into = &mut block[filled % BLOCK..];
            let n = into.len().min(rest.len());
            into[..n].copy_from_slice(&rest[..n]);
            change(&mut into[..n]);
            self.length += n;
            rest = &rest[n..];
        }
        let taken = most - rest.len();
        self.count_piece(due, taken as u64);
        taken
    }

    /// Adds bytes to the last piece, or a piece.
    fn count_piece(&mut self, due: Millis, length: u64) {
        match self.pieces.back_mut() {
            Some(last) if last.due == due => last.length += length,
            _ if length > 0 => self.pieces.push_back(Piece { due, length }),
            _ => {}
        }
    }

    /// Makes room for a piece, if one starts.
    fn reserve_piece(&mut self, starts: bool, budget: &Arc<Budget>) -> bool {
        if !starts || self.pieces.len() < self.pieces.capacity() {
            return true;
        }
        let more = self.pieces.len().max(FIRST_PIECES);
        let has_room = self.charge(more * size_of::<Piece>(), budget) && self.pieces.try_reserve_exact(more).is_ok();
        self.is_starved |= !has_room;
        has_room
    }

    /// Adds a block.
    fn add_block(&mut self, budget: &Arc<Budget>) -> bool {
        if self.blocks.try_reserve(1).is_err() || !self.charge(BLOCK, budget) {
            return false;
        }
        let mut block = Vec::new();
        if block.try_reserve_exact(BLOCK).is_err() {
            return false;
        }
        block.resize(BLOCK, 0);
        self.blocks.push_back(block.into_boxed_slice());
        true
    }

    /// Memory that it takes, in bytes.
    fn held(&self) -> usize {
        let places = self.blocks.capacity() * size_of::<Box<[u8]>>() + self.pieces.capacity() * size_of::<Piece>();
        self.blocks.len() * BLOCK + places
    }

    /// Frees memory for bytes that were sent.
    fn shrink(&mut self) {
        shrink(&mut self.blocks);
        shrink(&mut self.pieces);
        let held = self.held().saturating_sub(UNCHARGED);
        if let Some(charge) = self.charge.as_mut().filter(|charge| charge.bytes() > held) {
            charge.set_unchecked(held);
        }
    }

    /// Charges `more` bytes, beyond those that are free. False if the budget has too little.
    fn charge(&mut self, more: usize, budget: &Arc<Budget>) -> bool {
        let bytes = (self.held() + more).saturating_sub(UNCHARGED);
        bytes == 0 || self.charge.get_or_insert_with(|| Charge::new(budget)).try_grow_shared(bytes)
    }

    /// Bytes that are due at `now`.
    pub(super) fn ready(&self, now: Millis, most: usize) -> usize {
        let mut ready = 0;
        for piece in self.pieces.iter().take_while(|piece| piece.due <= now) {
            ready += usize::try_from(piece.length).unwrap_or(usize::MAX);
            if ready >= most {
                return most;
            }
        }
        ready
    }

    /// The first `most` bytes, or fewer where they have too many parts; returns the number of parts.
    pub(super) fn front<'a>(&'a self, most: usize, parts: &mut [IoSlice<'a>; MAX_PARTS]) -> usize {
        let mut left = most.min(self.length);
        let mut start = self.start;
        let mut count = 0;
        for (block, part) in self.blocks.iter().zip(parts) {
            if left == 0 {
                break;
            }
            let n = left.min(block.len() - start);
            *part = IoSlice::new(&block[start..start + n]);
            (left, start, count) = (left - n, 0, count + 1);
        }
        count
    }

    /// The first `n` bytes are sent.
    pub(super) fn advance(&mut self, n: usize) {
        self.length -= n;
        self.start += n;
        self.is_starved = false;
        let mut left = n as u64;
        while let Some(piece) = self.pieces.front_mut().filter(|_| left > 0) {
            let sent = left.min(piece.length);
            piece.length -= sent;
            left -= sent;
            if piece.length == 0 {
                self.pieces.pop_front();
            }
        }
        while self.start >= BLOCK {
            self.blocks.pop_front();
            self.start -= BLOCK;
        }
        if self.is_empty() {
            // an idle connection keeps no memory
            let charge = self.charge.take();
            *self = Self { charge, ..Self::default() };
        }
        self.shrink();
    }

    /// All bytes are due at `now`, if they were not before.
    pub(super) fn hurry(&mut self, now: Millis) {
        let due = now.min(self.due().unwrap_or(now));
        self.pieces.clear();
        self.count_piece(due, self.length as u64);
        self.shrink();
    }

    /// All bytes, in parts.
    pub(super) fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        let (mut left, mut start) = (self.length, self.start);
        self.blocks.iter().map(move |block| {
            let part = &block[start..block.len().min(start + left)];
            (left, start) = (left - part.len(), 0);
            part
        })
    }

    /// The times at which they are due.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.pieces.iter().copied()
    }

    /// The delay line with these bytes, which are due then. They are held already: they are charged beyond the budget,
    /// too. `None` if the system has no memory.
    pub(super) fn restore(bytes: &[u8], pieces: &[Piece], budget: &Arc<Budget>) -> Option<Self> {
        let mut queue = Self::default();
        queue.pieces.try_reserve_exact(pieces.len()).ok()?;
        queue.pieces.extend(pieces);
        queue.length = bytes.len();
        queue.blocks.try_reserve_exact(bytes.len().div_ceil(BLOCK)).ok()?;
        for part in bytes.chunks(BLOCK) {
            let mut block = Vec::new();
            block.try_reserve_exact(BLOCK).ok()?;
            block.extend_from_slice(part);
            block.resize(BLOCK, 0);
            queue.blocks.push_back(block.into_boxed_slice());
        }
        let charged = queue.held().saturating_sub(UNCHARGED);
        if charged > 0 {
            queue.charge.insert(Charge::new(budget)).set_unchecked(charged);
        }
        Some(queue)
    }
}

/// Gives memory back where most of it is not used any more.
fn shrink<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > SHRINK_ABOVE * queue.len().max(FIRST_PIECES) {
        queue.shrink_to(2 * queue.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes one byte that is due at each of these times.
    fn fill(queue: &mut DelayQueue, times: std::ops::Range<u64>, budget: &Arc<Budget>) -> usize {
        let is_taken = |due: &u64| queue.push(b"x", Millis::new(*due), usize::MAX, budget, |_| ()) == 1;
        times.take_while(is_taken).count()
    }

    #[test]
    fn the_memory_of_pieces_is_charged_and_given_back() {
        let budget = Arc::new(Budget::new(u64::MAX));
        let mut queue = DelayQueue::default();
        assert_eq!(fill(&mut queue, 0..10_000, &budget), 10_000);
        let is_charged = |queue: &DelayQueue| budget.used() == i64::try_from(queue.held() - UNCHARGED).expect("small");
        assert!(is_charged(&queue) && queue.pieces.capacity() >= 10_000);
        // a client that goes on, so that the delay line is never empty
        queue.advance(9_000);
        assert!(is_charged(&queue) && queue.pieces.capacity() <= 4_000);
        queue.hurry(Millis::ZERO);
        assert_eq!((queue.len(), queue.pieces.len(), budget.used()), (1_000, 1, 0));
    }

    #[test]
    fn there_are_at_most_as_many_pieces_as_can_be_saved() {
        let budget = Arc::new(Budget::new(u64::MAX));
        let mut queue = DelayQueue::default();
        assert_eq!(fill(&mut queue, 0..100_000, &budget), MAX_PIECES);
        assert!(!queue.has_room(usize::MAX));
        queue.advance(1);
        assert!(queue.has_room(usize::MAX));
        assert_eq!(fill(&mut queue, 100_000..200_000, &budget), 1);
    }
}
