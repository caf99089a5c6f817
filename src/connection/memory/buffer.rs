//! Memory for what has arrived and what is owed.
//!
//! A [`Buffer`] has a fixed capacity. Large ones are mapped: pages that nothing was written to cost nothing, so memory
//! grows with the bytes that arrive, not with the length that was announced, and all of it goes back to the system at
//! once. Allocation of a buffer of any size fails with an error, never by ending the process.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use memmap2::MmapMut;

use super::budget::Lease;
use crate::connection::RETIRE_FROM;

/// From this capacity on a buffer is mapped, in bytes: what a crowd of clients leaves behind in the allocator, the
/// allocator keeps; what was mapped goes back. One page.
const MAP_FROM: usize = 4 * 1024;

/// Mapped buffers have a multiple of this capacity, so that one fits again for a request of about the same length.
const GRANULE: usize = 4 * 1024;
/// Bytes that a [`Pool`] keeps at most.
pub const POOL: usize = 8 * 1024 * 1024;
/// Memory that no connection and no thread may take, in bytes, where the process's memory is limited ([`keep_headroom`]), so
/// that small allocations, which cannot fail with an error, go on. Derived: the log may take 3 MiB more, and malloc(3) asks
/// for 132 KiB at once.
const HEADROOM: usize = 4 * 1024 * 1024;
/// What a buffer leaves beside that: so buffers do not keep connections out that need none. Chosen.
const BUFFER_HEADROOM: usize = 4 * 1024 * 1024;

/// Asks how many bytes the process may still take; set only where its memory is limited.
static BYTES_LEFT: OnceLock<fn() -> Option<usize>> = OnceLock::new();
/// One thread at a time looks at what is left and takes of it.
static TAKING: Mutex<()> = Mutex::new(());

/// In a process whose memory is limited (`bytes_left` returns a number): from now on no buffer is allocated and no connection
/// accepted that would take the last of it, because an allocation that fails elsewhere would end the process.
pub fn keep_headroom(bytes_left: fn() -> Option<usize>) {
    if bytes_left().is_some() {
        BYTES_LEFT.get_or_init(|| bytes_left);
    }
}

/// Whether `bytes` more can be taken; costs some system calls where memory is limited, else nothing.
#[must_use]
pub fn has_headroom(bytes: usize) -> bool {
    let left = BYTES_LEFT.get().and_then(|bytes_left| bytes_left());
    left.is_none_or(|left| left >= bytes.saturating_add(HEADROOM))
}

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

    /// Takes a buffer back if it is mapped and there is room; returns it otherwise.
    pub fn give(&mut self, buffer: Buffer) -> Option<Buffer> {
        match buffer.memory {
            Memory::Mapped(memory) if self.bytes + memory.len() <= POOL => {
                self.bytes += memory.len();
                self.spare.push(memory);
                None
            }
            memory => Some(Buffer { memory, ..buffer }),
        }
    }

    /// Takes out all that it keeps.
    pub fn clear(&mut self) -> Retired {
        self.bytes = 0;
        let buffers = self.spare.drain(..).map(|memory| {
            let touched = memory.len();
            Buffer { memory: Memory::Mapped(memory), filled: 0, touched }
        });
        Retired { buffers: buffers.collect(), lease: None }
    }
}

/// Buffers that nobody needs any more, and what is charged for them until they are dropped.
#[derive(Debug, Default)]
pub struct Retired {
    // dropped before `lease`: memory that is still there stays charged
    buffers: Vec<Buffer>,
    lease: Option<Lease>,
}

impl Retired {
    /// `buffers`, and the lease that covers them.
    #[must_use]
    pub fn new(buffers: Vec<Buffer>, lease: Option<Lease>) -> Self {
        Self { buffers, lease }
    }

    /// Adds buffers, with their leases where they have any.
    pub fn append(&mut self, other: Self) {
        self.buffers.extend(other.buffers);
        match (&mut self.lease, other.lease) {
            (Some(lease), Some(more)) => lease.absorb(more),
            (None, more) => self.lease = more,
            (Some(_), None) => {}
        }
    }

    /// The memory that it takes, in bytes.
    #[must_use]
    pub fn footprint(&self) -> usize {
        self.buffers.iter().map(Buffer::footprint).sum()
    }

    /// All memory that was written to; what it holds is of no interest any more.
    pub fn memory(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.buffers.iter_mut().map(|buffer| {
            let touched = buffer.touched;
            &mut buffer.bytes()[..touched]
        })
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
    /// An empty buffer for `capacity` bytes.
    ///
    /// # Errors
    /// What mmap(2) says when there is no memory.
    pub fn with_capacity(capacity: usize) -> io::Result<Self> {
        let _taking = BYTES_LEFT.get().map(|_| TAKING.lock().unwrap_or_else(PoisonError::into_inner));
        if !has_headroom(capacity.saturating_add(BUFFER_HEADROOM)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let memory = if capacity < MAP_FROM {
            Memory::heap(capacity)?
        } else if capacity < RETIRE_FROM {
            // ENOMEM may also mean that there are as many mappings as allowed (vm.max_map_count)
            Memory::mapped(capacity).or_else(|_| Memory::heap(capacity))?
        } else {
            Memory::mapped(capacity)?
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
