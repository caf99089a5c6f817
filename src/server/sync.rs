//! Locks and atomic numbers of the server: its correctness depends on the order in which threads run.
//!
//! Unit tests use the types of `sync_model` in place of those of the standard library, so that a model checker can
//! choose that order. Outside of a model both behave alike.

use std::sync::{MutexGuard, PoisonError};

#[cfg(not(test))]
pub use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, AtomicUsize},
};

#[cfg(test)]
pub use super::sync_model::{AtomicBool, AtomicU64, AtomicUsize, Mutex};

/// Locks `mutex`, also after a thread has panicked with the lock: no invariant here spans a call that can panic.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
