//! The end of each connection while the server drains, and before that.

use std::sync::Arc;

use retortd::connection::{Budget, CloseReason, Connection, Counter, Grace, Millis, Next};

use crate::fairness::EndlessStream;
use crate::scripted::{IoResult, ScriptedStream, connection, context};
use crate::session::{Session, UPPERCASE, assert_waits, frame_request};

#[test]
fn drain_shortens_lingering_to_a_quarter_of_a_second() {
    let mut closing = Session::after_input("ack", b"abc", |_| {});
    closing.stream.unacknowledged = Some(0);
    assert_waits(&closing.expire_at(50));
    closing.context.draining = true;
    assert_waits(&closing.drain(Grace::Over));
    assert_eq!(closing.deadline(), 300);
}

#[test]
fn drain_gives_grace_only_to_a_client_that_has_sent_no_request() {
    let request = frame_request(UPPERCASE, b"abc");
    for has_sent in [true, false] {
        let input = if has_sent { &request[..] } else { b"" };
        let budget = Arc::new(Budget::new(1 << 20));
        let mut session = Session::new("frame", ScriptedStream::new(input, &[], &[]), &budget, |_| {});
        if has_sent {
            assert_waits(&session.readable());
        }
        let counted = [&session.context.counters.requests, &session.context.counters.answered].map(Counter::get);
        assert_eq!(counted, [u64::from(has_sent); 2]);
        for (grace, closes) in [(Grace::Given, has_sent), (Grace::Over, true)] {
            session.stream.await_input();
            assert_waits(&session.drain(grace));
            assert_eq!(session.stream.write_closed, closes, "request: {has_sent}, grace: {grace:?}");
        }
    }
}

/// A client that sends faster than it is read does not hold up the worker: each call reads a bounded number of bytes.
#[test]
fn drain_of_a_client_that_sends_without_pause_reads_a_bounded_amount() {
    let mut context = context(1 << 16, &Arc::new(Budget::new(1 << 20)), 1);
    let mut stream = EndlessStream::default();
    let mut connection = connection("discard");
    assert_waits(&connection.open(&mut stream, &mut context));
    for _ in 0..3 {
        let before = stream.calls;
        assert_waits(&connection.drain(&mut stream, &mut context, Grace::Over));
        let reads = stream.calls - before;
        assert!(connection.is_idle() && (1..1000).contains(&reads), "{reads} reads");
    }
}

/// A connection at time 0 to a client of this protocol, which sends `input` later.
fn waiting_client(protocol: &str, input: &[u8]) -> Session {
    let budget = Arc::new(Budget::new(1 << 20));
    let mut session = Session::new(protocol, ScriptedStream::new(b"", &[], &[]), &budget, |_| {});
    session.stream.send(input);
    session.stream.await_input();
    session
}

/// Visits a connection at `now`, in milliseconds, before a drain begins.
fn close_if_quiet_at(session: &mut Session, now: u64) -> Next {
    session.set_time(now);
    session.connection.close_if_quiet(&mut session.stream, &mut session.context)
}

#[test]
fn connection_is_closed_before_a_drain_when_nothing_has_arrived_for_a_second() {
    let mut silent = waiting_client("frame", b"");
    assert_waits(&close_if_quiet_at(&mut silent, 999));
    assert!(!silent.stream.write_closed);
    assert_waits(&close_if_quiet_at(&mut silent, 1000));
    assert!(silent.stream.write_closed, "half-closed");
    assert!(matches!(silent.expire_at(3000), Next::Close(CloseReason::Stopped)));
    // the time begins with the last reply
    let mut served = waiting_client("frame", &frame_request(UPPERCASE, b"abc"));
    served.set_time(700);
    assert_waits(&served.readable());
    served.stream.await_input();
    assert_waits(&close_if_quiet_at(&mut served, 1699));
    assert!(!served.stream.write_closed && served.stream.output == b"\0\0\0\x03ABC");
    assert_waits(&close_if_quiet_at(&mut served, 1700));
    assert!(served.stream.write_closed);
}

/// The request has arrived, but its event has not been handled.
#[test]
fn request_that_has_just_arrived_is_answered_in_place_of_the_close() {
    let mut session = waiting_client("frame", &frame_request(UPPERCASE, b"abc"));
    assert_waits(&close_if_quiet_at(&mut session, 60_000));
    assert_eq!((&session.stream.output[..], session.stream.write_closed), (&b"\0\0\0\x03ABC"[..], false));
    session.stream.await_input();
    assert_waits(&close_if_quiet_at(&mut session, 60_999));
    assert!(!session.stream.write_closed, "it is quiet again after a second");
}

#[test]
fn connection_with_something_pending_is_not_closed_before_a_drain() {
    let (request, minute) = (frame_request(UPPERCASE, b"abc"), 60_000);
    let mut partial = Session::after_input("frame", &request[..5], |_| {});
    partial.stream.unacknowledged = Some(0);
    let mut unacknowledged = Session::after_input("frame", &request, |_| {});
    let mut generator = waiting_client("chargen", b"");
    for session in [&mut partial, &mut unacknowledged, &mut generator] {
        session.stream.await_input();
        assert_waits(&close_if_quiet_at(session, minute));
        assert!(!session.stream.write_closed);
    }
    unacknowledged.stream.unacknowledged = Some(0);
    assert_waits(&close_if_quiet_at(&mut unacknowledged, minute));
    assert!(unacknowledged.stream.write_closed, "its client has taken the reply");
}

#[test]
fn connection_whose_header_is_awaited_is_quiet_until_the_header_begins() {
    for (arrived, closes) in [(&b""[..], true), (b"PROXY UNK", false)] {
        let connection = Connection::awaiting_header(None, Millis::ZERO, Millis::new(60_000));
        let context = context(1 << 20, &Arc::new(Budget::new(1 << 20)), 1);
        let reads = if arrived.is_empty() { &[][..] } else { &[IoResult::AtMost(arrived.len())][..] };
        let mut session = Session { connection, stream: ScriptedStream::new(arrived, reads, &[]), context };
        session.stream.await_input();
        assert_waits(&session.readable());
        session.stream.await_input();
        assert_waits(&close_if_quiet_at(&mut session, 999));
        let next = close_if_quiet_at(&mut session, 1000);
        assert_eq!(matches!(next, Next::Close(CloseReason::Stopped)), closes, "{next:?}");
        assert_eq!(matches!(next, Next::Wait), !closes, "{next:?}");
    }
}

/// It has arrived, but its event has not been handled.
#[test]
fn header_that_has_just_arrived_is_read_in_place_of_the_close() {
    for (arrived, is_complete) in [(&b"PROXY UNKNOWN\r\n"[..], true), (b"PROXY UNK", false)] {
        let connection = Connection::awaiting_header(None, Millis::ZERO, Millis::new(60_000));
        let context = context(1 << 20, &Arc::new(Budget::new(1 << 20)), 1);
        let mut session = Session { connection, stream: ScriptedStream::new(arrived, &[], &[]), context };
        let next = close_if_quiet_at(&mut session, 30_000);
        assert_eq!(
            (matches!(next, Next::Announced(_)), matches!(next, Next::Wait)),
            (is_complete, !is_complete),
            "{next:?}"
        );
    }
}
