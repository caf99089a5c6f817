//! Memory that is kept free where the process's memory is limited: an allocation that cannot fail with an error ends
//! the process, so buffers and connections do not take the last of it.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Memory that no connection and no thread may take, in bytes, so that small allocations succeed. Derived: the log may
/// take 3 MiB more, and malloc(3) asks for 132 KiB at once.
const HEADROOM: usize = 4 * 1024 * 1024;

/// Returns how many bytes the process may still take; set only where its memory is limited.
static BYTES_LEFT: OnceLock<fn() -> Option<usize>> = OnceLock::new();
/// Held by a thread from its look at what is left until it has taken of it.
static TAKING: Mutex<()> = Mutex::new(());

/// Keeps headroom from now on, if the process's memory is limited: if `bytes_left` returns a number.
pub fn keep_headroom(bytes_left: fn() -> Option<usize>) {
    if bytes_left().is_some() {
        BYTES_LEFT.get_or_init(|| bytes_left);
    }
}

/// Whether `bytes` more can be taken. Costs some system calls where memory is limited, else nothing.
#[must_use]
pub fn has_headroom(bytes: usize) -> bool {
    let left = BYTES_LEFT.get().and_then(|bytes_left| bytes_left());
    left.is_none_or(|left| left >= bytes.saturating_add(HEADROOM))
}

/// Keeps other threads from taking memory while the guard lives, where memory is limited.
pub(super) fn lock() -> Option<MutexGuard<'static, ()>> {
    BYTES_LEFT.get().map(|_| TAKING.lock().unwrap_or_else(PoisonError::into_inner))
}
