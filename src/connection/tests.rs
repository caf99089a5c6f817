//! Connections make every transition of the table, and no other. Random ones make as many as they can.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::Arc;

use proptest::prelude::*;

use super::transitions::{Kind, TRANSITIONS};
use super::*;
use crate::protocol::services::frame;
use crate::protocol::{CallContext, CloseCause, Exchange, Needed, Protocol, ProtocolSettings, by_name};
use scripted::{Driver, IoResult, ScriptedStream, context};

#[path = "../../tests/connection/scripted.rs"]
mod scripted;

thread_local! {
    /// The transitions of the connections in this thread.
    static MADE: RefCell<BTreeSet<(Kind, Kind)>> = const { RefCell::new(BTreeSet::new()) };
}

/// Records a transition; the connection calls it at each one.
pub(super) fn record(from: Kind, to: Kind) {
    if from != to {
        MADE.with_borrow_mut(|made| made.insert((from, to)));
    }
}

/// Bytes of output after which a connection is not run any further.
const MAX_OUTPUT: usize = 1 << 20;
const UPPERCASE: u8 = 0x01;
const SHUFFLE: u8 = 0x08;
const UNKNOWN: u8 = 0x03;

fn frame() -> Box<dyn Protocol> {
    (by_name("frame").expect("listed").new)(&ProtocolSettings::default(), &())
}

fn request(code: u8, length: usize) -> Vec<u8> {
    [&frame::header(code, length)[..], &vec![b'a'; length]].concat()
}

/// Requests of all kinds: small, large, rejected and skipped, offloaded, truncated.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let request =
        (prop_oneof![Just(UPPERCASE), Just(SHUFFLE), Just(UNKNOWN)], prop_oneof![0..100usize, 60_000..140_000usize])
            .prop_map(|(code, length)| request(code, length));
    (proptest::collection::vec(request, 0..4), 0..20usize).prop_map(|(requests, missing)| {
        let all = requests.concat();
        all[..all.len().saturating_sub(missing)].to_vec()
    })
}

fn io_result() -> impl Strategy<Value = IoResult> {
    prop_oneof![
        6 => (1..200_000usize).prop_map(IoResult::AtMost),
        2 => Just(IoResult::WouldBlock),
        1 => Just(IoResult::Interrupted),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// A debug build asserts that each transition is in the table.
    #[test]
    fn random_connections_make_only_transitions_of_the_table(
        protocol in prop_oneof![4 => Just("frame"), 1 => Just("echo"), 1 => Just("chargen"), 1 => Just("text"), 1 => Just("ack")],
        input in input(),
        reads in proptest::collection::vec(io_result(), 0..12),
        writes in proptest::collection::vec(io_result(), 0..12),
        budget in prop_oneof![Just(600_000u64), Just(u64::MAX)],
        awaits_header: bool,
        passes_bulk: bool,
    ) {
        let budget = Arc::new(Budget::new(budget));
        let mut context = context(1 << 20, &budget, 1);
        let header = if awaits_header { &b"PROXY UNKNOWN\r\n"[..] } else { b"" };
        let stream = ScriptedStream::new(&[header, &input].concat(), &reads, &writes).passing_bulk(passes_bulk);
        let new = if awaits_header { Driver::awaiting_header } else { Driver::new };
        new(protocol, stream).run(&mut context, MAX_OUTPUT);
    }
}

/// Runs one connection until it closes or has sent [`MAX_OUTPUT`].
fn run(protocol: &str, budget: u64, stream: ScriptedStream) {
    let budget = Arc::new(Budget::new(budget));
    Driver::new(protocol, stream).run(&mut context(1 << 20, &budget, 1), MAX_OUTPUT);
}

/// A connection reads `input`, and its timers run until it closes; `prepare` sets its limits.
fn expire(input: &[u8], writes: &[IoResult], prepare: impl FnOnce(&mut Context)) {
    let budget = Arc::new(Budget::new(u64::MAX));
    let mut context = context(1 << 20, &budget, 1);
    prepare(&mut context);
    let mut stream = ScriptedStream::new(input, &[IoResult::AtMost(input.len()), IoResult::WouldBlock], writes);
    stream.unacknowledged = Some(5000);
    let mut connection = Connection::new(frame(), None, Millis::ZERO);
    connection.open(&mut stream, &mut context);
    if !input.is_empty() {
        connection.readable(&mut stream, &mut context);
    }
    while !stream.write_closed && connection.deadline(&context) != Millis::NEVER {
        context.now = connection.deadline(&context);
        if let Next::Close(_) = connection.expire(&mut stream, &mut context) {
            return;
        }
    }
}

/// Each timer of a connection runs, in front of, in and behind a request.
fn expire_each(small: &[u8], rejected: &[u8]) {
    for input in [b"", &small[..12], &rejected[..12]] {
        let second = Some(Millis::new(1000));
        expire(input, &[], |context| (context.limits.idle, context.limits.request) = (second, second));
    }
    expire(small, &[IoResult::AtMost(5), IoResult::WouldBlock], |context| {
        (context.limits.min_rate, context.contended_since) = (NonZero::new(1), Some(Millis::ZERO));
    });
}

/// Generates `.`; replies to input with the input, and closes after input that contains an `x`.
struct Generator;

impl Protocol for Generator {
    fn process(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        let closes = exchange.input().contains(&b'x');
        let length = exchange.input().len();
        exchange.reply_in_place(length);
        if closes { Progress::Close(CloseCause::Complete) } else { Progress::NeedInput(Needed::default()) }
    }

    fn is_generator(&self) -> bool {
        true
    }

    fn generate(&self, _most: usize) -> &[u8] {
        b"."
    }
}

/// A connection to a [`Generator`] reads `input`; then its stream is writable.
fn generate(input: &[u8], writes: &[IoResult]) {
    let budget = Arc::new(Budget::new(u64::MAX));
    let mut context = context(1 << 20, &budget, 1);
    let mut stream = ScriptedStream::new(input, &[IoResult::AtMost(input.len()), IoResult::WouldBlock], writes);
    let mut connection = Connection::new(Box::new(Generator), None, Millis::ZERO);
    connection.open(&mut stream, &mut context);
    connection.readable(&mut stream, &mut context);
    connection.writable(&mut stream, &mut context);
    let expect = [b".", input].concat();
    assert_eq!(&stream.output[..expect.len()], expect);
}

/// A connection whose header is complete starts its protocol.
fn announce(protocol: &str) {
    let stream = ScriptedStream::new(b"PROXY UNKNOWN\r\n", &[], &[]);
    Driver::awaiting_header(protocol, stream).run(&mut context(1 << 20, &Arc::new(Budget::new(0)), 1), MAX_OUTPUT);
}

/// The offload pool has no memory for a request.
fn fail_to_offload(input: &[u8]) {
    let budget = Arc::new(Budget::new(u64::MAX));
    let mut context = context(1 << 20, &budget, 1);
    let mut stream = ScriptedStream::new(input, &[], &[]);
    let mut connection = Connection::new(frame(), None, Millis::ZERO);
    let mut next = connection.open(&mut stream, &mut context);
    while !matches!(next, Next::Offload(_)) {
        next = connection.readable(&mut stream, &mut context);
    }
    assert!(matches!(connection.offload_failed(&mut stream, &mut context), Next::Wait));
    assert_eq!(connection.unanswered(), 1);
}

/// A request is recalled from the offload pool.
fn recall(input: &[u8]) {
    let budget = Arc::new(Budget::new(u64::MAX));
    let mut context = context(1 << 20, &budget, 1);
    let mut stream = ScriptedStream::new(input, &[], &[]);
    let mut connection = Connection::new(frame(), None, Millis::ZERO);
    let mut next = connection.open(&mut stream, &mut context);
    loop {
        match next {
            Next::Offload(job) => break connection.recall(job).expect("memory"),
            _ => next = connection.readable(&mut stream, &mut context),
        }
    }
    assert!(matches!(connection.continue_service(&mut stream, &mut context), Next::Offload(_)));
}

/// The stream is cut by an impairment in front of the protocol, and while the connection waits for memory.
fn cut(large: &[u8]) {
    let budget = Arc::new(Budget::new(1 << 20));
    let mut context = context(1 << 20, &budget, 1);
    let mut stream = ScriptedStream::new(b"", &[], &[]);
    let mut connection = Connection::awaiting_header(None, Millis::ZERO, Millis::NEVER);
    assert!(matches!(connection.on_fault(&mut stream, &mut context, Fault::Cut), Next::Wait));
    assert!(stream.write_closed);
    let mut other = Charge::new(&budget);
    assert!(other.try_grow(1 << 19, 1 << 19) && other.try_grow(1 << 20, 1 << 20));
    let mut driver = Driver::new("frame", ScriptedStream::new(large, &[], &[]));
    while !driver.waits_for_memory() {
        assert!(driver.step(&mut context).is_none());
    }
    let (connection, stream) = (&mut driver.connection, &mut driver.stream);
    assert!(matches!(connection.on_fault(stream, &mut context, Fault::Cut), Next::Wait));
    assert!(stream.write_closed);
    let nothing = Charge::new(&budget);
    assert!(matches!(connection.resume(stream, &mut context, nothing), Next::Wait));
}

/// A large request arrives while another connection holds all memory, which that one then gives back.
fn wait_for_memory(input: &[u8]) {
    let budget = Arc::new(Budget::new(1 << 20));
    let mut context = context(1 << 20, &budget, 1);
    let mut other = Charge::new(&budget);
    assert!(other.try_grow(1 << 19, 1 << 19) && other.try_grow(1 << 20, 1 << 20));
    let mut driver = Driver::new("frame", ScriptedStream::new(input, &[], &[]));
    while !driver.waits_for_memory() {
        assert!(driver.step(&mut context).is_none());
    }
    drop(other);
    driver.run(&mut context, MAX_OUTPUT);
}

#[test]
fn every_transition_of_the_table_is_made() {
    let small = request(UPPERCASE, 10);
    let large = request(UPPERCASE, 100_000);
    let offloaded = request(SHUFFLE, 100_000);
    let rejected = [request(UNKNOWN, 100_000), small.clone()].concat();
    let slow = [IoResult::AtMost(5), IoResult::WouldBlock, IoResult::AtMost(5)];
    run("frame", u64::MAX, ScriptedStream::new(&large, &[IoResult::AtMost(10)], &slow));
    run("frame", u64::MAX, ScriptedStream::new(&offloaded.repeat(2), &[], &slow));
    run("frame", u64::MAX, ScriptedStream::new(&rejected, &[IoResult::AtMost(10)], &slow));
    // a reply that waits while the request behind it is rejected
    run("frame", u64::MAX, ScriptedStream::new(&[&small[..], &rejected].concat(), &[IoResult::AtMost(200)], &slow));
    // a reply that waits while the request behind it is incomplete
    run("frame", u64::MAX, ScriptedStream::new(&small.repeat(2), &[IoResult::AtMost(20), IoResult::WouldBlock], &slow));
    run("ack", u64::MAX, ScriptedStream::new(b"once", &[IoResult::AtMost(4), IoResult::WouldBlock], &[]));
    run("ack", u64::MAX, ScriptedStream::new(b"once", &[IoResult::AtMost(4), IoResult::WouldBlock], &slow));
    run(
        "text",
        u64::MAX,
        ScriptedStream::new(&[b'x'; 40], &[IoResult::AtMost(10), IoResult::AtMost(30), IoResult::WouldBlock], &[]),
    );
    announce("frame");
    announce("chargen");
    generate(b"abc", &[]);
    generate(b"abc", &[IoResult::AtMost(1), IoResult::AtMost(1), IoResult::AtMost(2)]);
    generate(b"x", &[]);
    wait_for_memory(&large);
    cut(&large);
    fail_to_offload(&offloaded);
    recall(&offloaded);
    expire_each(&small, &rejected);
    let made = MADE.with_borrow(Clone::clone);
    for (from, next) in TRANSITIONS {
        for to in *next {
            assert!(made.contains(&(*from, *to)), "no connection went from {from:?} to {to:?}");
        }
    }
}
