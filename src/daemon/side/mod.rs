//! Services beside the workers: metrics and health by HTTP, and the agent-check of haproxy.
//!
//! One thread serves them all, with limits of its own. Nothing of it counts as a client: not in the statistics, the
//! limits or the time of `--exit-idle`. It serves from the start of the server to its end, also while that stops.
//!
//! | file | content |
//! |---|---|
//! | `event_loop`, `listener`, `client` | the thread's loop; a listening socket; one connection |
//! | `http`, `accept` | requests and responses; the choice of a format |
//! | `pages` | what each page is made of |
//! | `families`, `metrics`, `samples` | the table of the metrics, their values, their text |
//! | `process` | the metrics of the process |
//! | `health` | liveness, readiness, the line of the agent-check |

pub mod accept;
mod client;
mod event_loop;
pub mod families;
mod health;
pub mod http;
mod listener;
mod metrics;
mod pages;
mod process;
mod samples;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

pub use listener::SideListener;

use crate::server::Observer;
use crate::sys::{self, EventFd};
use event_loop::{EventLoop, MAX_CLIENTS};
use metrics::Reloads;
use pages::ServerPages;

/// Descriptors of the thread, beside those of the listeners. Derived: its connections, two eventfds, and the directory
/// and a file of /proc that are read together.
pub const DESCRIPTORS: u64 = MAX_CLIENTS as u64 + 4;

/// The services, and the thread that serves them if there is a listener.
#[derive(Debug)]
pub struct SideServices {
    reloads: Arc<Reloads>,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    handle: JoinHandle<()>,
    listeners: Arc<[SideListener]>,
    stop: Arc<EventFd>,
}

impl SideServices {
    /// Serves on these listeners, about the server of this observer.
    ///
    /// # Errors
    /// The system refuses an eventfd or the thread.
    pub fn start(listeners: Vec<SideListener>, observer: Observer) -> io::Result<Self> {
        let reloads = Arc::new(Reloads::default());
        if listeners.is_empty() {
            return Ok(Self { reloads, thread: None });
        }
        let (stop, on_ack) = (Arc::new(EventFd::new()?), Arc::new(EventFd::new()?));
        observer.notify_of_heartbeats(Arc::clone(&on_ack));
        let pages = ServerPages::new(observer, Arc::clone(&reloads));
        let listeners: Arc<[SideListener]> = listeners.into();
        let event_loop = EventLoop::new(Arc::clone(&listeners), pages, Arc::clone(&stop), on_ack);
        let run = move || {
            sys::block_all_signals();
            event_loop.run();
        };
        let handle = thread::Builder::new().name("side-services".into()).spawn(run)?;
        Ok(Self { reloads, thread: Some(Thread { handle, listeners, stop }) })
    }

    /// The listeners.
    #[must_use]
    pub fn listeners(&self) -> &[SideListener] {
        self.thread.as_ref().map_or(&[], |thread| &thread.listeners)
    }

    /// Counts a reload.
    pub fn count_reload(&self, has_succeeded: bool) {
        self.reloads.count(has_succeeded);
    }

    /// Ends the thread.
    pub fn stop(self) {
        if let Some(Thread { handle, stop, .. }) = self.thread {
            stop.notify();
            // a panic (where panics unwind) has left its message to the panic hook
            let _ = handle.join();
        }
    }
}
