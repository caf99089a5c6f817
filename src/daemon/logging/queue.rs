//! The queue of lines for the log thread. It is bounded, and its lock is never held during a write.
//!
//! If the queue is full, a line is dropped and counted. The log thread takes all lines at once, and lines are dropped
//! only while the queue is full: so they come after the lines that are taken next, and before any that is added later.
//! The number in [`Batch::lost`] therefore belongs behind the lines of its batch.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::line::{Line, Severity};
use super::message::Message;

/// The capacity of the queue, in bytes, including what the queue needs for each line ([`LINE_OVERHEAD`]). A batch that
/// the log thread is writing may occupy as much again.
///
/// Chosen: the lines of about 10,000 requests at `-vv`, or 6,000 with key-value pairs. Measured with it on two
/// processors, without pairs (`retort bench --depth 64`, the log in a file): no line is lost at 350,000 requests per
/// second, a sixth of the lines at 700,000.
pub const CAPACITY: usize = 3 << 19;

/// The memory of a line in addition to its message, in bytes. Derived: the capacity of a [`Vec`] that grows is at most
/// twice what it contains, and the allocator adds 8 bytes to each message and rounds up to 16 (glibc's malloc).
const LINE_OVERHEAD: usize = 2 * size_of::<Line>() + 16;

/// The lines that the log thread takes from the queue at once.
#[derive(Debug)]
pub struct Batch {
    /// The lines, oldest first; never empty.
    pub lines: Vec<Line>,
    /// Lines that were dropped after these.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    /// The memory of the lines.
    bytes: usize,
    /// Lines dropped since the last batch was taken.
    lost: u64,
    /// Lines dropped since the start, by the queue or by the log thread.
    dropped: u64,
    /// Lines added since the start.
    added: u64,
    /// Lines that the log thread has finished with since the start.
    finished: u64,
    /// The log thread is waiting for a line.
    sleeping: bool,
}

/// The queue between the threads that log and the one that writes.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    added: Condvar,
    finished: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, or drops and counts it if the queue is full.
    pub fn push(&self, severity: Severity, message: Message) {
        let size = LINE_OVERHEAD + message.length();
        let mut state = self.lock();
        if state.bytes + size > CAPACITY {
            state.lost += 1;
            state.dropped += 1;
            return;
        }
        state.bytes += size;
        state.added += 1;
        // under the lock, so that the times in the log are in order
        state.lines.push(Line { time: SystemTime::now(), severity, message });
        let wake = mem::take(&mut state.sleeping);
        drop(state);
        if wake {
            self.added.notify_one();
        }
    }

    /// Takes all lines; waits if there is none.
    pub fn take(&self) -> Batch {
        let mut state = self.lock();
        while state.lines.is_empty() {
            state.sleeping = true;
            state = self.added.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes = 0;
        Batch { lines: mem::take(&mut state.lines), lost: mem::take(&mut state.lost) }
    }

    /// Reports that the log thread has written a batch of `lines` lines, except `dropped` of them.
    pub fn finish(&self, lines: usize, dropped: u64) {
        let mut state = self.lock();
        state.finished += lines as u64;
        state.dropped += dropped;
        drop(state);
        self.finished.notify_all();
    }

    /// Waits until the log thread has finished every line that was added before this call, at most for `timeout`; false
    /// after the timeout.
    pub fn flush(&self, timeout: Duration) -> bool {
        let state = self.lock();
        let goal = state.added;
        let waited = self.finished.wait_timeout_while(state, timeout, |state| state.finished < goal);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// The number of lines dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn texts(batch: &Batch) -> Vec<&str> {
        batch.lines.iter().map(|line| line.message.text()).collect()
    }

    #[test]
    fn lines_are_taken_in_order_and_all_at_once() {
        let queue = Queue::default();
        queue.push(Severity::Info, Message::new("first"));
        queue.push(Severity::Info, Message::new("second"));
        let batch = queue.take();
        assert_eq!(texts(&batch), ["first", "second"]);
        assert!(batch.lines[0].time <= batch.lines[1].time);
        queue.push(Severity::Error, Message::new("third"));
        assert_eq!(texts(&queue.take()), ["third"]);
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn dropped_lines_are_counted_with_the_lines_before_them() {
        let queue = Queue::default();
        let room = CAPACITY / (LINE_OVERHEAD + 900);
        (0..room + 7).for_each(|_| queue.push(Severity::Debug, Message::new("x".repeat(900))));
        assert_eq!(queue.dropped(), 7);
        let batch = queue.take();
        assert_eq!((batch.lines.len(), batch.lost), (room, 7));
        queue.push(Severity::Debug, Message::new("after"));
        let batch = queue.take();
        assert_eq!((texts(&batch), batch.lost), (vec!["after"], 0));
        queue.finish(room + 1, 2);
        assert_eq!(queue.dropped(), 9);
    }

    /// Includes short lines, for which the list needs more memory than the texts.
    #[test]
    fn lines_occupy_at_most_the_capacity() {
        for length in [0, 10, 20, 900] {
            let queue = Queue::default();
            while queue.dropped() == 0 {
                queue.push(Severity::Debug, Message::new("x".repeat(length)));
            }
            let lines = queue.take().lines;
            let texts: usize = lines.iter().map(|line| line.message.length()).sum();
            let held = lines.capacity() * size_of::<Line>() + texts;
            assert!(held <= CAPACITY, "{held} bytes for {} lines of {length}", lines.len());
        }
    }

    #[test]
    fn flush_waits_for_earlier_lines() {
        let queue = Queue::default();
        assert!(queue.flush(Duration::ZERO), "there is nothing to wait for");
        queue.push(Severity::Info, Message::new("line"));
        assert!(!queue.flush(Duration::ZERO));
        thread::scope(|scope| {
            let flushed = scope.spawn(|| queue.flush(Duration::MAX));
            queue.finish(queue.take().lines.len(), 0);
            assert!(flushed.join().expect("no panic"));
        });
    }

    #[test]
    fn waiting_log_thread_is_woken() {
        let queue = Queue::default();
        thread::scope(|scope| {
            let taker = scope.spawn(|| (0..100).map(|_| queue.take().lines.len()).sum::<usize>());
            // one line for each take, and the next one when the thread waits again
            for _ in 0..100 {
                while !queue.lock().sleeping {
                    thread::yield_now();
                }
                queue.push(Severity::Info, Message::new(""));
            }
            assert_eq!(taker.join().expect("no panic"), 100);
        });
    }
}
