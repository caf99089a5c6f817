//! Random scripts drive connections, and every transition between states is held to the table; all of the table is reached.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::state::{Kind, TRANSITIONS};
use super::*;
use crate::protocol::services::frame;
use crate::protocol::{CallContext, CloseCause, Exchange, Needed, Protocol, ProtocolSettings, by_name};
use scripted::{Act, Play, Script, context};

#[path = "../../tests/scripted/mod.rs"]
mod scripted;

thread_local! {
    /// The transitions that this thread has made.
    static MADE: RefCell<BTreeSet<(Kind, Kind)>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes a transition; called for every one of them.
pub(super) fn record(from: Kind, to: Kind) {
    if from != to {
        MADE.with_borrow_mut(|made| made.insert((from, to)));
    }
}

const UPPERCASE: u8 = 0x01;
const SHUFFLE: u8 = 0x08;
const UNKNOWN: u8 = 0x03;

fn frame() -> Box<dyn Protocol> {
    (by_name("frame").expect("listed").new)(&ProtocolSettings::default(), &())
}

fn request(code: u8, length: usize) -> Vec<u8> {
    [&frame::header(code, length)[..], &vec![b'a'; length]].concat()
}

/// Requests of all kinds: small, large, rejected and skipped, offloaded, cut short.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let request =
        (prop_oneof![Just(UPPERCASE), Just(SHUFFLE), Just(UNKNOWN)], prop_oneof![0..100usize, 60_000..140_000usize])
            .prop_map(|(code, length)| request(code, length));
    (proptest::collection::vec(request, 0..4), 0..20usize).prop_map(|(requests, cut)| {
        let all = requests.concat();
        all[..all.len().saturating_sub(cut)].to_vec()
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1..200_000usize).prop_map(Act::Bytes),
        2 => Just(Act::WouldBlock),
        1 => Just(Act::Interrupted),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every debug build asserts that a transition is in the table; here connections make as many of them as they can.
    #[test]
    fn random_connections_make_only_transitions_of_the_table(
        protocol in prop_oneof![4 => Just("frame"), 1 => Just("echo"), 1 => Just("chargen"), 1 => Just("text"), 1 => Just("ack")],
        input in input(),
        reads in proptest::collection::vec(act(), 0..12),
        writes in proptest::collection::vec(act(), 0..12),
        budget in prop_oneof![Just(600_000u64), Just(u64::MAX)],
    ) {
        let budget = Arc::new(Budget::new(budget));
        let mut context = context(1 << 20, &budget, 1);
        let mut play = Play::new(protocol, Script::new(&input, &reads, &writes));
        play.finish(&mut context, 1 << 20);
    }
}

/// Plays one connection to its end, or until it has been sent a mebibyte.
fn play(protocol: &str, budget: u64, script: Script) {
    let budget = Arc::new(Budget::new(budget));
    Play::new(protocol, script).finish(&mut context(1 << 20, &budget, 1), 1 << 20);
}

/// A connection that waits, in the state that `prepare` brings it to, expires.
fn expire(input: &[u8], writes: &[Act], prepare: impl FnOnce(&mut Context)) {
    let budget = Arc::new(Budget::new(u64::MAX));
    let mut context = context(1 << 20, &budget, 1);
    prepare(&mut context);
    let mut script = Script::new(input, &[Act::Bytes(input.len()), Act::WouldBlock], writes);
    script.unacknowledged = Some(5000);
    let mut connection = Connection::new(frame(), None, 0);
    connection.open(&mut script, &mut context);
    if !input.is_empty() {
        connection.readable(&mut script, &mut context);
    }
    while !script.output_ended && connection.deadline(&context) != NEVER {
        context.now = connection.deadline(&context);
        if let Next::Close(_) = connection.expire(&mut script, &mut context) {
            return;
        }
    }
}

/// Generates `.`; replies to input with the input, and closes when that contains an `x`.
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

    fn generate(&mut self, exchange: &mut Exchange<'_>) {
        exchange.reply(b".");
    }
}

/// A connection to a [`Generator`], which is sent `input` and then has room for its replies.
fn generate(input: &[u8], writes: &[Act]) {
    let budget = Arc::new(Budget::new(u64::MAX));
    let mut context = context(1 << 20, &budget, 1);
    let mut script = Script::new(input, &[Act::Bytes(input.len()), Act::WouldBlock], writes);
    let mut connection = Connection::new(Box::new(Generator), None, 0);
    connection.open(&mut script, &mut context);
    connection.readable(&mut script, &mut context);
    connection.writable(&mut script, &mut context);
    let expect = [b".", input].concat();
    assert_eq!(&script.output[..expect.len()], expect);
}

/// The thread pool has no memory for a request.
fn fail_to_offload(input: &[u8]) {
    let budget = Arc::new(Budget::new(u64::MAX));
    let mut context = context(1 << 20, &budget, 1);
    let mut script = Script::new(input, &[], &[]);
    let mut connection = Connection::new(frame(), None, 0);
    let mut next = connection.open(&mut script, &mut context);
    while !matches!(next, Next::Offload(_)) {
        next = connection.readable(&mut script, &mut context);
    }
    assert!(matches!(connection.offload_failed(&mut script, &mut context), Next::Wait));
    assert_eq!(connection.unanswered(), 1);
}

/// A large request arrives while another connection holds all memory, which is then given back.
fn wait_for_memory(input: &[u8]) {
    let budget = Arc::new(Budget::new(1 << 20));
    let mut context = context(1 << 20, &budget, 1);
    let mut other = Charge::new(&budget);
    assert!(other.try_grow(1 << 19, 1 << 19) && other.try_grow(1 << 20, 1 << 20));
    let mut play = Play::new("frame", Script::new(input, &[], &[]));
    while !play.waits_for_memory() {
        assert!(play.step(&mut context).is_none());
    }
    drop(other);
    play.finish(&mut context, 1 << 20);
}

#[test]
fn every_transition_of_the_table_is_made() {
    let small = request(UPPERCASE, 10);
    let large = request(UPPERCASE, 100_000);
    let offloaded = request(SHUFFLE, 100_000);
    let rejected = [request(UNKNOWN, 100_000), small.clone()].concat();
    let slow = [Act::Bytes(5), Act::WouldBlock, Act::Bytes(5)];
    play("frame", u64::MAX, Script::new(&large, &[Act::Bytes(10)], &slow));
    play("frame", u64::MAX, Script::new(&offloaded.repeat(2), &[], &slow));
    play("frame", u64::MAX, Script::new(&rejected, &[Act::Bytes(10)], &slow));
    // a reply that waits while the request behind it is rejected
    play("frame", u64::MAX, Script::new(&[&small[..], &rejected].concat(), &[Act::Bytes(200)], &slow));
    // a reply that waits while the request behind it is incomplete
    play("frame", u64::MAX, Script::new(&small.repeat(2), &[Act::Bytes(20), Act::WouldBlock], &slow));
    play("ack", u64::MAX, Script::new(b"once", &[Act::Bytes(4), Act::WouldBlock], &[]));
    play("ack", u64::MAX, Script::new(b"once", &[Act::Bytes(4), Act::WouldBlock], &slow));
    play("text", u64::MAX, Script::new(&[b'x'; 40], &[Act::Bytes(10), Act::Bytes(30), Act::WouldBlock], &[]));
    generate(b"abc", &[]);
    generate(b"abc", &[Act::Bytes(1), Act::Bytes(1), Act::Bytes(2)]);
    generate(b"x", &[]);
    wait_for_memory(&large);
    fail_to_offload(&offloaded);
    for (input, writes) in [(&b""[..], &[][..]), (&small[..12], &[]), (&rejected[..12], &[])] {
        expire(input, writes, |context| (context.limits.idle, context.limits.request) = (1000, 1000));
    }
    expire(&small, &[Act::Bytes(5), Act::WouldBlock], |context| {
        (context.limits.min_rate, context.contended_since) = (1, Some(0));
    });
    let made = MADE.with_borrow(Clone::clone);
    for (from, next) in TRANSITIONS {
        for to in *next {
            assert!(made.contains(&(*from, *to)), "no connection went from {from:?} to {to:?}");
        }
    }
}
