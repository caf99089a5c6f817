//! The limits and the listeners of the successor.

use super::*;

#[test]
fn more_connections_than_the_successor_allows_stay() {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    let mut clients = [(); 3].map(|()| served(&frame));
    let (handed_over, _) = hand_over(server);
    let limits = ServerLimits { max_connections: Some(2), ..LIMITS };
    let server = start(&[&frame], limits, Some(handed_over.take_over()));
    for client in &mut clients {
        ask(client, b"above the limit");
    }
    let mut waiting = frame.connect(&request(UPPERCASE, b"waiting"));
    wait_for_totals(&server, "it waits", |totals| totals.connections_full > 0);
    let [first, second, third] = clients;
    drop(first);
    wait_for_totals(&server, "one closes", |totals| totals.closed[CloseReason::Finished as usize] == 1);
    assert_eq!((server.stats().totals.accepted, server.stats().open), (3, 2), "there are still as many as allowed");
    drop(second);
    assert_eq!(read_reply(&mut waiting), b"WAITING");
    drop((third, waiting));
    assert_eq!(stop(server).totals.accepted, 4);
}

#[test]
fn connections_of_a_listener_that_is_gone_are_served() {
    let [frame, echo] = ["frame", "echo"].map(Endpoint::new);
    let server = start(&[&frame, &echo], LIMITS, None);
    let (mut one, mut other) = (echo.connect(b"he"), served(&frame));
    wait_for_totals(&server, "the echo", |totals| totals.bytes_out > 10);
    let (handed_over, _) = hand_over(server);
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    one.write_all(b"llo").expect("send");
    let mut echoed = [0; 5];
    one.read_exact(&mut echoed).expect("an echo");
    assert_eq!(&echoed, b"hello");
    ask(&mut other, b"hello");
    let stats = server.stats();
    let echo = of(&stats, "echo");
    assert_eq!((echo.open, echo.listeners, echo.totals.accepted), (1, 0, 1));
    drop((one, other));
    assert_eq!(stop(server).open, 0);
}

/// As after a reload that withdraws the trust in a peer while its header is awaited.
#[test]
fn a_header_that_a_listener_awaits_that_is_gone_announces_nobody() {
    let (frame, proxied) = (Endpoint::new("frame"), Endpoint::new("frame").with_headers());
    let server = start(&[&frame, &proxied], LIMITS, None);
    let mut announced = proxied.connect(b"PROXY TCP4 192.0.2.1 127.0.0.1 1000 80\r\n");
    ask(&mut announced, b"before");
    let mut awaited = proxied.connect(b"PROXY ");
    let (frozen, handed_over) = save_in_states(&server, 2, &["\"handshake\"", "\"idle\""]);
    frozen.commit();
    drop(server.join());
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    ask(&mut announced, b"after");
    awaited.write_all(b"TCP4 192.0.2.2 127.0.0.1 1000 80\r\n").expect("send");
    assert!(!matches!(awaited.read(&mut [0]), Ok(1)), "it is closed");
    wait_for_totals(&server, "it is counted", |totals| totals.closed[CloseReason::ProxyUntrusted as usize] == 1);
    drop((announced, awaited));
    assert_eq!(stop(server).open, 0);
}

#[test]
fn connections_count_for_their_sources_before_the_first_is_accepted() {
    let frame = Endpoint::new("frame");
    let limits = ServerLimits { max_per_source: Some(3), ..LIMITS };
    let server = start(&[&frame], limits, None);
    let mut clients = vec![served(&frame), served(&frame)];
    let (handed_over, _) = hand_over(server);
    // in the backlog when the successor starts
    let queued = [(); 4].map(|()| frame.connect(b""));
    let server = start(&[&frame], limits, Some(handed_over.take_over()));
    wait_for_totals(&server, "all but one are rejected", |totals| {
        totals.closed[CloseReason::SourceLimit as usize] == 3
    });
    assert_eq!(server.stats().open, 3);
    drop((clients.pop(), queued));
    wait_until("two have closed", || server.stats().open == 1);
    let mut again = [(); 2].map(|()| served(&frame));
    again.iter_mut().chain(&mut clients).for_each(|client| ask(client, b"their places are free"));
    drop((again, clients));
    assert_eq!(stop(server).open, 0);
}
