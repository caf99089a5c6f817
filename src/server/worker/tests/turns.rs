//! What is handled in one iteration of the loop, and what in a later one.

use super::*;
use crate::connection::Next;
use crate::server::worker::accept::MAX_ACCEPTS;
use crate::server::worker::events::CLOCK_INTERVAL;
use crate::server::worker::steps::MAX_STEP_TIME;

const REQUEST: &[u8] = b"\x08\0\0\x02hi";

impl Harness {
    /// Clients whose connections are in the table.
    fn connected<const N: usize>(&mut self) -> [TcpStream; N] {
        let before = self.connections();
        let clients = [(); N].map(|()| self.connect_and_send(b""));
        self.iterate_until("the clients are served", |harness| harness.connections() == before + N);
        clients
    }

    /// Takes events until there are as many at once.
    fn await_number_of_events(&mut self, number: usize) {
        for _ in 0..MAX_ITERATIONS {
            self.worker.events = 0..0;
            self.await_events();
            if self.worker.events.len() == number {
                return;
            }
        }
        panic!("there are not {number} events at once");
    }

    /// Takes events until there is one, of a connection that its client has ended.
    fn await_end(&mut self) {
        for _ in 0..MAX_ITERATIONS {
            self.await_number_of_events(1);
            if self.worker.driver.poller.event(0).ended {
                return;
            }
        }
        panic!("no connection ends");
    }

    /// Handles the events that were taken in an iteration in which this number of connections may end.
    fn handle_events(&mut self, ends: u32) {
        self.worker.ended.begin_iteration();
        // connections that ended before in this iteration
        for _ in ends..MAX_ACCEPTS {
            assert!(self.worker.ended.take_turn());
        }
        let mut steps = Steps::begin(self.shared.clock);
        while !self.worker.events.is_empty() {
            self.worker.handle_events(&mut steps);
        }
    }
}

#[test]
fn a_request_is_answered_before_the_connections_that_end_before_it() {
    let mut harness = Harness::new(5);
    let [ended @ .., mut client] = harness.connected::<4>();
    drop(ended);
    client.write_all(REQUEST).expect("send");
    harness.await_number_of_events(4);
    harness.handle_events(1);
    assert_eq!((harness.connections(), harness.shared.stats().totals.answered), (3, 1));
    assert!(harness.worker.ended.has_work() && harness.worker.timeout() == Some(Millis::ZERO));
    harness.await_events();
    assert_eq!(harness.worker.events, 0..0, "connections that wait are not watched");
    harness.iterate_until("the others are closed", |harness| harness.connections() == 1);
    assert!(!harness.worker.ended.has_work());
}

/// A client that sends its last request and closes its side is served like any other.
#[test]
fn a_half_closed_connection_that_had_to_wait_is_served_and_watched_again() {
    let mut harness = Harness::new(5);
    let [mut client] = harness.connected();
    // an unfinished request, of which the rest follows with the end
    client.write_all(&REQUEST[..5]).expect("send");
    harness.iterate_until("a part arrives", |harness| harness.shared.stats().totals.bytes_in == 5);
    client.write_all(&REQUEST[5..]).expect("send");
    client.shutdown(Shutdown::Write).expect("shutdown");
    harness.await_end();
    harness.handle_events(0);
    assert_eq!((harness.connections(), harness.shared.stats().totals.answered), (1, 0));
    harness.iterate_until("it is served, and closes", |harness| harness.connections() == 0);
    let mut reply = Vec::new();
    client.read_to_end(&mut reply).expect("a reply");
    assert_eq!(reply, b"\0\0\0\x02HI");
}

#[test]
fn a_connection_that_a_sweep_has_watched_again_closes_once() {
    let mut harness = Harness::new(5);
    let [client] = harness.connected();
    client.shutdown(Shutdown::Write).expect("shutdown");
    harness.await_end();
    harness.handle_events(0);
    let (token, _) = harness.worker.table.at(0).expect("a connection");
    harness.worker.drive(token, |_, _, _| Next::Wait);
    harness.await_end();
    assert!(harness.worker.ended.has_work(), "its end is reported twice");
    harness.iterate_until("it closes", |harness| harness.connections() == 0);
    assert!(!harness.worker.ended.has_work());
}

#[test]
fn a_connection_that_closes_while_it_waits_is_forgotten() {
    let mut harness = Harness::new(5);
    let [client] = harness.connected();
    drop(client);
    harness.await_end();
    harness.handle_events(0);
    harness.worker.close_all(CloseReason::Forced);
    harness.iterate();
    assert!(!harness.worker.ended.has_work());
}

#[test]
fn events_beyond_the_time_for_them_are_handled_in_the_next_iteration() {
    let mut harness = Harness::new(6);
    let mut clients = harness.connected::<6>();
    for client in &mut clients {
        client.write_all(REQUEST).expect("send");
    }
    harness.await_number_of_events(6);
    let mut steps = Steps::begin(harness.shared.clock);
    while steps.elapsed() < MAX_STEP_TIME {}
    harness.worker.handle_events(&mut steps);
    assert_eq!(harness.worker.events, CLOCK_INTERVAL..6);
    harness.iterate();
    assert_eq!(harness.worker.events, 6..6);
    assert_eq!(harness.shared.stats().totals.answered, 6);
}
