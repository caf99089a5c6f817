//! The buffers of large requests that a worker keeps for the next ones.

use std::io;

use super::buffer::{Buffer, MIN_MAPPED, Retired};

/// Large buffers have a multiple of this capacity, in bytes, so that one fits again for a request of about the same
/// length. Derived: one page.
const GRANULARITY: usize = 4 * 1024;
/// The most bytes that a [`Pool`] keeps. Chosen without tuning: two requests of 4 MiB at once.
pub const POOL_CAPACITY: usize = 8 * 1024 * 1024;

/// Recycled mappings: to clear fresh pages costs the kernel more than to fill them costs us.
#[derive(Debug, Default)]
pub struct Pool {
    spare: Vec<Buffer>,
    bytes: usize,
}

impl Pool {
    /// An empty buffer for `capacity` bytes or more. A recycled one counts as resident in full.
    ///
    /// # Errors
    /// When mmap(2) has no memory.
    pub fn acquire(&mut self, capacity: usize) -> io::Result<Buffer> {
        if capacity < MIN_MAPPED {
            return Buffer::with_capacity(capacity);
        }
        match self.take_spare(capacity) {
            Some(buffer) => Ok(buffer),
            None => Buffer::with_capacity(capacity.next_multiple_of(GRANULARITY)),
        }
    }

    /// A recycled buffer for `capacity` bytes or more, if there is one. It counts as resident in full.
    pub fn take_spare(&mut self, capacity: usize) -> Option<Buffer> {
        // the last one released is the one that is still in the processor's cache; one that is much too large would be
        // charged for nothing
        let fits = |spare: &Buffer| (capacity..=2 * capacity).contains(&spare.capacity());
        let found = self.spare.iter().rposition(fits)?;
        let buffer = self.spare.remove(found);
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// A buffer that starts with `bytes` and has at least `capacity` bytes in all.
    ///
    /// # Errors
    /// When mmap(2) has no memory.
    pub fn acquire_with(&mut self, bytes: &[u8], capacity: usize) -> io::Result<Buffer> {
        let mut buffer = self.acquire(capacity.max(bytes.len()))?;
        buffer.append(bytes);
        Ok(buffer)
    }

    /// Keeps a buffer if it is mapped and there is room; returns it otherwise.
    pub fn release(&mut self, buffer: Buffer) -> Option<Buffer> {
        if !buffer.is_mapped() || self.bytes + buffer.capacity() > POOL_CAPACITY {
            return Some(buffer);
        }
        self.bytes += buffer.capacity();
        self.spare.push(buffer.recycled());
        None
    }

    /// Takes out all that it keeps.
    pub fn clear(&mut self) -> Retired {
        self.bytes = 0;
        Retired::new(std::mem::take(&mut self.spare), None)
    }
}
