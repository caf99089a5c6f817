//! A thread that gives large memory back to the system, because that takes longer than an event may.
//!
//! munmap(2) of memory that was written to costs about 80 us for each MiB: a message of 128 MiB would stop a worker for 10 ms.
//! What a [`Retired`] value is charged to the budget comes back when its memory has gone.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError, Weak};
use std::thread;

use log::debug;

use super::shared::Shared;
use crate::connection::Retired;
use crate::sys;

/// Memory given back at once, in bytes: other threads that map memory wait no longer than for one of these.
const MAX_BUFFERED_WRITE: usize = 1024 * 1024;

/// What there is to do.
#[derive(Debug)]
enum Work {
    /// Free this.
    Free(Retired),
    /// Have the allocator give back what it keeps.
    Trim,
}

/// The thread, once there was something for it to do.
#[derive(Debug, Default)]
pub struct Reclaimer {
    sender: Mutex<Option<Sender<Work>>>,
}

impl Reclaimer {
    /// Frees `retired` on the thread; here, if there can be no thread.
    pub fn free(&self, retired: Retired, shared: &Weak<Shared>) {
        self.submit(Work::Free(retired), shared);
    }

    /// Gives back what the allocator keeps of a crowd's small allocations, on the thread if there can be one.
    pub fn trim(&self, shared: &Weak<Shared>) {
        self.submit(Work::Trim, shared);
    }

    fn submit(&self, work: Work, shared: &Weak<Shared>) {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.is_none() {
            *sender = start(shared.clone());
        }
        if let Some(sender) = sender.as_ref() {
            // gives the work back, and so frees its memory, if the thread has panicked
            let _ = sender.send(work);
        }
    }
}

fn start(shared: Weak<Shared>) -> Option<Sender<Work>> {
    let (sender, receiver) = mpsc::channel();
    match thread::Builder::new().name("reclaim".into()).spawn(move || run(&receiver, &shared)) {
        Ok(_) => Some(sender),
        Err(error) => {
            debug!("cannot start a thread that frees memory: {error}; the workers free it");
            None
        }
    }
}

/// Ends with the server.
fn run(receiver: &Receiver<Work>, shared: &Weak<Shared>) {
    for work in receiver {
        match work {
            Work::Free(retired) => free(retired),
            Work::Trim => sys::trim_heap(),
        }
        if let Some(shared) = shared.upgrade() {
            shared.serve_waiting();
        }
    }
}

fn free(mut retired: Retired) {
    for piece in retired.memory().flat_map(|memory| memory.chunks_mut(MAX_BUFFERED_WRITE)) {
        sys::release_pages(piece);
    }
    drop(retired);
}
