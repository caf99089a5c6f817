//! The end of a connection, and the memory that it may hold until then, on a scripted stream.

mod scripted;

use std::sync::Arc;

use retortd::connection::{
    Budget, CloseReason, Connection, Context, Counter, Demand, FAIR_READ_SIZE, Grace, MAX_BUFFERED_WRITE, MAX_WRITE,
    Next,
};
use retortd::protocol::services::frame;
use retortd::protocol::{ProtocolSettings, RequestRng, by_name};

use scripted::{Act, Script, context};

const UPPERCASE: u8 = 0x01;
const SHUFFLE: u8 = 0x08;
const RANDOM: u8 = 0x10;

/// A connection whose client continues to send, and whose kernel has not acknowledged a reply.
struct Talkative {
    connection: Connection,
    script: Script,
    context: Context,
}

impl Talkative {
    fn new(protocol: &str, request: &[u8], prepare: impl FnOnce(&mut Context)) -> Self {
        let budget = Arc::new(Budget::new(1 << 20));
        let mut context = context(1 << 16, &budget, 1);
        prepare(&mut context);
        let mut script = Script::new(request, &[Act::Bytes(request.len()), Act::WouldBlock], &[]);
        script.unacknowledged = Some(1000);
        let mut connection =
            Connection::new((by_name(protocol).expect("a name").new)(&ProtocolSettings::default(), &()), None, 0);
        assert!(matches!(connection.open(&mut script, &mut context), Next::Wait));
        assert!(matches!(connection.readable(&mut script, &mut context), Next::Wait));
        Self { connection, script, context }
    }

    /// The client sends at `now`, in milliseconds; then the timer runs.
    fn talk(&mut self, now: u64) -> Next {
        self.context.now = now;
        self.script.send(b"more");
        let next = self.connection.readable(&mut self.script, &mut self.context);
        assert!(matches!(next, Next::Wait), "{next:?}");
        self.connection.expire(&mut self.script, &mut self.context)
    }

    /// The client sends, and acknowledges more and more, up to everything, and then sends nothing. Returns the reason of
    /// the close.
    fn take_all(mut self) -> CloseReason {
        let begun = self.context.now;
        for step in 1..=10u32 {
            self.script.unacknowledged = Some(1000 - 100 * step as usize);
            let next = self.talk(begun + 100 * u64::from(step));
            assert!(matches!(next, Next::Wait), "closed with {next:?} before the client had everything");
            assert!(self.script.output_ended && self.connection.interest().read);
        }
        self.context.now = self.connection.deadline(&self.context);
        match self.connection.expire(&mut self.script, &mut self.context) {
            Next::Close(reason) => reason,
            next => panic!("not closed: {next:?}"),
        }
    }
}

/// Fault 40: a client that continues to send gets every reply that was counted, whatever the reason of the close.
#[test]
fn a_close_waits_until_the_client_has_everything() {
    let request = [&frame::header(UPPERCASE, 3)[..], b"abc"].concat();
    let violation = Talkative::new("text", b"uppercase 3 abcno header, but thirty-two bytes", |_| {});
    assert_eq!(violation.take_all(), CloseReason::Violation);

    let mut stopped = Talkative::new("frame", &request, |_| {});
    let (connection, script) = (&mut stopped.connection, &mut stopped.script);
    assert!(matches!(connection.drain(script, &mut stopped.context, Grace::Over), Next::Wait));
    assert_eq!(stopped.take_all(), CloseReason::Stopped);

    for (input, reason) in
        [(&request[..], CloseReason::IdleTimeout), (&request.repeat(2)[..12], CloseReason::RequestTimeout)]
    {
        let mut late = Talkative::new("frame", input, |context| {
            context.limits.idle = 1000;
            context.limits.request = 1000;
        });
        // the client takes some of the reply: its timeout starts again
        late.context.now = 1000;
        assert!(matches!(late.connection.expire(&mut late.script, &mut late.context), Next::Wait));
        assert!(!late.script.output_ended && late.connection.deadline(&late.context) == 2000);
        // it takes nothing more, and the timeout expires
        late.context.now = 2000;
        assert!(matches!(late.connection.expire(&mut late.script, &mut late.context), Next::Wait));
        assert_eq!(late.take_all(), reason);
    }
}

/// Fault 40: a client that takes nothing more of what was sent is closed after the write timeout.
#[test]
fn a_client_that_takes_nothing_is_not_waited_for_without_end() {
    let mut closing = Talkative::new("ack", b"abc", |context| context.limits.write = 500);
    assert!(closing.script.output_ended);
    // a look every 50 ms, and one when the timeout expires
    for (now, again) in [(100, 150), (499, 500)] {
        assert!(matches!(closing.talk(now), Next::Wait));
        assert_eq!(closing.connection.deadline(&closing.context), again);
    }
    assert!(matches!(closing.talk(500), Next::Close(CloseReason::Served)));
}

/// Fault 40: the write timeout counts from the last acknowledgement of the client, not from the last send.
#[test]
fn a_client_that_takes_its_replies_slowly_is_not_closed() {
    let request = [&frame::header(UPPERCASE, 10_000)[..], &[b'a'; 10_000]].concat();
    for (protocol, input) in [("frame", &request[..]), ("chargen", b"x")] {
        let budget = Arc::new(Budget::new(1 << 20));
        let mut context = context(1 << 16, &budget, 1);
        context.limits.write = 1000;
        let writes = [Act::Bytes(5000), Act::WouldBlock, Act::WouldBlock];
        let mut script = Script::new(input, &[Act::Bytes(input.len()), Act::WouldBlock], &writes);
        let mut connection =
            Connection::new((by_name(protocol).expect("a name").new)(&ProtocolSettings::default(), &()), None, 0);
        script.unacknowledged = Some(5000);
        assert!(matches!(connection.open(&mut script, &mut context), Next::Wait));
        assert!(matches!(connection.readable(&mut script, &mut context), Next::Wait));
        // a byte for each period; then none
        for (now, left, next) in [(250, 5000, 1250), (1250, 4999, 2250), (2250, 4998, 3250)] {
            assert_eq!(connection.deadline(&context), now, "{protocol}");
            context.now = now;
            script.unacknowledged = Some(left);
            assert!(matches!(connection.expire(&mut script, &mut context), Next::Wait), "{protocol} at {now}");
            assert_eq!(connection.deadline(&context), next, "{protocol}");
        }
        context.now = 3250;
        let next = connection.expire(&mut script, &mut context);
        assert!(matches!(next, Next::Close(CloseReason::WriteTimeout)), "{protocol}: {next:?}");
    }
}

/// Where unacknowledged bytes are unknown, the client has two seconds to half-close.
#[test]
fn where_unacknowledged_bytes_are_unknown_lingering_takes_a_fixed_time() {
    let mut closing = Talkative::new("ack", b"abc", |_| {});
    closing.script.unacknowledged = None;
    assert!(matches!(closing.talk(50), Next::Wait));
    assert_eq!(closing.connection.deadline(&closing.context), 2050);
    assert!(matches!(closing.talk(2050), Next::Close(CloseReason::Served)));
}

/// A daemon that stops waits less long for a client that has everything.
#[test]
fn a_stop_shortens_lingering() {
    let mut closing = Talkative::new("ack", b"abc", |_| {});
    closing.script.unacknowledged = Some(0);
    assert!(matches!(closing.talk(50), Next::Wait));
    closing.context.draining = true;
    let (connection, script) = (&mut closing.connection, &mut closing.script);
    assert!(matches!(connection.drain(script, &mut closing.context, Grace::Over), Next::Wait));
    assert_eq!(connection.deadline(&closing.context), 300);
}

/// A request on its way to a thread, and the context with its budget.
fn offloaded(action: u8, text: &[u8], budget: u64) -> (Connection, Script, Context, Next) {
    let budget = Arc::new(Budget::new(budget));
    let mut context = context(1 << 20, &budget, 1);
    let request = [&frame::header(action, text.len()), text].concat();
    let mut script = Script::new(&request, &[], &[Act::Bytes(10), Act::WouldBlock]);
    let mut connection =
        Connection::new((by_name("frame").expect("a name").new)(&ProtocolSettings::default(), &()), None, 0);
    let mut next = connection.open(&mut script, &mut context);
    while matches!(next, Next::Wait) {
        next = connection.readable(&mut script, &mut context);
    }
    (connection, script, context, next)
}

/// Fault 36: the charge for the longest possible reply shrinks to the size of the reply when that is known; a client that
/// reads slowly holds no more.
#[test]
fn a_reply_is_charged_with_what_it_holds() {
    let text = b"a".repeat(100_000);
    let (mut connection, mut script, mut context, next) = offloaded(RANDOM, &text, 8 << 20);
    let Next::Offload(job) = next else { panic!("not offloaded: {next:?}") };
    assert!(context.budget.used() > 1 << 20, "{} charged for any reply up to the limit", context.budget.used());
    let done = job.run(&mut RequestRng::new(None), context.unix_time).unwrap_or_else(|_| panic!("no memory"));
    assert!(matches!(connection.offload_done(&mut script, &mut context, done), Next::Wait));
    assert!(connection.interest().write, "the client takes ten bytes and then nothing");
    let held = context.budget.used();
    assert!((50_000..500_000).contains(&held), "{held} charged for a reply of about 100 KB");
}

/// Fault 36: a request that waits for memory is not processed again when it gets the memory.
#[test]
fn waiting_for_memory_costs_no_work() {
    let text = "é".repeat(100_000);
    let budget = Arc::new(Budget::new(8 << 20));
    let mut context = context(1 << 20, &budget, 1);
    let request = [&frame::header(SHUFFLE, text.len()), text.as_bytes()].concat();
    let mut script = Script::new(&request, &[], &[]);
    let mut connection =
        Connection::new((by_name("frame").expect("a name").new)(&ProtocolSettings::default(), &()), None, 0);
    assert!(matches!(connection.open(&mut script, &mut context), Next::Wait));
    // others leave enough for the request, and not enough for its reply
    let others = [(4 << 20) - 250_000, 4 << 20].map(|bytes| budget.grant(Demand { shared: bytes, reserve: bytes }));
    assert!(others.iter().all(Option::is_some));
    let mut next = Next::Wait;
    while matches!(next, Next::Wait) {
        next = connection.readable(&mut script, &mut context);
    }
    let Next::WaitForMemory(demand) = next else { panic!("not waiting: {next:?}") };
    assert_eq!(context.counters.bytes_in.get(), request.len() as u64, "it waits for the memory of its reply");
    drop(others);
    let grant = budget.grant(demand).expect("memory was given back");
    // a protocol that was called again would draw from this
    let drawn = context.random.seed();
    let next = connection.resume(&mut script, &mut context, grant);
    assert!(matches!(next, Next::Offload(_)), "{next:?}");
    assert_eq!(context.random.seed(), drawn, "the protocol has looked at it again");
}

/// Fault 36: `min-rate` applies only while other connections wait for memory.
#[test]
fn a_slow_reader_is_closed_only_while_others_wait() {
    let text = "é".repeat(50_000);
    let (mut connection, mut script, mut context, next) = offloaded(SHUFFLE, text.as_bytes(), 8 << 20);
    let Next::Offload(job) = next else { panic!("not offloaded: {next:?}") };
    context.limits.min_rate = 1000;
    let done = job.run(&mut RequestRng::new(None), context.unix_time).unwrap_or_else(|_| panic!("no memory"));
    assert!(matches!(connection.offload_done(&mut script, &mut context, done), Next::Wait));
    // 10 bytes in a minute, while no connection waits
    context.now = 60_000;
    assert!(matches!(connection.expire(&mut script, &mut context), Next::Wait));
    // a connection begins to wait: from then on the client has five seconds to become faster
    context.contended_since = Some(60_000);
    for (now, deadline) in [(60_000, 61_000), (61_000, 65_000)] {
        context.now = now;
        assert!(matches!(connection.expire(&mut script, &mut context), Next::Wait));
        assert_eq!(connection.deadline(&context), deadline);
    }
    // what the kernel takes is not what the client takes
    context.now = 62_000;
    script.take(&[Act::Bytes(50_000), Act::WouldBlock]);
    script.unacknowledged = Some(47_000);
    assert!(matches!(connection.writable(&mut script, &mut context), Next::Wait));
    context.now = 65_000;
    assert!(matches!(connection.expire(&mut script, &mut context), Next::Wait));
    assert_eq!(
        connection.deadline(&context),
        68_000,
        "three seconds' worth was taken; the minute before does not count"
    );
    // a client that is fast enough goes on although nothing can be sent for a while
    for (now, left) in [(68_000, 43_000), (72_000, 39_000), (76_000, 35_000)] {
        context.now = now;
        script.unacknowledged = Some(left);
        assert!(matches!(connection.expire(&mut script, &mut context), Next::Wait));
        assert_eq!(connection.deadline(&context), now + 4_000);
    }
    context.now = 80_000;
    // without a limit it goes on
    context.limits.min_rate = 0;
    assert!(matches!(connection.expire(&mut script, &mut context), Next::Wait));
    assert!(!script.output_ended && context.budget.used() > 0);
    // with it the memory is free at once; what was sent before, an earlier reply for example, still arrives
    context.limits.min_rate = 1000;
    assert!(matches!(connection.expire(&mut script, &mut context), Next::Wait));
    assert!(script.output_ended && !connection.interest().write);
    drop(std::mem::take(&mut context.retired));
    assert_eq!((context.budget.used(), connection.unanswered()), (0, 1));
    context.now = connection.deadline(&context);
    script.unacknowledged = Some(0);
    assert!(matches!(connection.expire(&mut script, &mut context), Next::Wait));
    context.now = connection.deadline(&context);
    assert!(matches!(connection.expire(&mut script, &mut context), Next::Close(CloseReason::MinRate)));
}

/// Fault 36: a client that takes its last reply byte by byte cannot hold the memory of its next request for long.
#[test]
fn taking_a_reply_slowly_extends_the_next_request_once() {
    let half = [&frame::header(UPPERCASE, 3)[..], b"abc", &frame::header(UPPERCASE, 30_000), b"abc"].concat();
    let mut late = Talkative::new("frame", &half, |context| context.limits.request = 1000);
    for (now, left, deadline) in [(1000, 100_000, 2000), (2000, 99_984, 2000)] {
        late.context.now = now;
        late.script.unacknowledged = Some(left);
        assert!(matches!(late.connection.expire(&mut late.script, &mut late.context), Next::Wait));
        assert!(late.script.output_ended == (now == deadline), "at {now}");
    }
    let mut fair = Talkative::new("frame", &half, |context| context.limits.request = 1000);
    for (now, left) in [(1000, 100_000), (2000, 100_000 - 16_384), (3000, 100_000 - 2 * 16_384)] {
        fair.context.now = now;
        fair.script.unacknowledged = Some(left);
        assert!(matches!(fair.connection.expire(&mut fair.script, &mut fair.context), Next::Wait));
        assert_eq!((fair.script.output_ended, fair.connection.deadline(&fair.context)), (false, now + 1000));
    }
}

/// An offloaded request without memory is counted as abandoned, and earlier replies still arrive.
#[test]
fn an_offloaded_request_that_fails_closes_gently() {
    let text = b"a".repeat(100_000);
    let (mut connection, mut script, mut context, next) = offloaded(SHUFFLE, &text, 8 << 20);
    let Next::Offload(job) = next else { panic!("not offloaded: {next:?}") };
    drop(job.retire());
    script.unacknowledged = Some(1000);
    assert!(matches!(connection.offload_failed(&mut script, &mut context), Next::Wait));
    assert!(script.output_ended && connection.interest().read);
    assert_eq!((connection.unanswered(), context.budget.used()), (1, 0));
}

/// A drain closes a connection that has served a request, and waits for the first request of another one.
#[test]
fn a_drain_waits_for_the_first_request() {
    let request = [&frame::header(UPPERCASE, 3)[..], b"abc"].concat();
    for served in [true, false] {
        let budget = Arc::new(Budget::new(1 << 20));
        let mut context = context(1 << 16, &budget, 1);
        let mut script = Script::new(if served { &request } else { b"" }, &[], &[]);
        let mut connection =
            Connection::new((by_name("frame").expect("a name").new)(&ProtocolSettings::default(), &()), None, 0);
        assert!(matches!(connection.open(&mut script, &mut context), Next::Wait));
        if served {
            assert!(matches!(connection.readable(&mut script, &mut context), Next::Wait));
        }
        let counted = [&context.counters.requests, &context.counters.answered].map(Counter::get);
        assert_eq!(counted, [u64::from(served); 2]);
        for (grace, closes) in [(Grace::Given, served), (Grace::Over, true)] {
            script.await_input();
            assert!(matches!(connection.drain(&mut script, &mut context, grace), Next::Wait));
            assert_eq!(script.output_ended, closes, "served: {served}, {grace:?}");
        }
    }
}

/// Each piece of a request extends its timeout by the time that it takes at 16 KiB/s; the next request has its own timeout.
#[test]
fn the_time_of_a_request_counts_from_its_first_byte() {
    let request = [&frame::header(UPPERCASE, 40)[..], &[b'a'; 40]].concat();
    let mut client = Talkative::new("frame", &request[..2], |context| context.limits.request = 1000);
    let (connection, script, context) = (&mut client.connection, &mut client.script, &mut client.context);
    for (now, piece, deadline) in [(500, &request[2..9], 1000), (900, &request[9..20], 1001)] {
        context.now = now;
        script.send(piece);
        assert!(matches!(connection.readable(script, context), Next::Wait));
        assert_eq!(connection.deadline(context), deadline, "at {now}");
    }
    context.now = 950;
    script.send(&[&request[20..], &request[..9]].concat());
    assert!(matches!(connection.readable(script, context), Next::Wait));
    assert_eq!(connection.deadline(context), 1950);
}

/// The request timeout also applies while the rest of a rejected request is skipped; it ends when all replies are sent.
#[test]
fn a_refused_request_has_its_time_and_leaves_nothing() {
    let budget = Arc::new(Budget::new(1 << 20));
    let mut context = context(1 << 16, &budget, 1);
    context.limits.request = 1000;
    context.limits.idle = 2000;
    context.now = 50_000;
    let long = [&frame::header(UPPERCASE, 1 << 17)[..], &vec![b'x'; 1 << 17]].concat();
    let mut script = Script::new(&long[..1000], &[Act::Bytes(1000), Act::WouldBlock], &[]);
    let mut connection =
        Connection::new((by_name("frame").expect("a name").new)(&ProtocolSettings::default(), &()), None, 50_000);
    assert!(matches!(connection.open(&mut script, &mut context), Next::Wait));
    assert!(connection.is_idle());
    assert!(matches!(connection.readable(&mut script, &mut context), Next::Wait));
    assert_eq!((connection.is_idle(), connection.deadline(&context)), (false, 51_000));
    context.now = 50_500;
    script.send(&long[1000..]);
    while script.unread() > 0 {
        assert!(matches!(connection.readable(&mut script, &mut context), Next::Wait));
    }
    assert_eq!((connection.is_idle(), connection.deadline(&context)), (true, 52_500));
}

/// Fault 37: a large request is read, processed and replied to piece by piece, one piece for each wake-up.
#[test]
fn one_call_reads_and_sends_a_bounded_amount() {
    let length = 8 << 20;
    let budget = Arc::new(Budget::new(64 << 20));
    let mut context = context(length, &budget, 1);
    let request = [&frame::header(UPPERCASE, length)[..], &vec![b'a'; length]].concat();
    let mut script = Script::new(&request, &[], &[]);
    let mut connection =
        Connection::new((by_name("frame").expect("a name").new)(&ProtocolSettings::default(), &()), None, 0);
    assert!(matches!(connection.open(&mut script, &mut context), Next::Wait));
    while script.output.is_empty() {
        let before = script.unread();
        // a message that is never offloaded: each piece is preprocessed at once
        assert!(matches!(connection.readable(&mut script, &mut context), Next::Wait));
        assert!(before - script.unread() <= FAIR_READ_SIZE + 256 * 1024);
    }
    // the first part is sent by the call that completed the reply
    let begun = script.output.len();
    assert!(begun <= MAX_WRITE);
    let mut calls = 0;
    while script.output.len() < length + 4 {
        let before = script.output.len();
        assert!(connection.interest().write && !connection.interest().read);
        assert!(matches!(connection.writable(&mut script, &mut context), Next::Wait));
        assert!(script.output.len() - before <= MAX_BUFFERED_WRITE);
        calls += 1;
    }
    assert_eq!(calls, (length + 4 - begun).div_ceil(MAX_BUFFERED_WRITE));
}
