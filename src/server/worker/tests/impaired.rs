//! Connections that their listeners impair.

use std::io::ErrorKind;

use super::*;
use crate::connection::{Fault, FaultAfter, ImpairmentKind, Impairments};

const HOUR: Millis = Millis::new(3_600_000);
/// The reply to each request of [`REQUEST`].
const REPLY: &[u8] = b"\0\0\0\x02HI";
const REQUEST: &[u8] = b"\x08\0\0\x02hi";

fn with(impairments: Impairments) -> ListenerOptions {
    ListenerOptions { impairments: Arc::new(impairments), ..ListenerOptions::default() }
}

fn latency(latency: Millis) -> Impairments {
    Impairments { latency, ..Impairments::default() }
}

fn after(fault: Fault, after: u64) -> Impairments {
    Impairments { fault: Some(FaultAfter { fault, after }), ..Impairments::default() }
}

fn harness(impairments: Impairments) -> Harness {
    Harness::with(ServerLimits::UNLIMITED, with(impairments))
}

impl Harness {
    /// Connections on which an impairment of this kind has acted.
    fn impaired(&self, kind: ImpairmentKind) -> u64 {
        self.shared.stats().totals.impaired[kind as usize]
    }

    /// Changes the impairments of listener 0; runs iterations until its connections have them.
    fn reload(&mut self, impairments: Impairments) {
        self.shared.set_listener_options(&[Arc::new(with(impairments))]);
        let (limits, max_delayed) = (self.worker.driver.context.limits, self.worker.driver.max_delayed);
        let (applied, _) = std::sync::mpsc::channel();
        let settings = Reconfiguration { limits, max_delayed, applied };
        assert!(self.shared.channels.send(0, WorkerMessage::Reconfigure(settings)).is_ok());
        let revision = self.shared.profile(ListenerIndex(0)).revision();
        self.iterate_until("the impairments are applied", |harness| {
            harness.worker.table.iter().all(|session| session.revision == revision)
        });
    }

    /// Runs iterations until the client has `length` bytes, and returns these; fewer at the end of its input.
    fn read(&mut self, client: &mut TcpStream, length: usize) -> std::io::Result<Vec<u8>> {
        client.set_nonblocking(true).expect("O_NONBLOCK");
        let mut received = vec![0; length];
        let mut filled = 0;
        for _ in 0..MAX_ITERATIONS {
            match client.read(&mut received[filled..]) {
                Ok(n) => filled += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.iterate();
                    continue;
                }
                Err(error) => return Err(error),
            }
            if filled == length || client.peek(&mut [0]).is_ok_and(|n| n == 0) {
                received.truncate(filled);
                return Ok(received);
            }
        }
        panic!("{filled} of {length} bytes in {MAX_ITERATIONS} iterations");
    }

    /// Runs some iterations, in which the client gets nothing.
    fn expect_nothing(&mut self, client: &mut TcpStream) {
        client.set_nonblocking(true).expect("O_NONBLOCK");
        for _ in 0..10 {
            self.iterate();
        }
        assert_eq!(client.peek(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    }
}

#[test]
fn delayed_replies_arrive_and_the_connection_counts_once() {
    let mut harness = harness(latency(Millis::new(5)));
    let mut client = harness.connect_and_send(&REQUEST.repeat(2));
    assert_eq!(harness.read(&mut client, 12).expect("replies"), REPLY.repeat(2));
    client.write_all(REQUEST).expect("send");
    assert_eq!(harness.read(&mut client, 6).expect("a reply"), REPLY);
    assert_eq!(harness.impaired(ImpairmentKind::Latency), 1);
    drop(client);
    harness.await_closed(CloseReason::Finished, 1);
    assert_eq!(harness.worker.driver.impaired_timers.len(), 0);
}

#[test]
fn the_first_connections_are_reset_and_those_that_are_open_do_not_count_for_them() {
    let mut harness = harness(Impairments::default());
    let mut open = harness.serve(b"");
    harness.reload(Impairments { refuse_first: 2, ..Impairments::default() });
    for number in 1..=2 {
        let mut client = harness.connect_and_send(b"");
        let error = harness.read(&mut client, 1).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        harness.await_closed(CloseReason::Impaired, number);
    }
    assert_eq!((harness.impaired(ImpairmentKind::Refuse), harness.connections()), (2, 1));
    drop(harness.serve(b""));
    open.write_all(REQUEST).expect("send");
    assert_eq!(harness.read(&mut open, 6).expect("a reply"), REPLY);
}

#[test]
fn a_cut_connection_ends_with_a_fin_and_discards_what_its_client_sends() {
    for bytes in [0, 3] {
        let mut harness = harness(after(Fault::Cut, bytes));
        let mut client = harness.connect_and_send(REQUEST);
        let received = harness.read(&mut client, 6).expect("the end");
        assert_eq!(received, REPLY[..received.len()]);
        assert_eq!(received.len() as u64, bytes);
        client.write_all(&REQUEST.repeat(10)).expect("send");
        harness.iterate_until("all is read", |harness| harness.shared.stats().totals.bytes_in == 66);
        drop(client);
        harness.await_closed(CloseReason::Impaired, 1);
        let totals = harness.shared.stats().totals;
        assert_eq!((harness.impaired(ImpairmentKind::Cut), totals.bytes_out), (1, bytes));
    }
}

#[test]
fn a_connection_is_reset_after_its_last_byte() {
    for bytes in [0, 3] {
        let mut harness = harness(after(Fault::Reset, bytes));
        let mut client = harness.connect_and_send(REQUEST);
        harness.await_closed(CloseReason::Impaired, 1);
        let error = client.read_to_end(&mut Vec::new()).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let totals = harness.shared.stats().totals;
        assert_eq!((harness.impaired(ImpairmentKind::Reset), totals.bytes_out), (1, bytes));
    }
}

#[test]
fn a_reload_continues_a_stalled_connection() {
    let mut harness = harness(after(Fault::Stall, 3));
    let mut client = harness.connect_and_send(REQUEST);
    assert_eq!(harness.read(&mut client, 3).expect("the beginning of a reply"), REPLY[..3]);
    harness.expect_nothing(&mut client);
    assert_eq!((harness.impaired(ImpairmentKind::Stall), harness.connections()), (1, 1));
    harness.reload(Impairments::default());
    assert_eq!(harness.read(&mut client, 3).expect("the rest"), REPLY[3..]);
    client.write_all(REQUEST).expect("send");
    assert_eq!(harness.read(&mut client, 6).expect("a reply"), REPLY);
}

#[test]
fn a_connection_counts_again_for_an_impairment_that_a_reload_has_changed() {
    let mut harness = harness(after(Fault::Stall, 3));
    let mut client = harness.connect_and_send(REQUEST);
    assert_eq!(harness.read(&mut client, 3).expect("the beginning of a reply"), REPLY[..3]);
    harness.iterate_until("it is stalled", |harness| harness.impaired(ImpairmentKind::Stall) == 1);
    harness.reload(after(Fault::Stall, 2));
    assert_eq!(harness.read(&mut client, 2).expect("two more bytes"), REPLY[3..5]);
    harness.iterate_until("it is stalled again", |harness| harness.impaired(ImpairmentKind::Stall) == 2);
    harness.reload(Impairments::default());
    assert_eq!(harness.read(&mut client, 1).expect("the rest"), REPLY[5..]);
    assert_eq!(harness.impaired(ImpairmentKind::Stall), 2);
}

#[test]
fn a_reload_changes_open_connections_only_if_the_impairments_change() {
    let mut harness = harness(latency(HOUR));
    let mut client = harness.connect_and_send(REQUEST);
    harness.iterate_until("the reply is delayed", |harness| harness.shared.stats().totals.answered == 1);
    harness.reload(latency(HOUR));
    harness.expect_nothing(&mut client);
    harness.reload(latency(Millis::new(1)));
    assert_eq!(harness.read(&mut client, 6).expect("a reply"), REPLY);
    // from none to some, too
    harness.reload(Impairments::default());
    client.write_all(REQUEST).expect("send");
    assert_eq!(harness.read(&mut client, 6).expect("a reply"), REPLY);
    harness.reload(after(Fault::Cut, 2));
    client.write_all(REQUEST).expect("send");
    assert_eq!(harness.read(&mut client, 6).expect("the end"), REPLY[..2]);
}

/// Its sweep may need many iterations; the successor knows only the present impairments.
#[test]
fn a_reload_is_complete_when_the_worker_stops_for_a_hand_over() {
    let mut harness = harness(latency(HOUR));
    let mut client = harness.connect_and_send(REQUEST);
    harness.iterate_until("the reply is delayed", |harness| harness.shared.stats().totals.answered == 1);
    harness.shared.set_listener_options(&[Arc::default()]);
    harness.worker.settle();
    assert!(harness.worker.table.iter().all(|session| session.stream.save().is_none()));
    assert_eq!(harness.read(&mut client, 6).expect("a reply"), REPLY);
}

#[test]
fn a_connection_that_is_not_impaired_any_more_has_no_timer() {
    let mut harness = harness(latency(HOUR));
    let client = harness.connect_and_send(REQUEST);
    harness.iterate_until("it has a timer", |harness| harness.worker.driver.impaired_timers.len() == 1);
    harness.reload(Impairments::default());
    assert_eq!((harness.connections(), harness.worker.driver.impaired_timers.len()), (1, 0));
    drop(client);
}

#[test]
fn a_drain_waits_for_what_is_sent_before_it_times_out() {
    let mut harness = harness(latency(Millis::new(30)));
    let mut client = harness.connect_and_send(REQUEST);
    harness.iterate_until("the reply is delayed", |harness| harness.shared.stats().totals.answered == 1);
    harness.shared.channels.send_all(|| WorkerMessage::Drain(Some(TIMEOUT)));
    assert_eq!(harness.read(&mut client, 7).expect("a reply and the end"), REPLY);
    drop(client);
    harness.iterate_until("the worker has drained", |harness| !harness.worker.is_running());
    assert_eq!(harness.shared.stats().totals.closed[CloseReason::Stopped as usize], 1);
}

#[test]
fn a_drain_does_not_wait_for_what_would_be_sent_after_it_has_timed_out() {
    for (impairments, timeout) in
        [(latency(HOUR), Some(Millis::new(3_000_000))), (after(Fault::Stall, 1), None), (after(Fault::Stall, 6), None)]
    {
        let mut harness = harness(impairments);
        let client = harness.connect_and_send(REQUEST);
        harness.iterate_until("the request is read", |harness| harness.shared.stats().totals.requests == 1);
        harness.shared.channels.send_all(|| WorkerMessage::Drain(timeout));
        harness.iterate_until("the worker has drained", |harness| !harness.worker.is_running());
        let closed = harness.shared.stats().totals.closed;
        assert_eq!(closed[CloseReason::Forced as usize] + closed[CloseReason::Stopped as usize], 1);
        drop(client);
    }
}

/// Nothing is lost: no request is in progress, and no reply is delayed.
#[test]
fn a_drain_stops_an_idle_connection_that_is_stalled() {
    let mut harness = harness(after(Fault::Stall, 0));
    let client = harness.connect_and_send(b"");
    harness.iterate_until("it is stalled", |harness| harness.impaired(ImpairmentKind::Stall) == 1);
    harness.shared.channels.send_all(|| WorkerMessage::Drain(Some(TIMEOUT)));
    harness.await_closed(CloseReason::Stopped, 1);
    drop(client);
}

/// Endless output in slices of one byte: what 128 MB are, and more.
#[test]
fn connections_with_single_byte_slices_leave_the_worker_to_others() {
    const SLICING: usize = 20;
    let mut harness = Harness::new(SLICING + 1);
    let slices = with(Impairments { slice: NonZero::new(1), ..Impairments::default() });
    harness.shared.set_listener_options(&[Arc::default(), Arc::default(), Arc::new(slices)]);
    let clients: Vec<TcpStream> = (0..SLICING)
        .map(|_| {
            let (client, connection) = other_connection();
            harness.adopt(connection, CHARGEN);
            client
        })
        .collect();
    harness.iterate_until("all are served", |harness| harness.connections() == SLICING);
    let mut client = harness.serve(b"");
    client.set_nonblocking(true).expect("O_NONBLOCK");
    let mut iterations = 0;
    for _ in 0..100 {
        let before = harness.shared.stats().totals.answered;
        client.write_all(REQUEST).expect("send");
        while harness.shared.stats().totals.answered == before {
            harness.iterate();
            iterations += 1;
            assert!(iterations < 1000, "a request takes one iteration, and a few where it arrives late");
        }
    }
    let sent: Vec<u64> = harness.worker.table.iter().map(|session| session.stream.sent()).collect();
    assert!(sent.iter().filter(|sent| **sent > 0).count() == SLICING, "all of them are served: {sent:?}");
    assert_eq!(harness.impaired(ImpairmentKind::Slice), SLICING as u64);
    drop(clients);
}

#[test]
fn a_client_that_has_half_closed_gets_what_a_reload_hurries_and_is_finished() {
    let mut harness = harness(latency(HOUR));
    let mut client = harness.connect_and_send(REQUEST);
    client.shutdown(Shutdown::Write).expect("shutdown");
    harness.expect_nothing(&mut client);
    harness.reload(Impairments::default());
    assert_eq!(harness.read(&mut client, 7).expect("a reply and the end"), REPLY);
    harness.await_closed(CloseReason::Finished, 1);
}
