//! Locks and atomic numbers of the parts whose correctness depends on the order in which threads run: [`super::mailbox`],
//! [`super::admission`], [`super::condition`], [`super::lifecycle`].

use std::sync::{MutexGuard, PoisonError};

pub use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, AtomicUsize},
};

/// Locks `mutex`, also after a thread has panicked with the lock: no invariant here spans a call that can panic.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
