//! States that are damaged or incomplete.

use super::*;

/// Hands three idle connections over, with what `change` does to their records and sockets. Checks that
/// `failed` of them are closed and the others are served, and that the statistics add up.
fn check_damage(failed: usize, change: impl Fn(&mut Vec<String>, &mut HashMap<u64, StreamSocket>)) {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    let mut clients = [(); 3].map(|()| served(&frame));
    let (handed_over, _) = hand_over(server);
    let (mut lines, mut sockets) = (handed_over.lines(), handed_over.receive());
    change(&mut lines, &mut sockets);
    let taken_over = handed_over.take_over_with(lines.concat().as_bytes(), sockets);
    drop(handed_over);
    let server = start(&[&frame], LIMITS, Some(taken_over));
    assert_eq!(server.taken_over(), TakeOverCounts { taken_over: 3 - failed as u64, failed: failed as u64 });
    let is_served = |client: &mut TcpStream| {
        client.write_all(&request(UPPERCASE, b"there")).is_ok() && matches!(client.read(&mut [0; 100]), Ok(1..))
    };
    assert_eq!(clients.iter_mut().filter_map(|client| is_served(client).then_some(())).count(), 3 - failed);
    let totals = server.stats().totals;
    assert_eq!((totals.accepted, totals.open(), totals.closed[FAILED]), (3, 3 - failed as u64, failed as u64));
    drop(clients);
    assert_eq!(stop(server).open, 0);
}

/// Fault 54: records and sockets that are missing, double or wrong.
#[test]
fn what_is_missing_or_wrong_costs_no_more_than_its_connection() {
    check_damage(0, |_, _| {});
    check_damage(0, |lines, _| lines.reverse());
    check_damage(1, |lines, _| drop(lines.pop()));
    check_damage(1, |lines, _| lines.push(lines[1].clone()));
    check_damage(1, |lines, _| lines.extend([lines[1].clone(), lines[1].clone()]));
    check_damage(1, |_, sockets| {
        let cookie = *sockets.keys().next().expect("a socket");
        sockets.remove(&cookie);
    });
    check_damage(1, |lines, _| lines[0] = lines[0].replace("\"cookie\":", "\"cookie\":9"));
    check_damage(1, |lines, _| lines[2] = lines[2].replace("\"protocol\":\"frame\"", "\"protocol\":\"gopher\""));
}

#[test]
fn what_follows_a_record_that_cannot_be_read_is_closed() {
    check_damage(2, |lines, _| lines[1] = "garbage\n".into());
    check_damage(1, |lines, _| lines[2].truncate(20));
    check_damage(3, |lines, _| lines.clear());
    check_damage(3, |lines, _| lines[0].insert_str(0, &" ".repeat(super::super::taken_over::MAX_LINE as usize)));
    check_damage(2, |lines, _| lines[1] = lines[1].replace("\"lengths\":[0,0]", "\"lengths\":[0,1000000000000]"));
    check_damage(3, |lines, _| lines[0] = lines[0].replace("\"cookie\"", "\"Cookie\""));
}

/// A change to a file.
#[derive(Clone, Debug)]
enum Damage {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Truncate(prop::sample::Index),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        let index = || any::<prop::sample::Index>();
        prop_oneof![
            (index(), any::<u8>()).prop_map(|(at, byte)| Self::Replace(at, byte)),
            (index(), b'0'..=b'9').prop_map(|(at, digit)| Self::Replace(at, digit)),
            (index(), prop_oneof![Just(b"0".to_vec()), Just(b"99999999".to_vec()), Just(b"\n".to_vec())])
                .prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            (index(), 1_usize..300).prop_map(|(at, length)| Self::Remove(at, length)),
            index().prop_map(Self::Truncate),
        ]
    }

    fn apply(&self, file: &mut Vec<u8>) {
        if file.is_empty() {
            return;
        }
        let length = file.len();
        match self {
            Self::Replace(at, byte) => file[at.index(length)] = *byte,
            Self::Insert(at, bytes) => drop(file.splice(at.index(length)..at.index(length), bytes.clone())),
            Self::Remove(at, bytes) => drop(file.drain(at.index(length)..length.min(at.index(length) + bytes))),
            Self::Truncate(at) => file.truncate(at.index(length)),
        }
    }
}

/// Connections in several states that were saved, and their sockets.
fn saved_conversations() -> (Vec<TcpStream>, HandedOver, HashMap<u64, StreamSocket>) {
    let [frame, chargen, record] = ["frame", "chargen", "record"].map(Endpoint::new);
    let proxied = Endpoint::new("frame").with_headers();
    let delayed = Endpoint::new("echo").delayed();
    let limits = ServerLimits { max_per_source: Some(100), ..LIMITS };
    let server = start(&[&frame, &chargen, &record, &proxied, &delayed], limits, None);
    let half = request(UPPERCASE, &[b'x'; 5000]);
    let clients = vec![
        served(&frame),
        frame.connect(&half[..300]),
        chargen.connect(b""),
        record.connect(b"\x01"),
        proxied.connect(b"PROXY TCP4 192.0.2.1"),
        delayed.connect(b"delayed"),
    ];
    let (frozen, handed_over) =
        save_in_states(&server, 6, &["\"handshake\"", "\"idle\"", "\"receiving\"", "\"generating\"", "delayed"]);
    frozen.commit();
    drop(server.join());
    let sockets = handed_over.receive();
    (clients, handed_over, sockets)
}

#[test]
fn whatever_was_saved_the_successor_starts_and_its_statistics_add_up() {
    let (_clients, handed_over, sockets) = saved_conversations();
    let frame = Endpoint::new("frame");
    let mut runner = TestRunner::new(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() });
    let of_file = prop::collection::vec(Damage::any(), 1..4);
    let result = runner.run(&(of_file, prop::option::of(Damage::any())), |(of_file, of_server)| {
        let (mut file, mut server) = (handed_over.file.clone(), handed_over.server.clone().into_bytes());
        for damage in &of_file {
            damage.apply(&mut file);
        }
        if let Some(damage) = &of_server {
            damage.apply(&mut server);
        }
        let Ok(server) = serde_json::from_slice(&server) else { return Ok(()) };
        let copy = |(cookie, socket): (&u64, &StreamSocket)| {
            let copy = socket.as_fd().try_clone_to_owned().expect("a descriptor");
            (*cookie, copy.try_into().expect("a connection"))
        };
        let taken_over = TakenOver::read(server, &mut &file[..], file.len() as u64, sockets.iter().map(copy).collect());
        let server = start(&[&frame], LIMITS, Some(taken_over));
        let taken_over = server.taken_over().taken_over;
        prop_assert!(taken_over <= 6);
        drop(served(&frame));
        server.abort();
        let stats = server.join();
        prop_assert_eq!((stats.open, stats.totals.in_flight()), (0, 0));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
