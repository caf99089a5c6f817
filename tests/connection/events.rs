//! Events at any time: timeouts, a drain, a reload, work on the thread pool that fails, clients that disconnect.
//! Whatever happens to a connection, it waits for something or closes, it returns all memory, and the statistics add
//! up.

use std::num::NonZero;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::scripted::{IoResult, ScriptedStream, check_sums, connection, context, grant};
use crate::session::frame_request;
use retortd::connection::{
    Budget, CloseReason, Connection, Context, Grace, Interest, Millis, Next, OffloadJob, Retired,
};
use retortd::protocol::{PROTOCOLS, RequestRng};

/// Calls after which a connection is closed: `chargen` never ends by itself. Chosen: many more than the others need.
const MAX_CALLS: usize = 2000;

/// What happens beside input and output.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Nothing: the next step of the connection.
    None,
    /// This number of milliseconds passes.
    Time(u64),
    /// The deadline comes.
    Deadline,
    /// An event that the connection does not wait for.
    Spurious,
    Drain(Grace),
    /// A reload changes the longest message.
    MessageLimit(usize),
    /// A reload changes `--max-buffered`.
    BudgetSize(u64),
    /// Other connections wait for memory, or do no longer.
    Contention(bool),
    /// The client's kernel acknowledges this number of bytes.
    Acknowledged(usize),
    /// The thread pool has no memory for the job.
    OffloadFails,
    /// The client disconnects.
    HangUp,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        60 => Just(Event::None),
        8 => (0..1000u64).prop_map(Event::Time),
        3 => Just(Event::Deadline),
        3 => Just(Event::Spurious),
        2 => select(vec![Grace::Given, Grace::Over]).prop_map(Event::Drain),
        2 => select(vec![1000, 100_000, 1 << 20]).prop_map(Event::MessageLimit),
        2 => select(vec![300_000, 600_000, 3 << 20]).prop_map(Event::BudgetSize),
        2 => any::<bool>().prop_map(Event::Contention),
        5 => (0..50_000usize).prop_map(Event::Acknowledged),
        4 => Just(Event::OffloadFails),
        1 => Just(Event::HangUp),
    ]
}

/// Requests of `frame`: small, large, invalid, offloaded, unknown, cut short. Other protocols take the bytes as they
/// are.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let text = (select(vec!["a", "é", "ŉ", "ა", "Σ "]), select(vec![0, 50, 6000, 70_000, 300_000]), any::<u32>());
    let request = (select(vec![1, 2, 3, 4, 8, 16]), text, 0..6u8).prop_map(|(code, (unit, length, at), broken)| {
        let mut message = unit.repeat(length / unit.len()).into_bytes();
        if broken == 0 && !message.is_empty() {
            let at = at as usize % message.len();
            message[at] = 0xff;
        }
        frame_request(code, &message)
    });
    (vec(request, 0..4), prop_oneof![Just(0), 0..100_000usize]).prop_map(|(requests, cut)| {
        let mut input = requests.concat();
        input.truncate(input.len().saturating_sub(cut));
        input
    })
}

fn acts() -> impl Strategy<Value = Vec<IoResult>> {
    let act = prop_oneof![
        6 => (1..200_000usize).prop_map(IoResult::AtMost),
        2 => (1..10usize).prop_map(IoResult::AtMost),
        2 => Just(IoResult::WouldBlock),
        1 => Just(IoResult::Interrupted),
    ];
    vec(act, 0..30)
}

fn client() -> impl Strategy<Value = (&'static str, ScriptedStream)> {
    let names: Vec<_> = PROTOCOLS.iter().map(|info| info.name).collect();
    let name = prop_oneof![Just("frame"), select(names)];
    let unacknowledged = proptest::option::of(0..100_000usize);
    let acts = (acts(), acts());
    (name, input(), acts, unacknowledged, any::<bool>()).prop_map(|(name, input, acts, unacknowledged, passes_bulk)| {
        let mut script = ScriptedStream::new(&input, &acts.0, &acts.1).passing_bulk(passes_bulk);
        script.unacknowledged = unacknowledged;
        (name, script)
    })
}

/// A client and its connection.
struct Pair {
    script: ScriptedStream,
    connection: Connection,
    next: Option<Next>,
    calls: usize,
}

impl Pair {
    fn new((name, script): (&str, ScriptedStream)) -> Self {
        Self { script, connection: connection(name), next: None, calls: 0 }
    }

    /// Lets `event` happen, and what follows from it. Returns the reason when the connection is to be closed.
    fn step(&mut self, context: &mut Context, event: Event) -> Option<CloseReason> {
        apply(event, context, &mut self.script);
        self.calls += 1;
        let next = match (self.next.take(), event) {
            (Some(next), Event::HangUp) => {
                if let Next::Offload(job) = next {
                    context.retired.append(job.retire());
                }
                Next::Close(CloseReason::Reset)
            }
            (Some(Next::Offload(job)), event) => self.offload(context, *job, event),
            (Some(Next::WaitForMemory(demand)), _) => {
                assert_eq!(self.connection.interest(), Interest::default());
                match grant(context, demand) {
                    Some(grant) => self.connection.resume(&mut self.script, context, grant),
                    None => Next::WaitForMemory(demand),
                }
            }
            (Some(_), event) => self.wait(context, event),
            (None, _) => self.connection.open(&mut self.script, context),
        };
        let next = match next {
            Next::Wait if self.calls > MAX_CALLS => Next::Close(CloseReason::Forced),
            Next::Wait if context.draining => self.connection.drain(&mut self.script, context, Grace::Given),
            next => next,
        };
        context.retired = Retired::default();
        let Next::Close(reason) = next else {
            self.next = Some(next);
            return None;
        };
        Some(reason)
    }

    /// The thread pool has a job: it runs it, or cannot.
    fn offload(&mut self, context: &mut Context, job: OffloadJob, event: Event) -> Next {
        assert!(self.connection.is_offloaded());
        if let Event::OffloadFails = event {
            context.retired.append(job.retire());
            return self.connection.offload_failed(&mut self.script, context);
        }
        let done = job.run(&mut RequestRng::new(None), context.unix_time).expect("memory");
        self.connection.offload_done(&mut self.script, context, done)
    }

    /// The connection waits for its stream and its deadline.
    fn wait(&mut self, context: &mut Context, event: Event) -> Next {
        let (connection, script) = (&mut self.connection, &mut self.script);
        let (interest, deadline) = (connection.interest(), connection.deadline(context));
        assert!(interest.read || interest.write, "a connection that waits for nothing");
        assert!(deadline != Millis::NEVER, "a connection that waits without end");
        match event {
            Event::Deadline => {
                context.now = context.now.max(deadline);
                connection.expire(script, context)
            }
            Event::Drain(grace) => connection.drain(script, context, grace),
            Event::Spurious if interest.read => connection.writable(script, context),
            Event::Spurious => connection.readable(script, context),
            _ if deadline <= context.now => connection.expire(script, context),
            _ if interest.read && !(interest.write && self.calls % 2 == 0) => connection.readable(script, context),
            _ => connection.writable(script, context),
        }
    }
}

/// Changes what an event changes outside of the connection.
fn apply(event: Event, context: &mut Context, script: &mut ScriptedStream) {
    match event {
        Event::Time(time) => context.now += Millis::new(time),
        Event::Drain(_) => context.draining = true,
        Event::MessageLimit(bytes) => context.limits.message = bytes,
        Event::BudgetSize(bytes) => context.budget.resize(bytes),
        Event::Contention(contended) => context.contended_since = contended.then_some(context.now),
        Event::Acknowledged(bytes) => {
            script.unacknowledged = script.unacknowledged.map(|left| left.saturating_sub(bytes));
        }
        Event::None | Event::Deadline | Event::Spurious | Event::OffloadFails | Event::HangUp => {}
    }
}

proptest! {
    // each case is a few hundred calls and up to 4 MiB of text
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_leaves_memory_or_a_connection(
        clients in vec(client(), 1..4),
        events in vec((any::<usize>(), event()), 0..400),
        size in select(vec![600_000, 3 << 20, u64::MAX]),
        seed in any::<u64>(),
    ) {
        let budget = Arc::new(Budget::new(size));
        let mut context = context(1 << 20, &budget, seed);
        context.limits.idle = Some(Millis::new(1000));
        context.limits.request = Some(Millis::new(3000));
        context.limits.write = Some(Millis::new(2000));
        context.limits.min_rate = NonZero::new(1000);
        context.counters.accepted.add(clients.len() as u64);
        let mut pairs: Vec<Pair> = clients.into_iter().map(Pair::new).collect();
        let mut events = events.into_iter();
        for index in 0.. {
            let (which, event) = events.next().unwrap_or((index, Event::None));
            let Some(which) = which.checked_rem(pairs.len()) else { break };
            if let Some(reason) = pairs[which].step(&mut context, event) {
                let connection = pairs.swap_remove(which).connection;
                context.counters.close(reason, connection.unanswered().into());
                drop(connection.retire());
            }
        }
        prop_assert_eq!(budget.used(), 0, "memory was not returned to the budget");
        check_sums(&context);
    }
}
