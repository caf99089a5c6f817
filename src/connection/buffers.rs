//! Memory for what has arrived and what is owed.
//!
//! A [`Buffer`] has a fixed capacity. Large ones are mapped: pages that nothing was written to cost nothing, so memory
//! grows with the bytes that arrive, not with the length that was announced, and all of it goes back to the system at
//! once. Allocation of a large buffer fails with an error, never by ending the process.

use std::io;

use memmap2::MmapMut;

/// From this capacity on a buffer is mapped, in bytes.
const MAP_FROM: usize = 64 * 1024;

/// Bytes with a fixed capacity, filled from the front.
#[derive(Debug, Default)]
pub struct Buffer {
    memory: Memory,
    filled: usize,
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
        Ok(Self { memory, filled: 0 })
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
    }
}
