//! A thread that gives large memory back to the system, because that takes longer than an event may.
//!
//! munmap(2) of memory that was written to costs about 80 us for each MiB: a message of 128 MiB would block a worker
//! for 10 ms. The budget gets back what a [`Retired`] value was charged when its memory has been freed.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use log::debug;

use super::shared_memory::SharedMemory;
use super::sync::{Mutex, lock};
use crate::connection::{MIN_DEFERRED_FREE, Retired};
use crate::sys;

/// Bytes of memory given back by one system call. Chosen: other threads that map memory wait for the lock of the
/// address space meanwhile, about 80 us.
const RELEASE_SIZE: usize = 1024 * 1024;

/// A task of the thread.
#[derive(Debug)]
enum Task {
    /// Free this memory.
    Free(Retired),
    /// Have the allocator give back what it keeps.
    TrimHeap,
}

/// Starts the thread with the first task, and sends it tasks; the thread ends when this is dropped.
#[derive(Debug)]
pub struct Reclaimer {
    memory: Arc<SharedMemory>,
    sender: Mutex<Option<Sender<Task>>>,
}

impl Reclaimer {
    /// A reclaimer without a thread yet, which grants the memory that it frees to connections that wait for it.
    #[must_use]
    pub fn new(memory: Arc<SharedMemory>) -> Self {
        Self { memory, sender: Mutex::default() }
    }

    /// Frees `retired`: on the reclaim thread if it is large, otherwise (or if no thread can be started) on this one.
    pub fn free(&self, retired: Retired) {
        if retired.resident() >= MIN_DEFERRED_FREE {
            self.submit(Task::Free(retired));
        }
    }

    /// Gives back what the allocator keeps of the small allocations of connections that have closed, if there can be a
    /// thread for that.
    pub fn trim_heap(&self) {
        self.submit(Task::TrimHeap);
    }

    fn submit(&self, task: Task) {
        let mut sender = lock(&self.sender);
        if sender.is_none() {
            *sender = start(Arc::clone(&self.memory));
        }
        if let Some(sender) = sender.as_ref() {
            // returns the task, and so frees its memory, if the thread has panicked
            let _ = sender.send(task);
        }
    }
}

fn start(memory: Arc<SharedMemory>) -> Option<Sender<Task>> {
    let (sender, receiver) = mpsc::channel();
    let run = move || {
        sys::block_all_signals();
        run(&receiver, &memory);
    };
    match thread::Builder::new().name("reclaim".into()).spawn(run) {
        Ok(_) => Some(sender),
        Err(error) => {
            debug!("cannot start a thread that frees memory: {error}; the workers free it");
            None
        }
    }
}

fn run(receiver: &Receiver<Task>, memory: &SharedMemory) {
    for task in receiver {
        match task {
            Task::Free(retired) => free(retired),
            Task::TrimHeap => sys::trim_heap(),
        }
        memory.grant_released();
    }
}

fn free(mut retired: Retired) {
    for piece in retired.memory().flat_map(|memory| memory.chunks_mut(RELEASE_SIZE)) {
        sys::release_pages(piece);
    }
    drop(retired);
}
