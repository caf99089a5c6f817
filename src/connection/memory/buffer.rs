//! Memory for input that has arrived and for replies that wait.
//!
//! Large buffers are mapped: pages that nothing was written to cost nothing, so memory grows with the bytes that
//! arrive, not with the length that was announced, and all of it goes back to the system at once.

use std::io;

use memmap2::MmapMut;

use super::budget::Charge;
use super::headroom;

/// Buffers of this capacity or more are mapped, in bytes: the allocator keeps what a crowd of clients leaves behind,
/// the kernel takes mappings back. Derived: one page.
pub(super) const MIN_MAPPED: usize = 4 * 1024;
/// Memory that a buffer leaves free beside the headroom, in bytes, so that buffers do not keep out connections that
/// need none. Chosen without tuning.
const BUFFER_HEADROOM: usize = 4 * 1024 * 1024;
/// Memory of this size or more is freed by the caller outside of the event loop, in bytes. Measured: munmap(2) takes
/// about 80 us for each MiB that was written to.
pub const MIN_DEFERRED_FREE: usize = 1024 * 1024;

/// Bytes with a fixed capacity, filled from the front.
///
/// An allocation of any size fails with an error; it never ends the process.
#[derive(Debug, Default)]
pub struct Buffer {
    memory: Memory,
    filled: usize,
    resident: usize,
}

#[derive(Debug)]
enum Memory {
    Heap(Box<[u8]>),
    Mapped(MmapMut),
}

impl Memory {
    fn heap(capacity: usize) -> io::Result<Self> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(capacity)?;
        bytes.resize(capacity, 0);
        Ok(Self::Heap(bytes.into_boxed_slice()))
    }

    fn mapped(capacity: usize) -> io::Result<Self> {
        MmapMut::map_anon(capacity).map(Self::Mapped)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::Heap(Box::default())
    }
}

impl Buffer {
    /// An empty buffer of `capacity` bytes.
    ///
    /// # Errors
    /// When the system has no memory, or none that may be taken (see `headroom.rs`).
    pub fn with_capacity(capacity: usize) -> io::Result<Self> {
        let _lock = headroom::lock();
        if !headroom::has_headroom(capacity.saturating_add(BUFFER_HEADROOM)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let memory = if capacity < MIN_MAPPED {
            Memory::heap(capacity)?
        } else if capacity < MIN_DEFERRED_FREE {
            // ENOMEM may also mean that there are as many mappings as allowed (vm.max_map_count)
            Memory::mapped(capacity).or_else(|_| Memory::heap(capacity))?
        } else {
            Memory::mapped(capacity)?
        };
        Ok(Self { memory, filled: 0, resident: 0 })
    }

    /// A buffer that starts with `parts` and has at least `capacity` bytes in all.
    ///
    /// # Errors
    /// As [`Buffer::with_capacity`].
    pub fn with_contents(parts: [&[u8]; 2], capacity: usize) -> io::Result<Self> {
        let length = parts[0].len() + parts[1].len();
        let mut buffer = Self::with_capacity(capacity.max(length))?;
        for part in parts {
            buffer.append(part);
        }
        Ok(buffer)
    }

    /// A buffer filled with `capacity` zeros.
    ///
    /// # Errors
    /// As [`Buffer::with_capacity`].
    pub fn zeroed(capacity: usize) -> io::Result<Self> {
        let mut buffer = Self::with_capacity(capacity)?;
        buffer.advance(capacity);
        Ok(buffer)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Heap(bytes) => bytes,
            Memory::Mapped(bytes) => bytes,
        }
    }

    /// The filled part.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        match &self.memory {
            Memory::Heap(bytes) => &bytes[..self.filled],
            Memory::Mapped(bytes) => &bytes[..self.filled],
        }
    }

    /// The filled part, to be changed in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        let filled = self.filled;
        &mut self.bytes_mut()[..filled]
    }

    /// The part behind the filled one.
    pub fn unfilled_mut(&mut self) -> &mut [u8] {
        let filled = self.filled;
        &mut self.bytes_mut()[filled..]
    }

    /// Adds the next `n` bytes to the filled part.
    ///
    /// # Panics
    /// If the buffer has fewer.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.capacity() - self.filled, "advanced beyond the capacity");
        self.filled += n;
        self.resident = self.resident.max(self.filled);
    }

    /// Copies `bytes` behind the filled part.
    ///
    /// # Panics
    /// If they do not fit.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.unfilled_mut()[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// Filled bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether no byte is filled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Bytes that fit in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        match &self.memory {
            Memory::Heap(bytes) => bytes.len(),
            Memory::Mapped(bytes) => bytes.len(),
        }
    }

    /// Whether its memory is mapped, not from the allocator.
    pub(super) fn is_mapped(&self) -> bool {
        matches!(self.memory, Memory::Mapped(_))
    }

    /// Bytes that take memory: those that were written to at any time, also by a user before this one.
    #[must_use]
    pub fn resident(&self) -> usize {
        self.resident
    }

    /// Empties it for another user. It counts as resident in full: its pages may all have been written to.
    #[must_use]
    pub(super) fn recycled(self) -> Self {
        let resident = self.capacity();
        Self { filled: 0, resident, ..self }
    }
}

/// Buffers that are no longer used, and what is charged for them until they are dropped.
#[derive(Debug, Default)]
pub struct Retired {
    // dropped before `charge`: memory that is still there stays charged
    buffers: Vec<Buffer>,
    charge: Option<Charge>,
}

impl Retired {
    /// `buffers`, and the charge that covers them.
    #[must_use]
    pub fn new(buffers: Vec<Buffer>, charge: Option<Charge>) -> Self {
        Self { buffers, charge }
    }

    /// Adds the buffers of `other`, and its charge.
    pub fn append(&mut self, other: Self) {
        self.buffers.extend(other.buffers);
        match (&mut self.charge, other.charge) {
            (Some(charge), Some(more)) => charge.absorb(more),
            (None, more) => self.charge = more,
            (Some(_), None) => {}
        }
    }

    /// Whether there is nothing to free.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty() && self.charge.is_none()
    }

    /// Bytes that take memory.
    #[must_use]
    pub fn resident(&self) -> usize {
        self.buffers.iter().map(Buffer::resident).sum()
    }

    /// All bytes that take memory. Their contents may be destroyed.
    pub fn memory(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.buffers.iter_mut().map(|buffer| {
            let resident = buffer.resident;
            &mut buffer.bytes_mut()[..resident]
        })
    }
}
