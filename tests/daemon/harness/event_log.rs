//! A list of events that one thread fills and others wait for: log lines, notifications, the exit status.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::DEADLINE;

/// Events in the order of their arrival; all clones share one list.
#[derive(Debug)]
pub struct EventLog<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: Vec<T>,
    closed: bool,
}

impl<T> Clone for EventLog<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> EventLog<T> {
    pub fn new() -> Self {
        let state = Mutex::new(State { items: Vec::new(), closed: false });
        Self(Arc::new(Inner { state, changed: Condvar::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, item: T) {
        self.lock().items.push(item);
        self.0.changed.notify_all();
    }

    /// Marks the list as complete.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_all();
    }

    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    pub fn all(&self) -> Vec<T> {
        self.lock().items.clone()
    }

    /// Waits for the first item from index `from` on that is `wanted`; returns the index of the item after it, and the
    /// item. None: [`DEADLINE`] is over, or the list is complete without such an item.
    pub fn wait_for(&self, from: usize, wanted: impl Fn(&T) -> bool) -> Option<(usize, T)> {
        self.wait_within(DEADLINE, from, wanted)
    }

    /// Like [`Self::wait_for`], but waits at most `time`.
    pub fn wait_within(&self, time: Duration, from: usize, wanted: impl Fn(&T) -> bool) -> Option<(usize, T)> {
        let deadline = Instant::now() + time;
        let mut state = self.lock();
        let mut seen = from;
        loop {
            while let Some(item) = state.items.get(seen) {
                seen += 1;
                if wanted(item) {
                    return Some((seen, item.clone()));
                }
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|_| !state.closed)?;
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether the list is complete.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until the list is complete.
    pub fn wait_closed(&self) {
        let state = self.lock();
        let waited = self.0.changed.wait_timeout_while(state, DEADLINE, |state| !state.closed);
        assert!(waited.is_ok_and(|(state, _)| state.closed), "the list is not complete after {DEADLINE:?}");
    }
}

impl<T: Clone + fmt::Display> EventLog<T> {
    /// All items, one per line.
    pub fn text(&self) -> String {
        self.all().into_iter().fold(String::new(), |text, item| text + &item.to_string() + "\n")
    }
}
