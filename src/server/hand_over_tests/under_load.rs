//! Hand-overs of servers under load, and of thousands of connections.

use super::*;

#[test]
fn a_server_that_is_frozen_again_and_again_under_load_loses_nothing() {
    const CLIENTS: u64 = 6;
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    let is_over = AtomicBool::new(false);
    let requests: u64 = thread::scope(|scope| {
        let converse = |number: u64| {
            let (frame, is_over) = (&frame, &is_over);
            scope.spawn(move || {
                let mut client = frame.connect(b"");
                let mut requests = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let message = format!("client {number}, {requests}").repeat(1 + requests as usize % 5000);
                    let batch = request(UPPERCASE, message.as_bytes());
                    client.write_all(&[&batch[..], &batch].concat()).expect("send");
                    (0..2).for_each(|_| assert_eq!(read_reply(&mut client), message.to_ascii_uppercase().as_bytes()));
                    requests += 2;
                }
                requests
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(converse).collect();
        for _ in 0..100 {
            let answered = server.stats().totals.answered;
            wait_for_totals(&server, "more requests", |totals| totals.answered > answered);
            let frozen = server.freeze(TIMEOUT).expect("frozen");
            let before = server.stats().totals;
            (0..100).for_each(|_| thread::yield_now());
            assert_eq!(server.stats().totals, before, "nothing happens");
            drop(frozen);
        }
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("no panic")).sum()
    });
    let totals = stop(server).totals;
    assert_eq!((totals.accepted, totals.requests, totals.answered), (CLIENTS, requests, requests));
}

/// Connects again and again until `is_over`, and checks every reply; returns the numbers of connections and requests.
fn converse(frame: &Endpoint, client: usize, is_over: &AtomicBool) -> [u64; 2] {
    let equal = vec![b'e'; 70_000];
    let mut done = [0, 0];
    while !is_over.load(Ordering::Relaxed) {
        let mut connection = frame.connect(b"");
        done[0] += 1;
        for number in 0..20 {
            let message = format!("client {client}, {number}").repeat(1 + number * 500);
            let long = request(SHUFFLE, &equal[..if number % 4 == 3 { equal.len() } else { number }]);
            let small = request(UPPERCASE, message.as_bytes());
            connection.write_all(&[&small[..], &long, &small].concat()).expect("send");
            assert_eq!(read_reply(&mut connection), message.to_ascii_uppercase().as_bytes());
            assert_eq!(read_reply(&mut connection), long[4..]);
            assert_eq!(read_reply(&mut connection), message.to_ascii_uppercase().as_bytes());
            done[1] += 3;
        }
    }
    done
}

#[test]
fn ten_hand_overs_under_load_lose_nothing() {
    const CLIENTS: usize = 6;
    let frame = Endpoint::new("frame");
    let is_over = AtomicBool::new(false);
    let (server, done) = thread::scope(|scope| {
        let (frame, is_over) = (&frame, &is_over);
        let mut server = start(&[frame], LIMITS, None);
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || converse(frame, client, is_over))).collect();
        for _ in 0..10 {
            let answered = server.stats().totals.answered;
            wait_for_totals(&server, "more requests", |totals| totals.answered > answered + 100);
            let (handed_over, before) = hand_over(server);
            assert_eq!(handed_over.saved, Saved { handed_over: before.open, left: 0 });
            server = start(&[frame], LIMITS, Some(handed_over.take_over()));
            assert_eq!(server.taken_over(), TakeOverCounts { taken_over: before.open, failed: 0 });
            assert!(server.stats().totals.answered >= before.totals.answered, "no counter falls");
        }
        is_over.store(true, Ordering::Relaxed);
        let of_client = clients.into_iter().map(|client| client.join().expect("no panic"));
        (server, of_client.fold([0, 0], |sum, done| [sum[0] + done[0], sum[1] + done[1]]))
    });
    let totals = stop(server).totals;
    assert_eq!([totals.accepted, totals.requests], done);
    assert_eq!((totals.answered, totals.closed[CloseReason::Finished as usize]), (totals.requests, totals.accepted));
}

#[test]
fn thousands_of_connections_are_handed_over_twice() {
    let limit = usize::try_from(sys::raise_descriptor_limit()).expect("a number");
    let connections = ((limit - 200) / 4).min(3000);
    let frame = Endpoint::new("frame");
    let mut server = start(&[&frame], LIMITS, None);
    let mut clients: Vec<_> = (0..connections).map(|_| frame.connect(b"")).collect();
    let connections = connections as u64;
    wait_until("all are accepted", || server.stats().open == connections);
    for _ in 0..2 {
        let (handed_over, before) = hand_over(server);
        assert_eq!((handed_over.saved, before.open), (Saved { handed_over: connections, left: 0 }, connections));
        server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
        assert_eq!(server.taken_over(), TakeOverCounts { taken_over: connections, failed: 0 });
        for client in &mut clients {
            ask(client, b"still here");
        }
    }
    drop(clients);
    let stats = stop(server);
    assert_eq!((stats.totals.accepted, stats.totals.answered, stats.open), (connections, 2 * connections, 0));
}
