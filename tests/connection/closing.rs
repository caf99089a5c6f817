//! Lingering: a close waits until the client has received every reply.

use std::sync::Arc;

use retortd::connection::{Budget, CloseReason, Grace, Next};

use crate::scripted::{IoResult, ScriptedStream};
use crate::session::{SHUFFLE, Session, UPPERCASE, assert_waits, frame_request, time_limit};

/// The client sends more input at `now`, in milliseconds; returns what the connection does at this time.
fn send_at(session: &mut Session, now: u64) -> Next {
    session.set_time(now);
    session.stream.send(b"more");
    assert_waits(&session.readable());
    session.expire_at(now)
}

/// The client acknowledges the replies in steps, and sends input at each; then it is silent. Returns the reason for the
/// close.
fn receive_all(mut session: Session) -> CloseReason {
    let start = session.context.now.get();
    for step in 1..=10u32 {
        session.stream.unacknowledged = Some(1000 - 100 * step as usize);
        assert_waits(&send_at(&mut session, start + 100 * u64::from(step)));
        assert!(session.stream.write_closed && session.connection.interest().read);
    }
    match session.expire_at(session.deadline()) {
        Next::Close(reason) => reason,
        next => panic!("not closed: {next:?}"),
    }
}

/// Fault 40: the client continues to send.
#[test]
fn close_after_a_violation_waits_until_the_client_has_every_reply() {
    let violation = Session::after_input("text", b"uppercase 3 abcno header, but thirty-two bytes", |_| {});
    assert_eq!(receive_all(violation), CloseReason::Violation);
}

/// Fault 40: the client continues to send.
#[test]
fn close_in_a_drain_waits_until_the_client_has_every_reply() {
    let mut stopped = Session::after_input("frame", &frame_request(UPPERCASE, b"abc"), |_| {});
    assert_waits(&stopped.drain(Grace::Over));
    assert_eq!(receive_all(stopped), CloseReason::Stopped);
}

/// Fault 40: the client continues to send.
#[test]
fn close_after_a_timeout_waits_until_the_client_has_every_reply() {
    let request = frame_request(UPPERCASE, b"abc");
    for (input, reason) in
        [(&request[..], CloseReason::IdleTimeout), (&request.repeat(2)[..12], CloseReason::RequestTimeout)]
    {
        let mut late = Session::after_input("frame", input, |limits| {
            limits.idle = time_limit(1000);
            limits.request = time_limit(1000);
        });
        // the last reply is not acknowledged in full at the first look: the timeout restarts
        assert_waits(&late.expire_at(1000));
        assert!(!late.stream.write_closed);
        assert_eq!(late.deadline(), 2000);
        // nothing more is acknowledged: the connection closes
        assert_waits(&late.expire_at(2000));
        assert_eq!(receive_all(late), reason);
    }
}

/// Fault 40: a client that acknowledges nothing is closed after the write timeout.
#[test]
fn write_timeout_closes_a_lingering_client_that_acknowledges_nothing() {
    let mut closing = Session::after_input("ack", b"abc", |limits| limits.write = time_limit(500));
    assert!(closing.stream.write_closed);
    // a look every 50 ms, and one at the timeout
    for (now, next_look) in [(100, 150), (499, 500)] {
        assert_waits(&send_at(&mut closing, now));
        assert_eq!(closing.deadline(), next_look);
    }
    assert!(matches!(send_at(&mut closing, 500), Next::Close(CloseReason::Served)));
}

#[test]
fn lingering_takes_two_seconds_where_unacknowledged_bytes_are_unknown() {
    let mut closing = Session::after_input("ack", b"abc", |_| {});
    closing.stream.unacknowledged = None;
    assert_waits(&send_at(&mut closing, 50));
    assert_eq!(closing.deadline(), 2050);
    assert!(matches!(send_at(&mut closing, 2050), Next::Close(CloseReason::Served)));
}

/// A lingering connection waits for the end of the input, also when the stream was reported ready and has no input.
#[test]
fn eagain_does_not_end_lingering() {
    let stream = ScriptedStream::new(b"abc", &[IoResult::AtMost(3), IoResult::WouldBlock], &[]);
    let mut closing = Session::new("ack", stream, &Arc::new(Budget::new(1 << 20)), |_| {});
    assert_waits(&closing.readable());
    assert!(closing.stream.write_closed && closing.stream.output == b"Message received!");
    assert_waits(&closing.readable());
    assert!(matches!(closing.readable(), Next::Close(CloseReason::Served)));
}

/// A request that the offload pool has no memory for is counted as not replied to; the replies before it still arrive.
#[test]
fn connection_lingers_after_a_failed_offload() {
    let request = frame_request(SHUFFLE, &b"a".repeat(100_000));
    let stream = ScriptedStream::new(&request, &[], &[]);
    let mut session = Session::new("frame", stream, &Arc::new(Budget::new(8 << 20)), |_| {});
    let next = session.read_all();
    let Next::Offload(job) = next else { panic!("not offloaded: {next:?}") };
    drop(job.retire());
    session.stream.unacknowledged = Some(1000);
    assert_waits(&session.connection.offload_failed(&mut session.stream, &mut session.context));
    assert!(session.stream.write_closed && session.connection.interest().read);
    assert_eq!((session.connection.unanswered(), session.used()), (1, 0));
}
