//! Durations of requests: from the wake-up that reads the last byte until the kernel has taken the last byte of the
//! reply. Each wake-up takes 1 us here, and begins at a time that the test sets.

use std::sync::Arc;

use retortd::connection::{Budget, CloseReason, Next, Totals, WorkerCounters};
use retortd::protocol::RequestRng;

use crate::scripted::{CLOCK, IoResult, ScriptedStream};
use crate::session::{SHUFFLE, Session, UPPERCASE, assert_waits, frame_request};

/// The code of no action.
const UNKNOWN: u8 = 0x03;
/// A wake-up, in nanoseconds.
const WAKE_UP: u64 = 1000;

/// An open connection to a client that has sent nothing.
fn session(protocol: &str) -> Session {
    Session::new(protocol, ScriptedStream::default(), &Arc::new(Budget::new(4 << 20)), |_| {})
}

/// The connection makes `call` at a wake-up that begins at `now`, in nanoseconds.
fn wake_up(session: &mut Session, now: u64, call: impl FnOnce(&mut Session) -> Next) -> Next {
    session.context.woken = now;
    CLOCK.set(now + WAKE_UP);
    let next = call(session);
    session.context.record_durations(now + WAKE_UP);
    next
}

/// The client sends `input`, which is read at `now`.
fn send(session: &mut Session, now: u64, input: &[u8]) -> Next {
    session.stream.send(input);
    wake_up(session, now, Session::readable)
}

/// How many durations were recorded, and their sum in nanoseconds.
fn recorded(session: &Session) -> (u64, u64) {
    let durations = Totals::of([&*session.context.counters]).durations;
    (durations.counts.iter().sum(), durations.sum)
}

#[test]
fn requests_that_are_replied_to_at_once_take_the_wake_up() {
    let mut session = session("frame");
    let pipeline = frame_request(UPPERCASE, b"abc").repeat(3);
    assert_waits(&send(&mut session, 5_000_000, &pipeline));
    assert_eq!(recorded(&session), (3, 3 * WAKE_UP));
    assert_waits(&send(&mut session, 7_000_000, &pipeline));
    assert_eq!(recorded(&session), (6, 6 * WAKE_UP));
}

#[test]
fn the_time_in_which_a_request_arrives_does_not_count() {
    for length in [100, 100_000] {
        let mut session = session("frame");
        let request = frame_request(UPPERCASE, &vec![b'a'; length]);
        let (start, end) = request.split_at(request.len() - 1);
        assert_waits(&send(&mut session, 5_000_000, start));
        session.stream.await_input();
        let _ = wake_up(&mut session, 6_000_000, Session::readable);
        assert_eq!(recorded(&session), (0, 0));
        assert_waits(&send(&mut session, 9_000_000, end));
        while session.connection.interest().write {
            assert_waits(&wake_up(&mut session, 9_000_000, Session::writable));
        }
        assert_eq!(recorded(&session), (1, WAKE_UP), "{length} bytes");
    }
}

#[test]
fn the_time_until_a_client_takes_its_replies_counts() {
    let mut session = session("frame");
    session.stream.set_writes(&[IoResult::AtMost(5), IoResult::WouldBlock]);
    assert_waits(&send(&mut session, 5_000_000, &frame_request(UPPERCASE, b"abc").repeat(2)));
    assert_waits(&wake_up(&mut session, 6_000_000, Session::writable));
    assert_eq!(recorded(&session), (0, 0));
    assert_waits(&wake_up(&mut session, 8_000_000, Session::writable));
    assert_eq!(recorded(&session), (2, 2 * (3_000_000 + WAKE_UP)));
    // of the next request, only its own wake-up
    assert_waits(&send(&mut session, 9_000_000, &frame_request(UPPERCASE, b"abc")));
    assert_eq!(recorded(&session), (3, 2 * (3_000_000 + WAKE_UP) + WAKE_UP));
}

#[test]
fn an_offloaded_request_counts_from_its_last_byte_and_those_behind_it_too() {
    let mut session = session("frame");
    session.stream.send(&frame_request(SHUFFLE, &vec![b'a'; 300_000]));
    session.stream.send(&frame_request(UPPERCASE, b"abc"));
    let job = loop {
        match wake_up(&mut session, 5_000_000, Session::readable) {
            Next::Wait => {}
            Next::Offload(job) => break job,
            next => panic!("not offloaded: {next:?}"),
        }
    };
    let result = job.run(&mut RequestRng::new(None), session.context.unix_time).expect("memory");
    let mut next = wake_up(&mut session, 25_000_000, |session| {
        session.connection.offload_done(&mut session.stream, &mut session.context, result)
    });
    while session.connection.interest().write {
        assert_waits(&next);
        next = wake_up(&mut session, 25_000_000, Session::writable);
    }
    assert_eq!(recorded(&session).0, 1, "the other has not been read");
    assert_eq!(recorded(&session).1, 20_000_000 + WAKE_UP);
    assert_waits(&wake_up(&mut session, 26_000_000, Session::readable));
    assert_eq!(recorded(&session), (2, 20_000_000 + 2 * WAKE_UP));
}

#[test]
fn refused_requests_count_and_abandoned_ones_do_not() {
    let mut refused = session("frame");
    let _ = send(&mut refused, 5_000_000, &frame_request(UNKNOWN, b"abc"));
    assert_eq!((recorded(&refused), refused.context.counters.refused.get()), ((1, WAKE_UP), 1));
    let mut abandoned = session("frame");
    abandoned.stream.set_writes(&[IoResult::AtMost(5), IoResult::Reset]);
    assert_waits(&send(&mut abandoned, 5_000_000, &frame_request(UPPERCASE, b"abc")));
    let next = wake_up(&mut abandoned, 8_000_000, Session::writable);
    assert!(matches!(next, Next::Close(CloseReason::Reset)), "{next:?}");
    assert_eq!(recorded(&abandoned), (0, 0));
}

#[test]
fn each_listener_has_durations_of_its_own() {
    let mut session = session("frame");
    session.context.counters = WorkerCounters::new(2);
    let mut next = wake_up(&mut session, 5_000_000, |session| {
        session.stream.send(&frame_request(UPPERCASE, b"abc"));
        assert_waits(&session.readable());
        CLOCK.set(5_000_000 + WAKE_UP / 2);
        session.context.select(1);
        session.stream.send(&frame_request(UPPERCASE, b"abc").repeat(2));
        session.readable()
    });
    assert_waits(&next);
    next = wake_up(&mut session, 6_000_000, |session| {
        session.context.select(0);
        Next::Wait
    });
    assert_waits(&next);
    let durations = [0, 1].map(|listener| Totals::of([session.context.counters.of(listener)]).durations);
    assert_eq!(durations.map(|durations| (durations.counts[0], durations.sum)), [(1, WAKE_UP / 2), (2, 2 * WAKE_UP)]);
}
