//! The end of each connection while the server drains.

use std::sync::Arc;

use retortd::connection::{Budget, Counter, Grace};

use crate::fairness::EndlessStream;
use crate::scripted::{ScriptedStream, connection, context};
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
