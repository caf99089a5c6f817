//! What clients see of a hand-over: a pause, and every byte.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use retortd::protocol::client_side::ConnectionUse;
use retortd::protocol::{Example, PROTOCOLS, ProtocolInfo};

use super::{serving, without_manager};
use crate::harness::action::{REVERSE, SHUFFLE, UPPERCASE};
use crate::harness::{
    Client, Daemon, DaemonBuilder, SetWhenDropped, echo_ping, frame, in_parallel, length_prefixed, wait_until,
};

/// A daemon with one worker that serves every protocol.
fn every_protocol() -> Daemon {
    without_manager(DaemonBuilder::every_protocol(&["-v", "--hand-over", "--workers=1"]), PROTOCOLS.len())
}

/// The examples of all protocols that are served however their input is split.
fn examples() -> impl Iterator<Item = (&'static ProtocolInfo, &'static Example)> {
    let protocols = PROTOCOLS.iter().filter(|info| info.client.connection_use != ConnectionUse::Streaming);
    protocols
        .flat_map(|info| info.examples.iter().filter(|example| example.split_anywhere).map(|example| (*info, example)))
}

#[test]
fn every_protocol_continues_within_a_request() {
    let daemon = every_protocol();
    let mut echo = daemon.connect("echo");
    let begin = |(info, example): (&'static ProtocolInfo, &'static Example)| {
        let mut client = daemon.connect(info.name);
        client.send(&example.send[..example.send.len() / 2]);
        (info, example, client)
    };
    let begun: Vec<_> = examples().map(begin).collect();
    assert!(begun.len() > PROTOCOLS.len(), "{} examples", begun.len());
    echo_ping(&mut echo);
    daemon.hand_over();
    for (info, example, client) in begun {
        // a service that closes after its reply may be gone
        let reply = client.exchange_or_closed(&example.send[example.send.len() / 2..]);
        let what = format!("{}: {}", info.name, example.about);
        assert!(example.reply.matches(&reply), "{what}: got {}, expected {:?}", reply.escape_ascii(), example.reply);
    }
    echo_ping(&mut echo);
}

#[test]
fn an_endless_reply_continues_where_it_was() {
    const BEFORE: usize = 1_000_000;
    const AFTER: usize = 20_000_000;
    let daemon = every_protocol();
    let mut expected = daemon.connect("chargen");
    let mut client = daemon.connect("chargen");
    let before = client.receive(BEFORE);
    daemon.hand_over();
    let received = [before, client.receive(AFTER)].concat();
    assert!(received == expected.receive(BEFORE + AFTER), "the pattern of chargen is interrupted");
}

#[test]
fn a_reply_that_the_client_has_not_read_is_completed() {
    let daemon = serving("frame", &[]);
    let text: Vec<u8> = (0..16 << 20).map(|number: u32| b'a' + (number % 23) as u8).collect();
    let reversed: Vec<u8> = text.iter().rev().copied().collect();
    let mut client = daemon.connect("frame");
    client.send(&frame(REVERSE, &text));
    let first = client.receive(4);
    assert_eq!(daemon.hand_over(), 1);
    assert!([first, client.receive(text.len())].concat() == length_prefixed(&reversed), "the reply is not as expected");
    assert_eq!(client.request(UPPERCASE, b"and the next"), b"AND THE NEXT");
    let statistics = daemon.statistics_when(|statistics| statistics.in_flight == 0);
    assert_eq!((statistics.requests, statistics.answered), (2, 2), "{statistics:?}");
}

#[test]
fn a_half_closed_client_gets_its_replies() {
    let daemon = serving("frame", &[]);
    let text = vec![b'x'; 3 << 20];
    let mut client = daemon.connect("frame");
    client.send(&frame(REVERSE, &text).repeat(2));
    client.half_close();
    let first = client.receive(4);
    daemon.hand_over();
    assert!(
        [first, client.receive_all()].concat() == length_prefixed(&text).repeat(2),
        "the replies are not as expected"
    );
    assert_eq!(daemon.statistics_at_rest().closed_for("finished"), 1);
}

/// More requests than there are threads that process them: some are processed, the others wait for a thread.
#[test]
fn large_requests_are_processed_before_or_afterwards() {
    const CLIENTS: usize = 8;
    let daemon = serving("frame", &["--workers=1", "--hand-over-timeout=1m"]);
    let text = |number: usize| vec![b'a' + number as u8; 1 << 20];
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| daemon.connect("frame")).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&frame(SHUFFLE, &text(number)));
    }
    daemon.statistics_when(|statistics| statistics.requests == CLIENTS as u64);
    assert_eq!(daemon.hand_over(), CLIENTS as u64);
    for (number, client) in clients.iter_mut().enumerate() {
        assert!(client.receive_frame() == text(number), "client {number} got a wrong reply");
        assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    }
    let statistics = daemon.statistics_when(|statistics| statistics.in_flight == 0);
    assert_eq!(statistics.answered, 2 * CLIENTS as u64, "{statistics:?}");
    assert_eq!(statistics.requests, statistics.answered, "{statistics:?}");
}

#[test]
fn a_proxy_header_may_arrive_in_two_processes() {
    let builder = DaemonBuilder::new(&["-v", "--hand-over", "--workers=1", "--listen=frame=127.0.0.1:0,proxy"]);
    let daemon = without_manager(builder, 1);
    let header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 8083\r\n";
    let cuts: Vec<usize> = (1..header.len()).collect();
    let mut clients: Vec<Client> = cuts.iter().map(|_| daemon.connect("frame")).collect();
    for (client, cut) in clients.iter_mut().zip(&cuts) {
        client.send(&header[..*cut]);
    }
    daemon.statistics_when(|statistics| statistics.accepted == cuts.len() as u64);
    assert_eq!(daemon.hand_over(), cuts.len() as u64);
    for (client, cut) in clients.iter_mut().zip(&cuts) {
        client.send(&header[*cut..]);
        assert_eq!(client.request(UPPERCASE, b"x"), b"X", "cut behind {cut} bytes");
    }
}

/// Sends requests of different lengths without pause, several at a time, until `stop`; returns their number.
fn pipeline_until(daemon: &Daemon, number: usize, stop: &AtomicBool, sent: &AtomicU64) -> u64 {
    let mut client = daemon.connect("frame");
    let text = |request: usize| vec![b'a' + (request % 26) as u8; (request * 7919 + number) % 40_000];
    let (mut count, depth) = (0, 1 + number % 5);
    while !stop.load(Ordering::Relaxed) {
        let batch = count..count + depth;
        let requests: Vec<u8> = batch.clone().flat_map(|request| frame(UPPERCASE, &text(request))).collect();
        client.send(&requests);
        for request in batch {
            assert!(client.receive_frame() == text(request).to_ascii_uppercase(), "client {number}, request {request}");
        }
        count += depth;
        sent.fetch_add(depth as u64, Ordering::Relaxed);
    }
    count as u64
}

#[test]
fn ten_hand_overs_under_load_lose_nothing() {
    let daemon = serving("frame", &["--workers=2"]);
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let requests: u64 = thread::scope(|scope| {
        let clients = scope.spawn(|| in_parallel(16, |number| pipeline_until(&daemon, number, &stop, &sent)));
        let _stop = SetWhenDropped(&stop);
        for _ in 0..10 {
            let before = sent.load(Ordering::Relaxed);
            wait_until("500 more requests", || sent.load(Ordering::Relaxed) >= before + 500);
            assert_eq!(daemon.hand_over(), 16);
        }
        stop.store(true, Ordering::Relaxed);
        clients.join().expect("a client failed").into_iter().sum()
    });
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.requests, statistics.answered), (requests, requests), "{statistics:?}");
    assert_eq!((statistics.accepted, statistics.closed_for("finished")), (16, 16), "{statistics:?}");
}

#[test]
fn statistics_continue() {
    let daemon = every_protocol();
    let mut clients: Vec<Client> = (0..5).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    }
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    clients.pop().expect("a client").reset();
    let before = daemon.statistics_when(|statistics| statistics.open == 4);
    assert_eq!(daemon.hand_over(), 4);
    assert_eq!(daemon.statistics_when(|statistics| statistics.open == 4), before);
    drop(clients);
    let after = daemon.statistics_at_rest();
    assert_eq!((after.accepted, after.closed, after.requests), (6, 6, before.requests), "{after:?}");
}

#[test]
fn the_timers_of_a_connection_go_on() {
    let daemon = serving("frame", &["--idle-timeout=1500ms"]);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    for _ in 0..3 {
        daemon.hand_over();
    }
    assert_eq!(client.wait_closed(), b"");
    assert_eq!(daemon.statistics_at_rest().closed_for("idle-timeout"), 1);
}
