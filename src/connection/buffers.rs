//! Memory for what has arrived and what is owed.
//!
//! A [`Buffer`] has a fixed capacity. Large ones are mapped: pages that nothing was written to cost nothing, so memory
//! grows with the bytes that arrive, not with the length that was announced, and all of it goes back to the system at
//! once. Allocation of a large buffer fails with an error, never by ending the process.

use std::io;

use memmap2::MmapMut;

/// From this capacity on a buffer is mapped, in bytes.
const MAP_FROM: usize = 64 * 1024;

/// Mapped buffers have a multiple of this capacity, so that one fits again for a request of about the same length.
const GRANULE: usize = 64 * 1024;
/// Bytes that a [`Pool`] keeps at most.
pub const POOL: usize = 8 * 1024 * 1024;

/// Mapped memory that was used and will be again: the system takes longer to clear fresh pages than we to fill them.
#[derive(Debug, Default)]
pub struct Pool {
    spare: Vec<MmapMut>,
    bytes: usize,
}

impl Pool {
    /// An empty buffer for `capacity` bytes or more.
    ///
    /// # Errors
    /// What mmap(2) says when there is no memory.
    pub fn take(&mut self, capacity: usize) -> io::Result<Buffer> {
        if capacity < MAP_FROM {
            return Buffer::with_capacity(capacity);
        }
        let capacity = capacity.next_multiple_of(GRANULE);
        // the one that came back last is the one that the processor's cache remembers; all of it counts as in use, so
        // one that is much too large is left alone
        let fits = |spare: &MmapMut| (capacity..=2 * capacity).contains(&spare.len());
        let Some(found) = self.spare.iter().rposition(fits) else {
            return Buffer::with_capacity(capacity);
        };
        let memory = self.spare.remove(found);
        self.bytes -= memory.len();
        let touched = memory.len();
        Ok(Buffer { memory: Memory::Mapped(memory), filled: 0, touched })
    }

    /// A buffer for `capacity` bytes, or as many as `bytes` are, that starts with `bytes`.
    pub fn holding(&mut self, bytes: &[u8], capacity: usize) -> io::Result<Buffer> {
        let mut buffer = self.take(capacity.max(bytes.len()))?;
        buffer.spare()[..bytes.len()].copy_from_slice(bytes);
        buffer.fill(bytes.len());
        Ok(buffer)
    }

    /// Takes a buffer back: keeps it if it is mapped and there is room.
    pub fn give(&mut self, buffer: Buffer) {
        if let Memory::Mapped(memory) = buffer.memory {
            if self.bytes + memory.len() <= POOL {
                self.bytes += memory.len();
                self.spare.push(memory);
            }
        }
    }

    /// Gives all of it back to the system.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Bytes with a fixed capacity, filled from the front.
#[derive(Debug, Default)]
pub struct Buffer {
    memory: Memory,
    filled: usize,
    touched: usize,
}

#[derive(Debug)]
enum Memory {
    Heap(Box<[u8]>),
    Mapped(MmapMut),
}

impl Default for Memory {
    fn default() -> Self {
        Self::Heap(Box::default())
    }
}

impl Buffer {
    /// An empty buffer for `capacity` bytes.
    ///
    /// # Errors
    /// What mmap(2) says when there is no memory.
    pub fn with_capacity(capacity: usize) -> io::Result<Self> {
        let memory = if capacity < MAP_FROM {
            Memory::Heap(vec![0; capacity].into_boxed_slice())
        } else {
            Memory::Mapped(MmapMut::map_anon(capacity)?)
        };
        Ok(Self { memory, filled: 0, touched: 0 })
    }

    /// A buffer of `capacity` bytes, or as many as `parts` have, that starts with `parts`.
    pub fn holding(parts: [&[u8]; 2], capacity: usize) -> io::Result<Self> {
        let length = parts[0].len() + parts[1].len();
        let mut buffer = Self::with_capacity(capacity.max(length))?;
        for part in parts {
            buffer.spare()[..part.len()].copy_from_slice(part);
            buffer.fill(part.len());
        }
        Ok(buffer)
    }

    /// A buffer that holds `capacity` zeros.
    pub fn zeroed(capacity: usize) -> io::Result<Self> {
        let mut buffer = Self::with_capacity(capacity)?;
        buffer.fill(capacity);
        Ok(buffer)
    }

    fn bytes(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Heap(bytes) => bytes,
            Memory::Mapped(bytes) => bytes,
        }
    }

    /// What it holds, to look at.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match &self.memory {
            Memory::Heap(bytes) => &bytes[..self.filled],
            Memory::Mapped(bytes) => &bytes[..self.filled],
        }
    }

    /// How many bytes it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        match &self.memory {
            Memory::Heap(bytes) => bytes.len(),
            Memory::Mapped(bytes) => bytes.len(),
        }
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// What it holds.
    pub fn held(&mut self) -> &mut [u8] {
        let filled = self.filled;
        &mut self.bytes()[..filled]
    }

    /// The room behind what it holds.
    pub fn spare(&mut self) -> &mut [u8] {
        let filled = self.filled;
        &mut self.bytes()[filled..]
    }

    /// The first `n` bytes of the spare room are held from now on.
    ///
    /// # Panics
    /// If there is less room.
    pub fn fill(&mut self, n: usize) {
        assert!(n <= self.capacity() - self.filled, "filled more than there is room for");
        self.filled += n;
        self.touched = self.touched.max(self.filled);
    }

    /// How many bytes of memory it takes: those that were written to at any time, by a user before this one too.
    #[must_use]
    pub fn footprint(&self) -> usize {
        self.touched
    }
}
