//! Connections in all states.

use super::*;

/// The states of connections in which they are saved here, by what is only in their records.
const STATES: [&str; 6] =
    ["\"handshake\"", "\"idle\"", "\"receiving\"", "\"replying\"", "\"generating\"", "\"is_counted\":true"];

#[test]
fn connections_in_all_states_are_continued_and_statistics_stay_exact() {
    let [frame, chargen, daytime] = ["frame", "chargen", "daytime"].map(Endpoint::new);
    let proxied = Endpoint::new("frame").with_headers();
    let endpoints = [&frame, &chargen, &daytime, &proxied];
    let server = start(&endpoints, LIMITS, None);
    let (text, equal) = (vec![b'x'; 12 << 20], vec![b'e'; 100_000]);
    server.prepare_hand_over();
    let (mut fresh, mut idle) = (frame.connect(b""), served(&frame));
    let whole = request(UPPERCASE, &text[..300_000]);
    let (mut begun, mut half) = (frame.connect(&whole[..2]), frame.connect(&whole[..150_000]));
    let mut unread = frame.connect(&request(UPPERCASE, &text));
    let mut queued = frame.connect(&[request(SHUFFLE, &equal), request(UPPERCASE, b"next")].concat());
    let mut generated = chargen.connect(b"");
    let (header, rest) = (b"PROXY TCP4 192.0.2.1 127.0.0.1", b" 1000 80\r\n");
    let mut announced = proxied.connect(header);
    // each look at the states copies what has arrived
    wait_for_totals(&server, "the large request arrives", |totals| totals.bytes_in >= 12 << 20);
    drop(save_in_states(&server, 8, &STATES));
    // the last, because it lingers for a bounded time
    let mut told = daytime.connect(b"");
    wait_until("its line is sent", || of(&server.stats(), "daytime").totals.answered == 1);
    let (frozen, handed_over) = save_in_states(&server, 9, &["\"lingering\""]);
    assert_eq!(handed_over.saved, Saved { handed_over: 9, left: 0 });
    frozen.commit();
    let before = server.join();
    assert_eq!((before.open, before.totals.in_flight()), (9, 2), "nothing is counted as closed");
    // its first words are sent by the predecessor, the next ones by the successor
    let mut stream = vec![0; 74 * 200];
    generated.read_exact(&mut stream).expect("characters");

    let server = start(&endpoints, LIMITS, Some(handed_over.take_over()));
    assert_eq!(server.taken_over(), TakeOverCounts { taken_over: 9, failed: 0 });
    assert_eq!(server.stats().totals.accepted, 9);
    ask(&mut fresh, b"fresh");
    ask(&mut idle, b"idle");
    begun.write_all(&whole[2..]).expect("send");
    half.write_all(&whole[150_000..]).expect("send");
    for client in [&mut begun, &mut half] {
        assert_eq!(read_reply(client), vec![b'X'; 300_000]);
    }
    assert_eq!(read_reply(&mut unread), vec![b'X'; 12 << 20]);
    assert_eq!((read_reply(&mut queued), read_reply(&mut queued)), (equal, b"NEXT".to_vec()));
    announced.write_all(&[&rest[..], &request(UPPERCASE, b"who")].concat()).expect("send");
    assert_eq!(read_reply(&mut announced), b"WHO");
    check_pattern(&mut generated, &stream);
    let mut line = String::new();
    told.read_to_string(&mut line).expect("a line and the end");
    assert!(line.ends_with('\n'), "{line:?}");
    let mut late = served(&frame);
    ask(&mut late, b"late");

    drop((fresh, idle, begun, half, unread, queued, generated, told, announced, late));
    wait_until("all have closed", || server.stats().open == 0);
    let totals = stop(server).totals;
    assert_eq!((totals.accepted, totals.closed.iter().sum::<u64>(), totals.closed[FAILED]), (10, 10, 0));
    // the line of daytime counts, too
    assert_eq!((totals.requests, totals.answered, totals.abandoned.iter().sum::<u64>()), (12, 12, 0));
    assert_eq!((totals.offloaded, totals.proxy[ProxyResult::V1 as usize]), (1, 1));
}

/// Reads on; what was sent by both servers is one pattern: each line begins one character later (RFC 864).
fn check_pattern(client: &mut TcpStream, first: &[u8]) {
    let mut stream = first.to_vec();
    let mut more = vec![0; 8 << 20];
    client.read_exact(&mut more).expect("characters");
    stream.append(&mut more);
    let lines: Vec<&[u8]> = stream.chunks_exact(74).collect();
    for (number, line) in lines.windows(2).enumerate() {
        assert_eq!(line[0][1..72], line[1][..71], "line {number}");
    }
}

#[test]
fn connections_that_wait_for_memory_wait_again() {
    let frame = Endpoint::new("frame");
    let limits = ServerLimits { max_message: 1 << 20, max_buffered: Some(4 << 20), ..LIMITS };
    let server = start(&[&frame], limits, None);
    let whole = request(UPPERCASE, &vec![b'm'; 1 << 20]);
    let clients: Vec<_> = (0..8).map(|_| frame.connect(&whole[..700_000])).collect();
    let (frozen, handed_over) = save_in_states(&server, 8, &["\"waiting-for-memory\""]);
    frozen.commit();
    drop(server.join());
    let taken_over = handed_over.take_over();
    let mut capacities = taken_over.sessions.values().map(|(_, session)| session.bytes[0].capacity());
    // others wait for the memory that the requests of some have
    assert!(capacities.any(|capacity| capacity >= whole.len()), "what has arrived is not copied again");
    let server = start(&[&frame], limits, Some(taken_over));
    assert_eq!(server.taken_over(), TakeOverCounts { taken_over: 8, failed: 0 });
    thread::scope(|scope| {
        for mut client in clients {
            let whole = &whole;
            scope.spawn(move || {
                client.write_all(&whole[700_000..]).expect("send");
                assert_eq!(read_reply(&mut client), vec![b'M'; 1 << 20]);
            });
        }
    });
    assert_eq!(stop(server).totals.answered, 8);
}

#[test]
fn a_request_that_waits_for_memory_again_counts_once_as_offloaded() {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    server.prepare_hand_over();
    let equal = vec![b'e'; 1 << 20];
    let mut clients = [(); 4].map(|()| frame.connect(&request(SHUFFLE, &equal)));
    wait_for_totals(&server, "all wait for a thread", |totals| totals.offloaded == 4);
    let (handed_over, _) = hand_over(server);
    // without room for the replies of all
    let limits = ServerLimits { max_buffered: Some(6 << 20), ..LIMITS };
    let server = start(&[&frame], limits, Some(handed_over.take_over()));
    for client in &mut clients {
        assert_eq!(read_reply(client), equal);
    }
    drop(clients);
    let totals = stop(server).totals;
    assert_eq!((totals.requests, totals.answered, totals.offloaded), (4, 4, 4));
}
