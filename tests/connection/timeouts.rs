//! When a deadline is, and what extends it.

use std::sync::Arc;

use retortd::connection::{Budget, CloseReason, Connection, Millis, Next};
use retortd::protocol::services::frame;
use retortd::protocol::{ProtocolSettings, by_name};

use crate::scripted::{IoResult, ScriptedStream, context};
use crate::session::{REVERSE, Session, UPPERCASE, assert_waits, frame_request, time_limit};

/// Fault 40: send(2) takes more bytes than the client has received.
#[test]
fn write_timeout_counts_from_the_bytes_that_the_client_has_acknowledged() {
    let request = frame_request(UPPERCASE, &[b'a'; 10_000]);
    for (protocol, input) in [("frame", &request[..]), ("chargen", b"x")] {
        let writes = [IoResult::AtMost(5000), IoResult::WouldBlock, IoResult::WouldBlock];
        let mut stream = ScriptedStream::new(input, &[IoResult::AtMost(input.len()), IoResult::WouldBlock], &writes);
        stream.unacknowledged = Some(5000);
        let budget = Arc::new(Budget::new(1 << 20));
        let mut session = Session::new(protocol, stream, &budget, |limits| limits.write = time_limit(1000));
        assert_waits(&session.readable());
        // the client acknowledges one byte in each period, and then none
        for (now, left, next) in [(250, 5000, 1250), (1250, 4999, 2250), (2250, 4998, 3250)] {
            assert_eq!(session.deadline(), now, "{protocol}");
            session.stream.unacknowledged = Some(left);
            assert_waits(&session.expire_at(now));
            assert_eq!(session.deadline(), next, "{protocol}");
        }
        let next = session.expire_at(3250);
        assert!(matches!(next, Next::Close(CloseReason::WriteTimeout)), "{protocol}: {next:?}");
    }
}

/// EAGAIN after the stream was reported writable is no progress.
#[test]
fn write_without_progress_does_not_extend_the_write_timeout() {
    let request = frame_request(REVERSE, b"abc");
    let writes = [IoResult::AtMost(2), IoResult::WouldBlock, IoResult::AtMost(2)];
    let budget = Arc::new(Budget::new(1 << 20));
    let stream = ScriptedStream::new(&request, &[], &writes);
    let mut session = Session::new("frame", stream, &budget, |limits| limits.write = time_limit(100));
    assert_waits(&session.readable());
    assert_eq!(session.deadline(), 25);
    for (now, next_look) in [(10, 25), (20, 45)] {
        session.set_time(now);
        assert_waits(&session.writable());
        assert_eq!(session.deadline(), next_look);
    }
    for (now, deadline) in [(45, 120), (119, 120)] {
        assert_waits(&session.expire_at(now));
        assert_eq!(session.deadline(), deadline);
    }
    assert!(matches!(session.expire_at(120), Next::Close(CloseReason::WriteTimeout)));
}

/// Fault 36: a client that receives the last reply one byte at a time does not hold the memory of its next request for
/// long.
#[test]
fn slow_receipt_of_the_last_reply_extends_the_request_timeout_once() {
    let input = [&frame_request(UPPERCASE, b"abc"), &frame::header(UPPERCASE, 30_000)[..], b"abc"].concat();
    let mut slow = Session::after_input("frame", &input, |limits| limits.request = time_limit(1000));
    for (now, left, closes) in [(1000, 100_000, false), (2000, 99_984, true)] {
        slow.stream.unacknowledged = Some(left);
        assert_waits(&slow.expire_at(now));
        assert_eq!(slow.stream.write_closed, closes, "at {now} ms");
    }
    // 16 KiB a second are fast enough
    let mut fast = Session::after_input("frame", &input, |limits| limits.request = time_limit(1000));
    for (now, left) in [(1000, 100_000), (2000, 100_000 - 16_384), (3000, 100_000 - 2 * 16_384)] {
        fast.stream.unacknowledged = Some(left);
        assert_waits(&fast.expire_at(now));
        assert_eq!((fast.stream.write_closed, fast.deadline()), (false, now + 1000));
    }
}

/// Bytes of a request extend its timeout by the time that they take at 16 KiB a second.
#[test]
fn request_timeout_counts_from_the_first_byte_of_each_request() {
    let request = frame_request(UPPERCASE, &[b'a'; 40]);
    let mut session = Session::after_input("frame", &request[..2], |limits| limits.request = time_limit(1000));
    for (now, piece, deadline) in [(500, &request[2..9], 1000), (900, &request[9..20], 1001)] {
        session.set_time(now);
        session.stream.send(piece);
        assert_waits(&session.readable());
        assert_eq!(session.deadline(), deadline, "at {now} ms");
    }
    session.set_time(950);
    session.stream.send(&[&request[20..], &request[..9]].concat());
    assert_waits(&session.readable());
    assert_eq!(session.deadline(), 1950);
}

/// The timeout of a request counts from its start also while a rejected request is skipped; then the connection is
/// idle.
#[test]
fn rejected_request_has_its_timeout_until_it_is_skipped() {
    let request = frame_request(UPPERCASE, &vec![b'x'; 1 << 17]);
    let stream = ScriptedStream::new(&request[..1000], &[IoResult::AtMost(1000), IoResult::WouldBlock], &[]);
    let mut context = context(1 << 16, &Arc::new(Budget::new(1 << 20)), 1);
    (context.limits.request, context.limits.idle) = (time_limit(1000), time_limit(2000));
    context.now = Millis::new(50_000);
    let protocol = (by_name("frame").expect("listed").new)(&ProtocolSettings::default(), &());
    let connection = Connection::new(protocol, None, context.now);
    let mut session = Session { connection, stream, context };
    assert_waits(&session.connection.open(&mut session.stream, &mut session.context));
    assert!(session.connection.is_idle());
    assert_eq!(session.deadline(), 52_000);
    assert_waits(&session.readable());
    assert_eq!((session.connection.is_idle(), session.deadline()), (false, 51_000));
    session.set_time(50_500);
    session.stream.send(&request[1000..]);
    while session.stream.unread() > 0 {
        assert_waits(&session.readable());
    }
    assert_eq!((session.connection.is_idle(), session.deadline()), (true, 52_500));
}
