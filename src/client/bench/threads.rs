//! A load that several threads make: each has a part of its connections, of its requests and of its rate.
//!
//! Guarantees: all parts begin together; a signal, an error or a panic of one ends all; the monitor learns of an interval
//! when the last part has told it, and only in the thread that has called [`run`].

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::thread::{self, Scope, ScopedJoinHandle};

use super::generator::LoadGenerator;
use super::load::Load;
use super::measurement::Measurement;
use super::monitor::{Monitor, RunState};
use super::series::Interval;
use super::stop::StopEvent;
use super::timeline::BenchPhase;
use crate::sys::{EventFd, Interrupts, wait_readable};

/// What a load ends with: `None` if a signal has ended it before the measurement began.
type Outcome = io::Result<Option<Measurement>>;

/// Makes a load; returns `None` if a signal has ended it before the measurement began.
///
/// # Errors
/// A poller, a timer or a thread cannot be made, for example.
pub fn run(load: &Load<'_>, interrupts: &Interrupts, monitor: &dyn Monitor) -> Outcome {
    if load.threads == 1 {
        return LoadGenerator::new(load.clone(), interrupts, monitor)?.run();
    }
    let shared = Shared { stops: stop_events(load.threads)?, wake: EventFd::new()?, gate: RwLock::new(()) };
    let (sender, events) = mpsc::channel();
    thread::scope(|scope| {
        let closed = shared.gate.write().unwrap_or_else(PoisonError::into_inner);
        let mut coordinator = Coordinator::new(&shared, closed, monitor);
        let mut threads = Vec::with_capacity(load.threads);
        let started = (0..load.threads).try_for_each(|index| {
            threads.push(start(scope, load.part(index), &shared, sender.clone())?);
            Ok(())
        });
        let watched = started.and_then(|()| coordinator.watch(interrupts, &events));
        coordinator.stop();
        let interrupted = coordinator.interrupted;
        drop(coordinator);
        let measured = merge(threads);
        watched?;
        // To a part, the end of the others is a request to stop like a signal.
        Ok(measured?.map(|sum| sum.with_interrupted(interrupted)))
    })
}

fn stop_events(parts: usize) -> io::Result<Vec<StopEvent>> {
    (0..parts).map(|_| StopEvent::new()).collect()
}

/// What all threads use.
#[derive(Debug)]
struct Shared {
    /// Ends each part.
    stops: Vec<StopEvent>,
    /// Readable when a part has told something.
    wake: EventFd,
    /// The parts begin when the lock for writing is released.
    gate: RwLock<()>,
}

/// What a part tells.
#[derive(Debug)]
enum PartEvent {
    /// It can begin.
    Ready,
    Interval(Interval),
    Progress(RunState),
    /// It is over.
    Ended {
        failed: bool,
    },
}

/// Passes what one generator tells to the thread that has started it.
#[derive(Debug)]
struct PartMonitor<'a> {
    part: usize,
    events: Sender<(usize, PartEvent)>,
    wake: &'a EventFd,
    /// The part has not ended as it should: an error, or a panic.
    failed: Cell<bool>,
}

impl PartMonitor<'_> {
    fn tell(&self, event: PartEvent) {
        // It fails only if nobody waits for events any more.
        let _ = self.events.send((self.part, event));
        self.wake.notify();
    }
}

impl Drop for PartMonitor<'_> {
    fn drop(&mut self) {
        self.tell(PartEvent::Ended { failed: self.failed.get() });
    }
}

impl Monitor for PartMonitor<'_> {
    fn interval(&self, interval: &Interval) -> ControlFlow<()> {
        self.tell(PartEvent::Interval(interval.clone()));
        ControlFlow::Continue(())
    }

    fn progress(&self, state: &RunState) {
        self.tell(PartEvent::Progress(*state));
    }
}

/// Starts the thread of a part, which waits at the gate.
fn start<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    load: Load<'env>,
    shared: &'env Shared,
    events: Sender<(usize, PartEvent)>,
) -> io::Result<ScopedJoinHandle<'scope, Outcome>> {
    let monitor = PartMonitor { part: load.part, events, wake: &shared.wake, failed: Cell::new(true) };
    thread::Builder::new().name(format!("load-{}", load.part)).spawn_scoped(scope, move || {
        let outcome = run_part(load, shared, &monitor);
        monitor.failed.set(outcome.is_err());
        outcome
    })
}

fn run_part(load: Load<'_>, shared: &Shared, monitor: &PartMonitor<'_>) -> Outcome {
    let stop = &shared.stops[load.part];
    let generator = LoadGenerator::new(load, stop, monitor)?;
    monitor.tell(PartEvent::Ready);
    drop(shared.gate.read());
    generator.run()
}

/// Waits for the threads, and adds what they have measured.
fn merge(threads: Vec<ScopedJoinHandle<'_, Outcome>>) -> Outcome {
    let outcomes: Vec<Outcome> =
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect();
    let measurements: Option<Vec<Measurement>> = outcomes.into_iter().collect::<io::Result<_>>()?;
    Ok(measurements.and_then(|measurements| {
        measurements.into_iter().reduce(|mut sum, part| {
            sum.absorb(part);
            sum
        })
    }))
}

/// What is known of a part.
#[derive(Debug, Default)]
struct PartState {
    /// Intervals that it has told, and another part has not.
    intervals: VecDeque<Interval>,
    progress: Option<RunState>,
    ended: bool,
}

/// Watches the parts, and ends them.
#[derive(Debug)]
struct Coordinator<'a> {
    shared: &'a Shared,
    monitor: &'a dyn Monitor,
    /// Held until every part is ready, or one has failed.
    closed: Option<RwLockWriteGuard<'a, ()>>,
    /// The number of parts that are not ready.
    preparing: usize,
    parts: Vec<PartState>,
    /// A signal has arrived.
    interrupted: bool,
}

impl<'a> Coordinator<'a> {
    fn new(shared: &'a Shared, closed: RwLockWriteGuard<'a, ()>, monitor: &'a dyn Monitor) -> Self {
        let preparing = shared.stops.len();
        let parts = (0..preparing).map(|_| PartState::default()).collect();
        Self { shared, monitor, closed: Some(closed), preparing, parts, interrupted: false }
    }

    /// Passes on what the parts tell, until all have ended.
    fn watch(&mut self, interrupts: &Interrupts, events: &Receiver<(usize, PartEvent)>) -> io::Result<()> {
        while self.parts.iter().any(|part| !part.ended) {
            wait_readable([interrupts.as_fd(), self.shared.wake.as_fd()], None)?;
            if interrupts.take()? {
                self.interrupted = true;
                self.stop();
            }
            self.shared.wake.clear();
            for (part, event) in events.try_iter() {
                self.on_event(part, event);
            }
        }
        Ok(())
    }

    /// Ends all parts.
    fn stop(&self) {
        self.shared.stops.iter().for_each(StopEvent::request);
    }

    fn on_event(&mut self, part: usize, event: PartEvent) {
        match event {
            PartEvent::Ready => {
                self.preparing -= 1;
                if self.preparing == 0 {
                    self.closed = None;
                }
            }
            PartEvent::Interval(interval) => {
                self.parts[part].intervals.push_back(interval);
                self.pass_intervals();
            }
            PartEvent::Progress(state) => {
                self.parts[part].progress = Some(state);
                self.pass_progress();
            }
            PartEvent::Ended { failed } => {
                self.parts[part].ended = true;
                if failed {
                    self.closed = None;
                    self.stop();
                }
                self.pass_intervals();
            }
        }
    }

    /// Passes on the intervals that no part will tell any more of.
    fn pass_intervals(&mut self) {
        while self.parts.iter().all(|part| part.ended || !part.intervals.is_empty()) {
            let intervals = self.parts.iter_mut().filter_map(|part| part.intervals.pop_front());
            let Some(whole) = intervals.reduce(|mut whole, part| {
                whole.absorb(&part);
                whole
            }) else {
                return;
            };
            if self.monitor.interval(&whole) == ControlFlow::Break(()) {
                self.stop();
            }
        }
    }

    /// Passes on how far all are.
    fn pass_progress(&self) {
        let states: Vec<RunState> = self.parts.iter().filter_map(|part| part.progress).collect();
        if states.len() == self.parts.len() {
            self.monitor.progress(&progress_of_all(&states));
        }
    }
}

/// How far a load is that has at least one part: the phase is that of the part that is least advanced.
#[allow(clippy::cast_precision_loss, reason = "a number of threads")]
fn progress_of_all(states: &[RunState]) -> RunState {
    let order = [BenchPhase::WarmUp, BenchPhase::Measuring];
    let phase = order.into_iter().find(|phase| states.iter().any(|state| state.phase == *phase));
    RunState {
        phase: phase.unwrap_or(BenchPhase::Draining),
        done: states.iter().map(|state| state.done).sum::<f64>() / states.len() as f64,
        requests: states.iter().map(|state| state.requests).sum(),
        errors: states.iter().map(|state| state.errors).sum(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};

    use clap::Parser;

    use super::*;
    use crate::client::bench::monitor::KeptIntervals;
    use crate::client::bench::workload::Workload;
    use crate::client::options::{Command, Options};
    use crate::client::target::Target;
    use crate::sys::SocketAddress;

    fn echo_server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let mut message = [0; 64];
                    while client.read_exact(&mut message).and_then(|()| client.write_all(&message)).is_ok() {}
                });
            }
        });
        address
    }

    /// Passes the load of `retort bench ADDRESS -P echo` with these further words to `check`.
    fn with_load<T>(words: &str, check: impl FnOnce(&Load<'_>) -> T) -> T {
        let address = echo_server();
        let words = format!("retort bench {address} -P echo --warm-up 0 {words}");
        let Command::Bench(options) = Options::parse_from(words.split(' ')).command else { panic!("not a benchmark") };
        let workload = Workload::new(&options).expect("an echo can be measured");
        let target = Target::resolve(&options.host, options.protocol, options.family).expect("an address");
        check(&Load::new(&options, &workload, &target, SocketAddress::Internet(address)))
    }

    fn measure(words: &str, limit: usize) -> (Measurement, Vec<Interval>) {
        with_load(words, |load| {
            let told = KeptIntervals::new(limit);
            let interrupts = Interrupts::watch().expect("watch for signals");
            let measurement = run(load, &interrupts, &told).expect("no error").expect("no signal");
            (measurement, told.into_inner())
        })
    }

    #[test]
    fn the_parts_are_together_the_whole() {
        with_load("--threads 3 --connections 7 --requests 11", |load| {
            let parts: Vec<Load<'_>> = (0..3).map(|index| load.part(index)).collect();
            assert_eq!(parts.iter().map(|part| part.connections).collect::<Vec<_>>(), [3, 2, 2]);
            assert_eq!(parts.iter().map(|part| part.requests).collect::<Vec<_>>(), [4, 4, 3].map(Some));
            assert_eq!(parts.iter().map(|part| part.part).collect::<Vec<_>>(), [0, 1, 2]);
        });
    }

    #[test]
    fn the_requests_of_all_threads_are_measured_exactly() {
        for load in ["", "--depth 4", "--reconnect", "--rate 1000", "--rate 1000 --reconnect"] {
            let words = format!("--threads 3 --connections 5 --requests 100 --interval 10ms {load}");
            let (measurement, intervals) = measure(words.trim_end(), usize::MAX);
            assert_eq!((measurement.requests, measurement.late, measurement.lost), (100, 0, 0), "{load}");
            assert_eq!((measurement.errors(), measurement.latencies.count()), (0, 100), "{load}");
            assert_eq!(intervals.iter().map(|interval| interval.requests).sum::<u64>(), 100, "{load}");
            assert_eq!(intervals, measurement.series.intervals(), "{load}");
            assert!(!measurement.interrupted, "{load}");
        }
    }

    /// The rate is that of all threads, and so is the number of requests that are due in 500 ms.
    #[test]
    fn a_rate_is_divided() {
        let (measurement, _) = measure("--threads 4 --connections 4 --rate 1k --duration 500ms", usize::MAX);
        assert_eq!(measurement.latencies.count() + measurement.lost, 500);
        assert_eq!(measurement.lateness.count() + measurement.unsent, 500);
    }

    /// Otherwise it would go on for an hour.
    #[test]
    fn the_monitor_ends_all_threads() {
        let (measurement, intervals) = measure("--threads 2 --duration 1h --interval 10ms", 3);
        assert!(intervals.len() >= 3 && measurement.requests > 0 && !measurement.interrupted);
        assert!(measurement.elapsed >= intervals[2].until);
    }

    #[test]
    fn a_failure_of_one_thread_ends_all() {
        let stops = stop_events(2).expect("two events");
        let shared = Shared { stops, wake: EventFd::new().expect("an event"), gate: RwLock::new(()) };
        let (sender, events) = mpsc::channel();
        let unwatched = KeptIntervals::new(usize::MAX);
        let closed = shared.gate.write().expect("nobody panicked");
        let mut coordinator = Coordinator::new(&shared, closed, &unwatched);
        let part =
            |part, failed| PartMonitor { part, events: sender.clone(), wake: &shared.wake, failed: Cell::new(failed) };
        let other = part(1, false);
        other.tell(PartEvent::Ready);
        drop(part(0, true));
        for (part, event) in events.try_iter() {
            coordinator.on_event(part, event);
        }
        assert!(shared.stops.iter().all(crate::sys::is_readable) && coordinator.closed.is_none());
        drop(other);
        let interrupts = Interrupts::watch().expect("watch for signals");
        coordinator.watch(&interrupts, &events).expect("both have ended");
        assert!(!coordinator.interrupted);
    }

    #[test]
    fn the_phase_is_that_of_the_slowest_thread() {
        let state = |phase, done| RunState { phase, done, requests: 5, errors: 1 };
        let warm_up = progress_of_all(&[state(BenchPhase::Measuring, 0.5), state(BenchPhase::WarmUp, 0.0)]);
        assert_eq!(warm_up, RunState { phase: BenchPhase::WarmUp, done: 0.25, requests: 10, errors: 2 });
        assert_eq!(progress_of_all(&[state(BenchPhase::Draining, 1.0); 2]).phase, BenchPhase::Draining);
    }
}
