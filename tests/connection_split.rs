//! Guarantees of the connection to every protocol: neither the split of the input, nor short writes, nor interruptions
//! change what a client receives, or the counters.

#![allow(clippy::cast_possible_truncation, reason = "lengths of tests are small")]

mod scripted;

use std::io::{self, Read, Write};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use retortd::connection::{
    Budget, Charge, CloseReason, Connection, Context, Counter, Next, READ_BUF_SIZE, REPLY_BUF_SIZE, Stream,
};
use retortd::protocol::services::frame;
use retortd::protocol::{Input, PROTOCOLS, ProtocolInfo, ProtocolSettings, by_name};
use scripted::{Act, Play, Script, check_sums, context};

/// The protocols whose replies do not depend on how the input is split.
fn streams() -> Vec<&'static ProtocolInfo> {
    PROTOCOLS.iter().copied().filter(|info| info.input == Input::Stream).collect()
}

/// The output and the counts of a whole connection.
#[derive(Debug, PartialEq)]
struct Seen {
    output: Vec<u8>,
    reason: Option<CloseReason>,
    refused: u64,
    bytes_in: u64,
    bytes_out: u64,
}

fn alone(name: &str, script: Script, setting: Setting) -> Seen {
    let budget = Arc::new(Budget::new(setting.budget));
    let mut context = context(setting.message, &budget, setting.seed);
    context.counters.accepted.add(1);
    let mut play = Play::new(name, script);
    let reason = play.finish(&mut context, usize::MAX);
    let output = std::mem::take(&mut play.script.output);
    drop(play);
    check_sums(&context.counters);
    assert_eq!(budget.used(), 0, "memory was not given back to the budget");
    let count = |pick: fn(&Context) -> &Counter| pick(&context).get();
    assert_eq!(count(|context| &context.counters.bytes_out), output.len() as u64);
    Seen {
        output,
        reason,
        refused: count(|context| &context.counters.refused),
        bytes_in: count(|context| &context.counters.bytes_in),
        bytes_out: count(|context| &context.counters.bytes_out),
    }
}

/// The limits of a connection.
#[derive(Clone, Copy, Debug)]
struct Setting {
    message: usize,
    budget: u64,
    seed: u64,
}

fn setting() -> impl Strategy<Value = Setting> {
    (select(vec![40, 70_000, 1 << 27]), select(vec![1 << 10, 1 << 18, 1 << 21, u64::MAX]), any::<u64>())
        .prop_map(|(message, budget, seed)| Setting { message, budget, seed })
}

/// A piece of text, mostly small; large ones are read into a buffer of their own, or transformed by another thread.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let repeated = |(unit, times): (&'static str, usize)| unit.as_bytes().repeat(times);
    let units = || select(vec!["Ab c", "stra\u{df}e ", "\u{3a3}\u{390}", "x\u{1f600}", "\u{fffd}"]);
    prop_oneof![
        8 => vec(any::<char>(), 0..20).prop_map(|text| String::from_iter(text).into_bytes()),
        2 => vec(any::<u8>(), 0..50),
        3 => (units(), 200usize..3000).prop_map(repeated),
        1 => (units(), 8000usize..40_000).prop_map(repeated),
    ]
}

/// The words for actions that a request can name, and some that it cannot.
fn action_words(info: &ProtocolInfo) -> Vec<&'static str> {
    let Some(actions) = info.client.actions else { return vec![""] };
    let unknown: &[&str] = if actions.have_codes { &["3", "0"] } else { &["scream"] };
    actions.known.iter().map(|action| action.name()).chain(unknown.iter().copied()).collect()
}

/// Requests as the protocol's client side writes them.
fn request(info: &'static ProtocolInfo) -> impl Strategy<Value = Vec<u8>> {
    (select(action_words(info)), message()).prop_map(|(action, message)| {
        let mut wire = Vec::new();
        (info.client.write_request)(action, &message, &mut wire).expect("a request");
        wire
    })
}

/// Requests, sometimes with rubbish between them or cut short at the end.
fn conversation(info: &'static ProtocolInfo) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![20 => request(info).boxed(), 1 => vec(any::<u8>(), 0..9).boxed()];
    (vec(part, 0..8), prop_oneof![3 => Just(0), 1 => 0..40usize]).prop_map(|(parts, missing)| {
        let mut bytes = parts.concat();
        bytes.truncate(bytes.len().saturating_sub(missing));
        bytes
    })
}

fn exchange() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    select(streams()).prop_flat_map(|info| conversation(info).prop_map(move |bytes| (info.name, bytes)))
}

/// Results of system calls; without `reset`, none that loses the connection.
fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1usize..9).prop_map(Act::Bytes),
        3 => (1usize..600).prop_map(Act::Bytes),
        2 => (1usize..70_000).prop_map(Act::Bytes),
        2 => Just(Act::WouldBlock),
        1 => Just(Act::Interrupted),
    ];
    vec(act, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_bytes(
        (name, bytes) in exchange(),
        reads in acts(),
        writes in acts(),
        setting in setting(),
    ) {
        let whole = alone(name, Script::new(&bytes, &[], &[]), setting);
        let split = alone(name, Script::new(&bytes, &reads, &writes), setting);
        prop_assert_eq!(&split.output, &whole.output);
        prop_assert_eq!((split.reason, split.refused), (whole.reason, whole.refused));
        if whole.reason == Some(CloseReason::Finished) || whole.reason == Some(CloseReason::Truncated) {
            prop_assert_eq!(whole.bytes_in, bytes.len() as u64, "the whole input was read");
            prop_assert_eq!(split.bytes_in, whole.bytes_in);
        }
    }

    #[test]
    fn a_reset_anywhere_cuts_the_replies_and_nothing_else(
        (name, bytes) in exchange(),
        mut reads in acts(),
        mut writes in acts(),
        (in_reads, at) in (any::<bool>(), 0usize..60),
        setting in setting(),
    ) {
        let whole = alone(name, Script::new(&bytes, &[], &[]), setting);
        let acts = if in_reads { &mut reads } else { &mut writes };
        acts.truncate(at);
        acts.push(Act::Reset);
        let cut = alone(name, Script::new(&bytes, &reads, &writes), setting);
        prop_assert!(whole.output.starts_with(&cut.output), "not the beginning of what an undisturbed client gets");
    }

    #[test]
    fn no_input_breaks_a_connection(
        name in select(PROTOCOLS.iter().map(|entry| entry.name).collect::<Vec<_>>()),
        bytes in vec(any::<u8>(), 0..5000),
        reads in acts(),
        writes in acts(),
    ) {
        let budget = Arc::new(Budget::new(1 << 20));
        let mut context = context(100_000, &budget, 1);
        context.counters.accepted.add(1);
        let mut play = Play::new(name, Script::new(&bytes, &reads, &writes));
        if play.finish(&mut context, 1 << 20).is_some() {
            check_sums(&context.counters);
        }
    }

    #[test]
    fn every_client_gets_its_replies_however_small_the_budget(
        (conversations, reads) in (vec(conversation(&frame::INFO), 2..12), acts()),
        order in vec(any::<prop::sample::Index>(), 1..200),
        (budget, writes) in (select(vec![1u64 << 18, 1 << 19, 1 << 20]), acts()),
    ) {
        let setting = Setting { message: 100_000, budget, seed: 7 };
        let expected: Vec<Vec<u8>> =
            conversations.iter().map(|bytes| alone("frame", Script::new(bytes, &[], &[]), setting).output).collect();
        let crowd = crowd(&conversations, (&reads, &writes), &order, setting);
        prop_assert_eq!(crowd, expected);
    }
}

/// Serves all conversations at once from one budget, in the given `order` and then round-robin. Returns their outputs.
fn crowd(
    conversations: &[Vec<u8>],
    (reads, writes): (&[Act], &[Act]),
    order: &[prop::sample::Index],
    setting: Setting,
) -> Vec<Vec<u8>> {
    /// Bytes that a connection may hold beyond its charge: its input and replies when the budget ran out.
    const CONSTANT: u64 = (READ_BUF_SIZE + REPLY_BUF_SIZE) as u64;
    let budget = Arc::new(Budget::new(setting.budget));
    let mut context = context(setting.message, &budget, setting.seed);
    let play = |bytes: &Vec<u8>| Play::new("frame", Script::new(bytes, reads, writes));
    let mut plays: Vec<Play> = conversations.iter().map(play).collect();
    context.counters.accepted.add(plays.len() as u64);
    let mut open: Vec<usize> = (0..plays.len()).collect();
    let mut order = order.iter();
    let mut fruitless = 0;
    while !open.is_empty() {
        let chosen = order.next();
        let turn = chosen.map_or(fruitless % open.len(), |index| index.index(open.len()));
        let play = &mut plays[open[turn]];
        let ended = play.step(&mut context).is_some();
        fruitless = if play.waits_for_memory() && chosen.is_none() { fruitless + 1 } else { 0 };
        assert!(fruitless <= open.len(), "all wait for memory, and nobody has any to give");
        assert!(
            budget.used() <= i64::try_from(setting.budget + CONSTANT).expect("a budget"),
            "over the budget: {}",
            budget.used()
        );
        if ended {
            // the memory of a connection is free when it is closed, not before
            let script = std::mem::take(&mut play.script);
            *play = Play::new("frame", script);
            open.remove(turn);
        } else if !play.waits_for_memory() {
            open.rotate_left(1);
        }
    }
    assert_eq!(budget.used(), 0);
    check_sums(&context.counters);
    plays.into_iter().map(|play| play.script.output).collect()
}

/// A client that sends as fast as it is read does not delay the drain of other connections.
#[test]
fn draining_a_flood_takes_turns() {
    let budget = Arc::new(Budget::new(1 << 20));
    let mut context = context(1 << 16, &budget, 1);
    let mut flood = Flood(0);
    let protocol = (by_name("discard").expect("a name in the table").new)(&ProtocolSettings::default(), &());
    let mut connection = Connection::new(protocol, None, 0);
    assert!(matches!(connection.open(&mut flood, &mut context), Next::Wait));
    for _ in 0..3 {
        let before = flood.0;
        assert!(matches!(connection.drain(&mut flood, &mut context, retortd::connection::Grace::Over), Next::Wait));
        assert!(connection.is_idle() && (1..1000).contains(&(flood.0 - before)), "{} reads", flood.0);
    }
}

/// A write that moves nothing is no progress (EAGAIN after a false readiness): the deadline stays.
#[test]
fn a_send_that_moves_nothing_renews_no_deadline() {
    let budget = Arc::new(Budget::new(1 << 20));
    let mut context = context(1 << 16, &budget, 1);
    context.limits.write = 100;
    let request = [&frame::header(4, 3)[..], b"abc"].concat();
    let mut script = Script::new(&request, &[], &[Act::Bytes(2), Act::WouldBlock, Act::Bytes(2)]);
    let mut connection = Connection::new(
        (by_name("frame").expect("a name in the table").new)(&ProtocolSettings::default(), &()),
        None,
        0,
    );
    assert!(matches!(connection.open(&mut script, &mut context), Next::Wait));
    assert!(matches!(connection.readable(&mut script, &mut context), Next::Wait));
    assert_eq!(connection.deadline(&context), 25);
    for (now, look) in [(10, 25), (20, 45)] {
        context.now = now;
        assert!(matches!(connection.writable(&mut script, &mut context), Next::Wait));
        assert_eq!(connection.deadline(&context), look);
    }
    for (now, deadline) in [(45, 120), (119, 120)] {
        context.now = now;
        assert!(matches!(connection.expire(&mut script, &mut context), Next::Wait));
        assert_eq!(connection.deadline(&context), deadline);
    }
    context.now = 120;
    assert!(matches!(connection.expire(&mut script, &mut context), Next::Close(CloseReason::WriteTimeout)));
}

/// A connection that lingers waits for the client's half-close, also after a false readiness.
#[test]
fn lingering_outlasts_a_read_of_nothing() {
    let budget = Arc::new(Budget::new(1 << 20));
    let mut context = context(1 << 16, &budget, 1);
    let mut script = Script::new(b"abc", &[Act::Bytes(3), Act::WouldBlock], &[]);
    let mut connection =
        Connection::new((by_name("ack").expect("a name in the table").new)(&ProtocolSettings::default(), &()), None, 0);
    assert!(matches!(connection.open(&mut script, &mut context), Next::Wait));
    assert!(matches!(connection.readable(&mut script, &mut context), Next::Wait));
    assert!(script.output_ended && script.output == b"Message received!");
    assert!(matches!(connection.readable(&mut script, &mut context), Next::Wait), "closed by EAGAIN");
    assert!(matches!(connection.readable(&mut script, &mut context), Next::Close(CloseReason::Served)));
}

/// While memory is short the reply buffer is small: a request whose reply may not fit is offloaded, and does not wait.
#[test]
fn what_may_not_fit_while_memory_is_short_goes_to_a_thread() {
    let budget = Arc::new(Budget::new(1 << 20));
    let mut taken = Charge::new(&budget);
    taken.set_unchecked(1 << 19);
    assert!(budget.is_exhausted());
    let text = "é".repeat(8000);
    let request = [&frame::header(1, text.len()), text.as_bytes()].concat();
    let mut context = context(1 << 16, &budget, 1);
    let mut script = Script::new(&request, &[], &[]);
    let mut connection = Connection::new(
        (by_name("frame").expect("a name in the table").new)(&ProtocolSettings::default(), &()),
        None,
        0,
    );
    assert!(matches!(connection.open(&mut script, &mut context), Next::Wait));
    let next = (0..20).map(|_| connection.readable(&mut script, &mut context)).find(|next| !matches!(next, Next::Wait));
    assert!(matches!(next, Some(Next::Offload(_))), "{next:?}");
}

/// One call does a bounded amount of work, however much a client sends and takes.
#[test]
fn one_call_moves_a_bounded_amount() {
    // small requests, one that is large, one that is refused and dropped, and services that never end
    let large = frame::header(4, frame::MAX_LENGTH);
    for (name, first) in [("frame", [0; 4]), ("frame", large), ("echo", large), ("discard", large), ("chargen", large)]
    {
        let budget = Arc::new(Budget::new(1 << 30));
        let mut context = context(frame::MAX_LENGTH, &budget, 1);
        let protocol = (by_name(name).expect("a name in the table").new)(&ProtocolSettings::default(), &());
        let mut connection = Connection::new(protocol, None, 0);
        let mut begin = Script::new(&first, &[Act::Bytes(4), Act::WouldBlock], &[Act::WouldBlock; 9]);
        for call in [Connection::open, Connection::readable] {
            assert!(matches!(call(&mut connection, &mut begin, &mut context), Next::Wait));
        }
        for call in [Connection::readable, Connection::writable] {
            let mut flood = Flood(0);
            assert!(matches!(call(&mut connection, &mut flood, &mut context), Next::Wait), "{name}");
            assert!(flood.0 < 20, "{name}: {} system calls", flood.0);
        }
    }
}

/// Always has input and accepts all output; counts the calls.
struct Flood(u32);

impl Read for Flood {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0 += 1;
        assert!(self.0 < 1000, "never lets go of it");
        Ok(into.len())
    }
}

impl Write for Flood {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += 1;
        assert!(self.0 < 1000, "never lets go of it");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Flood {
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn unacknowledged(&self) -> Option<usize> {
        None
    }
}

/// The first halves of all requests together exceed the budget: without an order in which they get it, all would wait.
#[test]
fn large_requests_take_turns() {
    const MESSAGE: usize = 3 << 20;
    let setting = Setting { message: MESSAGE, budget: 10 << 20, seed: 1 };
    let request = [&frame::header(1, MESSAGE), &b"a"[..].repeat(MESSAGE)[..]].concat();
    let expected = [&(MESSAGE as u32).to_be_bytes(), &b"A"[..].repeat(MESSAGE)[..]].concat();
    let slowly = vec![Act::Bytes(100_000); 40];
    for output in crowd(&vec![request; 8], (&slowly, &slowly), &[], setting) {
        assert!(output == expected, "got {} bytes", output.len());
    }
}

/// Clients that send as fast as they can and read nothing cost a constant each, beyond the budget.
#[test]
fn clients_that_never_read_cost_little() {
    const CLIENTS: usize = 200;
    const EACH: i64 = 24 * 1024;
    const BUDGET: i64 = 1 << 20;
    let budget = Arc::new(Budget::new(BUDGET as u64));
    let mut context = context(1 << 16, &budget, 1);
    let grows = "\u{390}".repeat(500);
    let request = [&frame::header(1, grows.len()), grows.as_bytes()].concat();
    let input = request.repeat(300);
    let play = |_| Play::new("frame", Script::new(&input, &[], &vec![Act::WouldBlock; 2000]));
    let mut plays: Vec<Play> = (0..CLIENTS).map(play).collect();
    for _ in 0..100 {
        for play in plays.iter_mut().filter(|play| !play.is_blocked()) {
            assert!(play.step(&mut context).is_none(), "closed");
        }
    }
    assert!(plays.iter().all(|play| play.is_blocked() || play.waits_for_memory()), "some still read");
    let most = BUDGET + i64::try_from(CLIENTS).expect("a number of clients") * EACH;
    assert!((BUDGET / 2..most).contains(&budget.used()), "{} taken, at most {most} expected", budget.used());
    drop(plays);
    assert_eq!(budget.used(), 0);
}
