//! Model checks: shuttle runs the threads of each test in many orders, switching at every lock and atomic operation,
//! and fails where all that are left wait for each other: a lost wake-up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use shuttle::thread;

use super::admission::{Admission, Slot};
use super::channels::Channels;
use super::clock::Clock;
use super::config::ServerLimits;
use super::lifecycle::Lifecycle;
use super::message::WorkerMessage;
use super::notifier::Notifier;
use super::sync_model::check;

/// Orders that are tried of each model. Chosen: all models together take a few seconds; errors that were put in on
/// purpose (no second look at the number of connections, the notifier cleared outside of the lock) show within this
/// number.
const ORDERS: usize = 500;

/// A notifier without a descriptor; waiting for it is a blocking call that the model checker sees.
#[derive(Debug, Default)]
struct Flag {
    is_set: shuttle::sync::Mutex<bool>,
    changed: shuttle::sync::Condvar,
}

impl Flag {
    fn wait(&self) {
        let is_set = self.is_set.lock().expect("no panic");
        drop(self.changed.wait_while(is_set, |is_set| !*is_set).expect("no panic"));
    }
}

impl Notifier for Flag {
    fn notify(&self) {
        *self.is_set.lock().expect("no panic") = true;
        self.changed.notify_all();
    }

    fn clear(&self) {
        *self.is_set.lock().expect("no panic") = false;
    }
}

fn channels(workers: usize) -> Channels<Flag> {
    Channels::with_notifiers((0..workers).map(|_| Flag::default()).collect(), Flag::default())
}

/// Waits as a worker does, and takes the messages.
fn wait_for_messages(channels: &Channels<Flag>, worker: usize) -> Vec<WorkerMessage> {
    channels.mailbox(worker).notifier().wait();
    channels.mailbox(worker).drain()
}

fn is_slots_freed(message: &WorkerMessage) -> bool {
    matches!(message, WorkerMessage::SlotsFreed)
}

/// Runs `body` on a thread for each worker, and waits for all of them.
fn run_workers(workers: usize, body: impl Fn(usize) + Send + Sync + 'static) {
    let body = Arc::new(body);
    let threads: Vec<_> = (0..workers)
        .map(|worker| {
            let body = Arc::clone(&body);
            thread::spawn(move || body(worker))
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

#[test]
fn a_waiting_worker_gets_every_message() {
    check(ORDERS, || {
        let channels = channels(1);
        let senders: Vec<_> = (0..2u64)
            .map(|sender| {
                let channels = channels.clone();
                thread::spawn(move || {
                    for n in 0..2 {
                        assert!(channels.send(0, WorkerMessage::Heartbeat(2 * sender + n)).is_ok());
                    }
                })
            })
            .collect();
        let mut seen = Vec::new();
        while seen.len() < 4 {
            for message in wait_for_messages(&channels, 0) {
                let WorkerMessage::Heartbeat(n) = message else { panic!("{message:?} was not sent") };
                seen.push(n);
            }
        }
        let of_sender = |sender: u64| seen.iter().copied().filter(|n| n / 2 == sender).collect::<Vec<u64>>();
        assert_eq!([of_sender(0), of_sender(1)], [vec![0, 1], vec![2, 3]], "each once and in order");
        for sender in senders {
            sender.join().expect("no panic");
        }
    });
}

#[test]
fn a_reminder_is_received_after_each_time_it_is_sent() {
    check(ORDERS, || {
        let channels = channels(1);
        let sent = Arc::new(super::sync::AtomicUsize::new(0));
        let sender = {
            let (channels, sent) = (channels.clone(), Arc::clone(&sent));
            thread::spawn(move || {
                for n in 1..=3 {
                    sent.store(n, Ordering::SeqCst);
                    assert!(channels.send(0, WorkerMessage::SlotsFreed).is_ok());
                }
            })
        };
        // a reminder that was merged into an earlier one is received after the event that caused it
        let mut seen = 0;
        while seen < 3 {
            assert!(wait_for_messages(&channels, 0).iter().any(is_slots_freed));
            seen = sent.load(Ordering::SeqCst);
        }
        sender.join().expect("no panic");
    });
}

#[test]
fn each_message_to_a_worker_that_ends_is_received_or_returned_once() {
    check(ORDERS, || {
        let channels = channels(1);
        let sender = {
            let channels = channels.clone();
            thread::spawn(move || (0..3).filter(|n| channels.send(0, WorkerMessage::Heartbeat(*n)).is_err()).count())
        };
        let received = channels.mailbox(0).drain().len() + channels.mailbox(0).close().len();
        assert_eq!(received + sender.join().expect("no panic"), 3);
    });
}

/// Workers that each serve two connections, one at a time, with fewer slots than workers.
fn serve_at_the_limit(workers: usize, slots: usize) {
    let limits = ServerLimits { max_connections: Some(slots), ..ServerLimits::UNLIMITED };
    let channels = channels(workers);
    let admission = Admission::new(workers, &limits, Clock::start(), channels.clone());
    // not seen by the model checker: it must not switch between the connection and its count
    let open = AtomicUsize::new(0);
    run_workers(workers, move |worker| {
        let mut served = 0;
        while served < 2 {
            if admission.take_slot() == Slot::AtLimit {
                while !wait_for_messages(&channels, worker).iter().any(is_slots_freed) {}
                continue;
            }
            let chosen = admission.choose_worker(worker);
            assert!(open.fetch_add(1, Ordering::SeqCst) < slots, "more than {slots} connections");
            thread::yield_now();
            open.fetch_sub(1, Ordering::SeqCst);
            admission.connection_closed(chosen);
            served += 1;
        }
    });
}

#[test]
fn workers_at_the_limit_are_woken_when_a_slot_is_free() {
    check(ORDERS, || serve_at_the_limit(3, 1));
    check(ORDERS, || serve_at_the_limit(3, 2));
}

#[test]
fn a_worker_at_the_limit_is_woken_when_an_accept_fails() {
    check(ORDERS, || {
        let limits = ServerLimits { max_connections: Some(1), ..ServerLimits::UNLIMITED };
        let channels = channels(2);
        let admission = Admission::new(2, &limits, Clock::start(), channels.clone());
        run_workers(2, move |worker| {
            while admission.take_slot() == Slot::AtLimit {
                while !wait_for_messages(&channels, worker).iter().any(is_slots_freed) {}
            }
            admission.release_slot();
        });
    });
}

#[test]
fn a_worker_at_the_limit_is_woken_when_the_limit_is_raised() {
    check(ORDERS, || {
        let limits = |slots| ServerLimits { max_connections: Some(slots), ..ServerLimits::UNLIMITED };
        let channels = channels(1);
        let admission = Arc::new(Admission::new(1, &limits(0), Clock::start(), channels.clone()));
        let raise = {
            let admission = Arc::clone(&admission);
            thread::spawn(move || admission.set_limits(&limits(1)))
        };
        while admission.take_slot() == Slot::AtLimit {
            while !wait_for_messages(&channels, 0).iter().any(is_slots_freed) {}
        }
        raise.join().expect("no panic");
    });
}

#[test]
fn no_connection_is_lost_and_no_worker_stays_when_all_drain() {
    check(ORDERS, || {
        let channels = channels(2);
        let lifecycle = Lifecycle::new(2, channels.clone());
        let served = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&served);
        run_workers(2, move |worker| {
            // a connection that this worker accepted, and that the other one is to serve
            let handed_over = channels.send(1 - worker, WorkerMessage::Heartbeat(worker as u64));
            assert!(handed_over.is_ok(), "a worker ended while another could still accept");
            lifecycle.worker_stopped_accepting();
            while lifecycle.any_accepting() || !channels.mailbox(worker).is_empty() {
                let messages = wait_for_messages(&channels, worker).into_iter();
                let connections = messages.filter(|message| !is_slots_freed(message));
                all.lock().expect("no panic").extend(connections.map(|message| format!("{message:?}")));
            }
            assert!(channels.mailbox(worker).close().iter().all(is_slots_freed));
        });
        assert_eq!(served.lock().expect("no panic").len(), 2);
    });
}
