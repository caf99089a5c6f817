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
use crate::kernel;

/// Memory given back at once, in bytes: other threads that map memory wait no longer than for one of these.
const PIECE: usize = 1024 * 1024;

/// The thread, once there was something for it to do.
#[derive(Debug, Default)]
pub struct Reclaimer {
    sender: Mutex<Option<Sender<Retired>>>,
}

impl Reclaimer {
    /// Frees `retired` on the thread; here, if there can be no thread.
    pub fn free(&self, retired: Retired, shared: &Weak<Shared>) {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.is_none() {
            *sender = start(shared.clone());
        }
        if let Some(sender) = sender.as_ref() {
            // gives `retired` back, and so frees it, if the thread has panicked
            let _ = sender.send(retired);
        }
    }
}

fn start(shared: Weak<Shared>) -> Option<Sender<Retired>> {
    let (sender, receiver) = mpsc::channel();
    match thread::Builder::new().name("reclaim".into()).spawn(move || work(&receiver, &shared)) {
        Ok(_) => Some(sender),
        Err(error) => {
            debug!("cannot start a thread that frees memory: {error}; the workers do it");
            None
        }
    }
}

/// Ends with the server.
fn work(receiver: &Receiver<Retired>, shared: &Weak<Shared>) {
    for mut retired in receiver {
        for piece in retired.memory().flat_map(|memory| memory.chunks_mut(PIECE)) {
            kernel::release_pages(piece);
        }
        drop(retired);
        if let Some(shared) = shared.upgrade() {
            shared.serve_waiting();
        }
    }
}
