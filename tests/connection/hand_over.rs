//! A connection that is written down and continued elsewhere: the client sees no difference, and no counter does.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use retortd::connection::{Budget, Charge, CloseReason, Context, Counter, Limits, Millis};

use crate::conversations::{Setting, any_conversation, io_results, setting, stream_conversation};
use crate::scripted::{Driver, IoResult, ScriptedStream, check_sums, context};
use crate::session::time_limit;

/// Bytes of output after which a connection is not run any further: chargen never ends by itself.
const MAX_OUTPUT: usize = 1 << 20;
/// Milliseconds between two calls.
const STEP: u64 = 7;

/// What happens before a call of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    None,
    /// The connection is handed over, if it can be.
    HandOver,
    /// Another connection takes all memory; or gives it back, if it had.
    Memory,
}

fn events(kinds: Vec<Event>) -> impl Strategy<Value = Vec<Event>> {
    vec(prop_oneof![1 => Just(Event::None), 2 => select(kinds)], 0..200)
}

/// A whole connection as its client and the statistics see it.
struct Outcome {
    output: Vec<u8>,
    reason: Option<CloseReason>,
    /// Requests, abandoned ones, answered ones.
    requests: [u64; 3],
    /// Requests that were offloaded.
    offloaded: u64,
    /// Refused requests, records; bytes read and sent.
    others: [u64; 4],
}

/// A worker that nobody else uses.
struct Worker {
    context: Context,
    budget: Arc<Budget>,
    /// All memory, while another connection has it.
    other: Option<Charge>,
}

impl Worker {
    fn new(setting: Setting) -> Self {
        let budget = Arc::new(Budget::new(setting.budget));
        let mut context = context(setting.message, &budget, setting.seed);
        let limit = time_limit(1_000_000);
        context.limits = Limits { idle: limit, request: limit, write: limit, ..context.limits };
        Self { context, budget, other: None }
    }

    /// The worker of the successor: its counters and its clock continue.
    fn successor(&self, setting: Setting) -> Self {
        let mut next = Self::new(setting);
        next.context.counters = self.context.counters.clone();
        next.context.now = self.context.now;
        next
    }

    /// Takes all memory, or gives it back.
    fn toggle_memory(&mut self, setting: Setting) {
        if self.other.take().is_none() && setting.budget < u64::MAX {
            let half = self.budget.largest_request();
            let mut all = Charge::new(&self.budget);
            all.set_unchecked(half);
            let _ = all.try_grow(2 * half, 2 * half);
            self.other = Some(all);
        }
    }
}

/// Hands the connection over, and checks that it waits for what it waited for.
fn hand_over(driver: &mut Driver, worker: &mut Worker, setting: Setting) -> Option<CloseReason> {
    let next = worker.successor(setting);
    let waits = driver.waits_for_stream();
    let before = waits.then(|| (driver.connection.interest(), driver.connection.deadline(&worker.context)));
    let mut former = std::mem::replace(worker, next);
    let reason = driver.hand_over(&mut former.context, &mut worker.context);
    assert_eq!(former.budget.used(), former.other.as_ref().map_or(0, |other| other.bytes().try_into().expect("small")));
    if let (Some(before), None) = (before, reason) {
        assert!(driver.waits_for_stream(), "it waited for its stream");
        assert_eq!((driver.connection.interest(), driver.connection.deadline(&worker.context)), before);
    }
    reason
}

/// Serves one client; before each call the next event happens.
fn serve(mut driver: Driver, setting: Setting, events: &[Event]) -> Outcome {
    let mut worker = Worker::new(setting);
    worker.context.counters.accepted.add(1);
    let mut events = events.iter();
    let reason = loop {
        worker.context.now += Millis::new(STEP);
        let event = events.next();
        let closed = match event {
            Some(Event::HandOver) if driver.can_hand_over() => hand_over(&mut driver, &mut worker, setting),
            Some(Event::Memory) => {
                worker.toggle_memory(setting);
                None
            }
            _ => {
                // the last memory that another connection has comes back
                worker.other = worker.other.filter(|_| event.is_some());
                driver.step(&mut worker.context)
            }
        };
        if closed.is_some() || driver.stream.output.len() > MAX_OUTPUT {
            break closed;
        }
    };
    let context = &worker.context;
    if reason.is_some() {
        check_sums(context);
    }
    let counters = &context.counters;
    let abandoned = counters.abandoned.iter().map(Counter::get).sum();
    let [requests, offloaded, answered] =
        [&counters.requests, &counters.offloaded, &counters.answered].map(Counter::get);
    let others = [&counters.refused, &counters.records, &counters.bytes_in, &counters.bytes_out].map(Counter::get);
    let requests = [requests, abandoned, answered];
    Outcome { output: std::mem::take(&mut driver.stream.output), reason, requests, offloaded, others }
}

fn stream(input: &[u8], reads: &[IoResult], writes: &[IoResult], passes_bulk: bool) -> ScriptedStream {
    ScriptedStream::new(input, reads, writes).passing_bulk(passes_bulk)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn client_sees_no_difference_wherever_its_connection_is_handed_over(
        (name, input) in any_conversation(),
        header in select(vec![None, Some(&b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 8083\r\n"[..])]),
        reads in io_results(),
        writes in io_results(),
        setting in setting(),
        events in events(vec![Event::HandOver]),
        passes_bulk: bool,
    ) {
        let bytes = [header.unwrap_or_default(), &input].concat();
        let new = if header.is_some() { Driver::awaiting_header } else { Driver::new };
        let [with, without] = [&events[..], &[]]
            .map(|events| serve(new(name, stream(&bytes, &reads, &writes, passes_bulk)), setting, events));
        prop_assert!(with.output == without.output, "other replies");
        // a request that is arriving is preprocessed once more when it is handed over: then less of it is left to offload
        prop_assert!(with.offloaded <= without.offloaded, "more requests were offloaded");
        // how much is read at once depends on what was read last, which is not handed over
        let counts_requests = name != "echo" || !passes_bulk;
        let [with, without] = [with, without]
            .map(|outcome| (outcome.reason, counts_requests.then_some(outcome.requests), outcome.others));
        prop_assert_eq!(with, without);
    }

    /// Memory that is short changes how much is read at once: the replies must not depend on that, and the number of
    /// requests may, because `echo` counts what it reads at once.
    #[test]
    fn client_sees_no_difference_while_its_connection_waits_for_memory_and_is_handed_over(
        (name, input) in stream_conversation(),
        reads in io_results(),
        writes in io_results(),
        setting in setting(),
        events in events(vec![Event::HandOver, Event::Memory]),
        passes_bulk: bool,
    ) {
        let [with, without] = [&events[..], &[]]
            .map(|events| serve(Driver::new(name, stream(&input, &reads, &writes, passes_bulk)), setting, events));
        prop_assert!(with.output == without.output, "other replies");
        prop_assert_eq!((with.reason, with.others), (without.reason, without.others));
    }
}
