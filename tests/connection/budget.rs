//! The memory that connections hold and wait for.

use std::num::NonZero;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use retortd::connection::{
    Budget, Buffer, Charge, CloseReason, Demand, Millis, Next, OffloadJob, READ_BUF_SIZE, REPLY_BUF_SIZE,
};
use retortd::protocol::RequestRng;
use retortd::protocol::services::frame;

use crate::conversations::{Setting, conversation, io_results, serve};
use crate::scripted::{Driver, IoResult, ScriptedStream, check_sums, context};
use crate::session::{RANDOM, SHUFFLE, Session, UPPERCASE, assert_waits, frame_request};

/// A connection whose request was offloaded, and the job. The client will take ten bytes of the reply, then no more.
fn offload(code: u8, text: &[u8]) -> (Session, Box<OffloadJob>) {
    let writes = [IoResult::AtMost(10), IoResult::WouldBlock];
    let stream = ScriptedStream::new(&frame_request(code, text), &[], &writes);
    let mut session = Session::new("frame", stream, &Arc::new(Budget::new(8 << 20)), |_| {});
    match session.read_all() {
        Next::Offload(job) => (session, job),
        next => panic!("not offloaded: {next:?}"),
    }
}

/// Runs the job, and begins to send its reply.
fn complete(session: &mut Session, job: OffloadJob) {
    let result = job.run(&mut RequestRng::new(None), session.context.unix_time).expect("memory");
    assert_waits(&session.connection.offload_done(&mut session.stream, &mut session.context, result));
    assert!(session.connection.interest().write, "the client takes no more than ten bytes");
}

/// Fault 36: the memory that a reply could have needed is given back when the reply is there.
#[test]
fn reply_is_charged_with_the_memory_that_it_holds() {
    let (mut session, job) = offload(RANDOM, &b"a".repeat(100_000));
    assert!(session.used() > 1 << 20, "{} bytes charged for any reply up to the limit", session.used());
    complete(&mut session, *job);
    let held = session.used();
    assert!((50_000..500_000).contains(&held), "{held} bytes charged for a reply of about 100 KB");
}

#[test]
fn memory_of_a_reply_that_was_sent_is_given_back_while_a_small_request_arrives() {
    let large = frame_request(UPPERCASE, &b"a".repeat(40_000));
    let small = frame_request(UPPERCASE, b"abc");
    for begun in [2, 5] {
        let input = [&large, &small[..begun]].concat();
        let stream = ScriptedStream::new(&input, &[], &[IoResult::AtMost(10), IoResult::WouldBlock]);
        let mut session = Session::new("frame", stream, &Arc::new(Budget::new(8 << 20)), |_| {});
        assert_waits(&session.readable());
        assert!(session.used() >= 39_990, "the reply is charged");
        session.stream.await_input();
        while session.connection.interest().write {
            assert_waits(&session.writable());
        }
        assert_eq!(session.used(), 0, "{begun} bytes have arrived");
    }
}

/// A reply of the offload pool is written to a recycled buffer, which is charged as a whole until the reply is there.
#[test]
fn reply_of_an_offloaded_request_takes_a_recycled_buffer() {
    // the reply may be ten times as long as the request: a buffer of this size is too large for the input
    let spare = 1_500_000;
    let stream = ScriptedStream::new(&frame_request(RANDOM, &b"a".repeat(100_000)), &[], &[]);
    let mut session = Session::new("frame", stream, &Arc::new(Budget::new(64 << 20)), |_| {});
    let before = session.context.pool.release(Buffer::zeroed(spare).expect("memory"));
    assert!(before.is_none(), "it is kept");
    let Next::Offload(job) = session.read_all() else { panic!("not offloaded") };
    assert!(session.context.pool.take_spare(spare).is_none(), "the job has it");
    assert!(session.used() >= 1_600_000, "{} bytes charged", session.used());
    let result = job.run(&mut RequestRng::new(None), session.context.unix_time).expect("memory");
    assert_waits(&session.connection.offload_done(&mut session.stream, &mut session.context, result));
}

/// Fault 36: a request that waited for memory is offloaded without another call of its protocol.
#[test]
fn request_that_waited_for_memory_is_not_processed_again() {
    let request = frame_request(SHUFFLE, "é".repeat(100_000).as_bytes());
    let budget = Arc::new(Budget::new(8 << 20));
    let mut session = Session::new("frame", ScriptedStream::new(&request, &[], &[]), &budget, |_| {});
    // others leave enough memory for the request, and too little for its reply
    let others = [(4 << 20) - 250_000, 4 << 20].map(|bytes| budget.grant(Demand { shared: bytes, reserve: bytes }));
    assert!(others.iter().all(Option::is_some));
    let next = session.read_all();
    let Next::WaitForMemory(demand) = next else { panic!("not waiting for memory: {next:?}") };
    assert_eq!(session.context.counters.bytes_in.get(), request.len() as u64, "it waits for the memory of its reply");
    drop(others);
    let grant = budget.grant(demand).expect("memory was given back");
    // another call of the protocol would draw a random number
    let drawn = session.context.random.seed();
    let next = session.resume(grant);
    assert!(matches!(next, Next::Offload(_)), "{next:?}");
    assert_eq!(session.context.random.seed(), drawn, "the protocol was called again");
}

/// Fault 36: while other connections wait for memory, a client must receive its reply at `--min-rate`.
#[test]
fn min_rate_closes_a_slow_client_only_while_others_wait_for_memory() {
    let min_rate = NonZero::new(1000);
    let (mut session, job) = offload(SHUFFLE, "é".repeat(50_000).as_bytes());
    session.context.limits.min_rate = min_rate;
    complete(&mut session, *job);
    // no other connection waits: ten bytes in a minute are enough
    assert_waits(&session.expire_at(60_000));
    // another one begins to wait: five seconds later the client must be fast enough
    session.context.contended_since = Some(Millis::new(60_000));
    for (now, deadline) in [(60_000, 61_000), (61_000, 65_000)] {
        assert_waits(&session.expire_at(now));
        assert_eq!(session.deadline(), deadline);
    }
    // bytes that the kernel has taken do not count until they are acknowledged
    session.set_time(62_000);
    session.stream.set_writes(&[IoResult::AtMost(50_000), IoResult::WouldBlock]);
    session.stream.unacknowledged = Some(47_000);
    assert_waits(&session.writable());
    assert_waits(&session.expire_at(65_000));
    assert_eq!(session.deadline(), 68_000, "3000 bytes extend it by three seconds; the minute before does not count");
    // a client that is fast enough stays, although nothing can be sent for a while
    for (now, left) in [(68_000, 43_000), (72_000, 39_000), (76_000, 35_000)] {
        session.stream.unacknowledged = Some(left);
        assert_waits(&session.expire_at(now));
        assert_eq!(session.deadline(), now + 4_000);
    }
    // it becomes too slow: without the limit it stays
    session.context.limits.min_rate = None;
    assert_waits(&session.expire_at(80_000));
    assert!(!session.stream.write_closed && session.used() > 0);
    // with the limit its memory is free at once, and bytes that were sent before still arrive
    session.context.limits.min_rate = min_rate;
    assert_waits(&session.expire_at(80_000));
    assert!(session.stream.write_closed && !session.connection.interest().write);
    drop(std::mem::take(&mut session.context.retired));
    assert_eq!((session.used(), session.connection.unanswered()), (0, 1));
    session.stream.unacknowledged = Some(0);
    assert_waits(&session.expire_at(session.deadline()));
    assert!(matches!(session.expire_at(session.deadline()), Next::Close(CloseReason::MinRate)));
}

/// While memory is short the reply buffer is small: a request whose reply may not fit there is offloaded, and does not
/// wait for memory.
#[test]
fn request_whose_reply_may_not_fit_while_memory_is_short_is_offloaded() {
    let budget = Arc::new(Budget::new(1 << 20));
    let mut taken = Charge::new(&budget);
    taken.set_unchecked(1 << 19);
    assert!(budget.is_exhausted());
    let request = frame_request(UPPERCASE, "é".repeat(8000).as_bytes());
    let stream = ScriptedStream::new(&request, &[], &[]);
    let mut session = Session::new("frame", stream, &budget, |limits| limits.message = 1 << 16);
    let next = session.read_all();
    assert!(matches!(next, Next::Offload(_)), "{next:?}");
}

/// Serves all conversations at the same time from one budget; returns their outputs.
///
/// `order` chooses the connection of each call; after that they take turns.
fn serve_concurrently(
    conversations: &[Vec<u8>],
    (reads, writes): (&[IoResult], &[IoResult]),
    order: &[prop::sample::Index],
    setting: Setting,
) -> Vec<Vec<u8>> {
    /// Bytes that the connections may hold beyond the budget: the worker's buffers, when a connection copies its part.
    const OVERDRAFT: u64 = (READ_BUF_SIZE + REPLY_BUF_SIZE) as u64;
    let budget = Arc::new(Budget::new(setting.budget));
    let mut context = context(setting.message, &budget, setting.seed);
    let driver = |bytes: &Vec<u8>| Driver::new("frame", ScriptedStream::new(bytes, reads, writes));
    let mut drivers: Vec<Driver> = conversations.iter().map(driver).collect();
    context.counters.accepted.add(drivers.len() as u64);
    let mut open: Vec<usize> = (0..drivers.len()).collect();
    let mut order = order.iter();
    let mut waits_in_sequence = 0;
    while !open.is_empty() {
        let chosen = order.next();
        let turn = chosen.map_or(waits_in_sequence % open.len(), |index| index.index(open.len()));
        let driver = &mut drivers[open[turn]];
        let has_closed = driver.step(&mut context).is_some();
        waits_in_sequence = if driver.waits_for_memory() && chosen.is_none() { waits_in_sequence + 1 } else { 0 };
        assert!(waits_in_sequence <= open.len(), "all connections wait for memory, and none will give any back");
        let used = budget.used();
        assert!(used <= i64::try_from(setting.budget + OVERDRAFT).expect("a budget"), "over the budget: {used} bytes");
        if has_closed {
            // its memory is given back when it is dropped, and not before
            let stream = std::mem::take(&mut driver.stream);
            *driver = Driver::new("frame", stream);
            open.remove(turn);
        } else if !driver.waits_for_memory() {
            open.rotate_left(1);
        }
    }
    assert_eq!(budget.used(), 0);
    check_sums(&context);
    drivers.into_iter().map(|driver| driver.stream.output).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_client_has_its_replies_however_small_the_budget_is(
        (conversations, reads) in (vec(conversation(&frame::INFO), 2..12), io_results()),
        order in vec(any::<prop::sample::Index>(), 1..200),
        (budget, writes) in (select(vec![1u64 << 18, 1 << 19, 1 << 20]), io_results()),
    ) {
        let setting = Setting { message: 100_000, budget, seed: 7 };
        let alone = |bytes: &Vec<u8>| serve("frame", ScriptedStream::new(bytes, &[], &[]), setting).output;
        let expected: Vec<Vec<u8>> = conversations.iter().map(alone).collect();
        prop_assert_eq!(serve_concurrently(&conversations, (&reads, &writes), &order, setting), expected);
    }
}

/// Half of each request is read in turn and exceeds the budget: if the budget served them in no order, all would wait.
#[test]
fn large_requests_are_granted_memory_one_after_another() {
    const MESSAGE: usize = 3 << 20;
    let setting = Setting { message: MESSAGE, budget: 10 << 20, seed: 1 };
    let request = frame_request(UPPERCASE, &b"a".repeat(MESSAGE));
    let expected = [&u32::try_from(MESSAGE).expect("a length").to_be_bytes(), &b"A"[..].repeat(MESSAGE)[..]].concat();
    let slow = vec![IoResult::AtMost(100_000); 40];
    for output in serve_concurrently(&vec![request; 8], (&slow, &slow), &[], setting) {
        assert!(output == expected, "{} bytes received", output.len());
    }
}

/// A client that sends without pause and reads nothing costs a constant number of bytes beyond the budget.
#[test]
fn clients_that_never_read_hold_bounded_memory() {
    const CLIENTS: usize = 200;
    const PER_CLIENT: i64 = 24 * 1024;
    const BUDGET: i64 = 1 << 20;
    let budget = Arc::new(Budget::new(BUDGET as u64));
    let mut context = context(1 << 16, &budget, 1);
    // a text that grows in uppercase
    let input = frame_request(UPPERCASE, "\u{390}".repeat(500).as_bytes()).repeat(300);
    let driver = |_| Driver::new("frame", ScriptedStream::new(&input, &[], &vec![IoResult::WouldBlock; 2000]));
    let mut drivers: Vec<Driver> = (0..CLIENTS).map(driver).collect();
    for _ in 0..100 {
        for driver in drivers.iter_mut().filter(|driver| !driver.waits_to_write()) {
            assert!(driver.step(&mut context).is_none(), "closed");
        }
    }
    assert!(drivers.iter().all(|driver| driver.waits_to_write() || driver.waits_for_memory()), "some still read");
    let max = BUDGET + i64::try_from(CLIENTS).expect("a number of clients") * PER_CLIENT;
    assert!((BUDGET / 2..max).contains(&budget.used()), "{} bytes held, at most {max} expected", budget.used());
    drop(drivers);
    assert_eq!(budget.used(), 0);
}
