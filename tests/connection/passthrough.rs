//! Large input that is dropped or sent back without being read: what the client and the statistics see of it.

use std::sync::Arc;

use retortd::connection::{Budget, CloseReason, Counter, Grace, Next};

use crate::scripted::{IoResult, ScriptedStream, write_down};
use crate::session::{Session, time_limit};

/// The most bytes that one read delivers here; what follows is not read.
const LARGE: usize = 64 * 1024;

fn input(length: usize) -> Vec<u8> {
    (0..251u8).cycle().take(length).collect()
}

fn session(protocol: &str, input: &[u8], writes: &[IoResult]) -> Session {
    session_within(protocol, input, writes, &Arc::new(Budget::new(u64::MAX)))
}

fn session_within(protocol: &str, input: &[u8], writes: &[IoResult], budget: &Arc<Budget>) -> Session {
    let stream = ScriptedStream::new(input, &[IoResult::AtMost(LARGE)], writes).passing_bulk(true);
    Session::new(protocol, stream, budget, |limits| limits.write = time_limit(1000))
}

fn counts(session: &Session) -> [u64; 4] {
    let counters = &session.context.counters;
    [&counters.requests, &counters.answered, &counters.bytes_in, &counters.bytes_out].map(Counter::get)
}

#[test]
fn large_input_is_sent_back_and_counted_as_if_it_was_read() {
    let input = input(1 << 20);
    let mut session = session("echo", &input, &[]);
    let reason = session.read_all();
    assert!(matches!(reason, Next::Close(CloseReason::Finished)), "{reason:?}");
    assert!(session.stream.output == input, "other bytes");
    let [requests, answered, received, sent] = counts(&session);
    assert_eq!((requests, received, sent), (answered, 1 << 20, 1 << 20));
    assert!((3..10).contains(&requests), "{requests} requests of up to 189 KiB, behind one of 64 KiB");
}

#[test]
fn large_input_of_discard_is_dropped_and_counted() {
    let mut session = session("discard", &input(3 << 20), &[]);
    let reason = session.read_all();
    assert!(matches!(reason, Next::Close(CloseReason::Finished)), "{reason:?}");
    assert_eq!(counts(&session), [0, 0, 3 << 20, 0]);
    assert_eq!(session.stream.discarded, (3 << 20) - LARGE);
    assert!(session.stream.output.is_empty());
}

#[test]
fn small_input_of_echo_is_read_again() {
    let mut session = session("echo", &input(LARGE + 100), &[]);
    assert!(matches!(session.readable(), Next::Wait));
    assert!(session.connection.wants_send_back(&session.context));
    assert!(matches!(session.readable(), Next::Wait));
    assert!(!session.connection.wants_send_back(&session.context));
    assert_eq!(session.stream.unread(), 0);
}

#[test]
fn large_input_is_sent_back_also_behind_a_reply_that_the_client_takes_in_parts() {
    let writes = [IoResult::AtMost(1000), IoResult::WouldBlock];
    let mut session = session("echo", &input(2 * LARGE), &writes);
    assert!(matches!(session.readable(), Next::Wait));
    session.stream.set_writes(&[]);
    while !session.connection.is_idle() {
        assert!(matches!(session.writable(), Next::Wait));
    }
    assert!(session.connection.wants_send_back(&session.context));
}

/// A session whose client has taken 1000 bytes of 10,000 that are sent back behind the first read.
fn with_held_replies(budget: &Arc<Budget>) -> Session {
    let writes = [IoResult::AtMost(LARGE), IoResult::AtMost(1000), IoResult::WouldBlock];
    let mut session = session_within("echo", &input(LARGE + 10_000), &writes, budget);
    assert!(matches!(session.readable(), Next::Wait));
    assert!(matches!(session.readable(), Next::Wait));
    assert_eq!(session.stream.held(), 9000);
    assert_eq!(counts(&session), [2, 1, LARGE as u64 + 10_000, LARGE as u64 + 1000]);
    session
}

#[test]
fn replies_that_the_stream_holds_are_charged_and_sent_before_more_is_read() {
    let budget = Arc::new(Budget::new(1 << 30));
    let mut session = with_held_replies(&budget);
    let interest = session.connection.interest();
    assert!(interest.write && !interest.read);
    assert_eq!(session.connection.unanswered(), 1);
    let held = with_more_held(&budget);
    assert!(held.used() >= 100_000, "{} bytes are charged", held.used());
    drop(held.connection.retire());
    assert!(matches!(session.writable(), Next::Wait), "there is no room");
    session.stream.set_writes(&[IoResult::AtMost(4000)]);
    assert!(matches!(session.writable(), Next::Wait));
    assert_eq!(session.stream.held(), 5000);
    assert!(matches!(session.writable(), Next::Wait));
    assert!(session.stream.output == input(LARGE + 10_000), "other bytes");
    assert_eq!(counts(&session)[..2], [2, 2]);
    assert_eq!((session.connection.unanswered(), budget.used()), (0, 0));
    assert!(session.connection.is_idle());
}

/// A session whose client takes nothing of 100,000 bytes.
fn with_more_held(budget: &Arc<Budget>) -> Session {
    let writes = [IoResult::AtMost(LARGE), IoResult::WouldBlock];
    let mut session = session_within("echo", &input(LARGE + 100_000), &writes, budget);
    assert!(matches!(session.readable(), Next::Wait));
    assert!(matches!(session.readable(), Next::Wait));
    assert_eq!(session.stream.held(), 100_000);
    session
}

#[test]
fn client_that_takes_nothing_of_what_the_stream_holds_is_closed_at_the_write_timeout() {
    let budget = Arc::new(Budget::new(1 << 30));
    let mut session = with_more_held(&budget);
    // it is looked at in between
    while session.deadline() < 1000 {
        let next = session.expire_at(session.deadline());
        assert!(matches!(next, Next::Wait), "{next:?}");
    }
    let next = session.expire_at(1000);
    assert!(matches!(next, Next::Close(CloseReason::WriteTimeout)), "{next:?}");
    assert_eq!(session.connection.unanswered(), 1);
    drop(session.connection.retire());
    assert_eq!(budget.used(), 0);
}

#[test]
fn drain_waits_for_what_the_stream_holds() {
    let mut session = with_held_replies(&Arc::new(Budget::new(1 << 30)));
    session.context.draining = true;
    assert!(matches!(session.connection.drain(&mut session.stream, &mut session.context, Grace::Given), Next::Wait));
    assert!(session.connection.is_pending(Grace::Over));
    session.stream.set_writes(&[]);
    assert!(matches!(session.writable(), Next::Wait));
    assert!(session.stream.output == input(LARGE + 10_000), "other bytes");
}

#[test]
fn connection_is_saved_when_its_replies_are_taken_out_of_the_stream() {
    let budget = Arc::new(Budget::new(1 << 30));
    let mut session = with_more_held(&budget);
    assert!(session.connection.save().is_err());
    session.connection.take_held(&mut session.stream, &mut session.context).expect("memory");
    assert_eq!(session.stream.held(), 0);
    let (_, [unread, unsent]) = write_down(&session.connection);
    assert!(unread.is_empty() && unsent == input(LARGE + 100_000)[LARGE..], "other bytes");
    session.stream.set_writes(&[]);
    while !session.connection.is_idle() {
        assert!(matches!(session.writable(), Next::Wait));
    }
    assert!(session.stream.output == input(LARGE + 100_000), "other bytes");
    assert_eq!(budget.used(), 0);
}

#[test]
fn input_is_read_while_memory_is_short() {
    let budget = Arc::new(Budget::new(1 << 20));
    let mut other = retortd::connection::Charge::new(&budget);
    other.set_unchecked(1 << 19);
    let mut session = session_within("echo", &input(1 << 18), &[], &budget);
    let reason = session.read_all();
    assert!(matches!(reason, Next::Close(CloseReason::Finished)), "{reason:?}");
    assert!(session.stream.output == input(1 << 18), "other bytes");
    assert!(counts(&session)[0] > 10, "no piece of more than 4 KiB is read");
}
