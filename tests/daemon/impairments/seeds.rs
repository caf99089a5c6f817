//! Repeatable runs: with `--seed`, the same connections are impaired in the same way.

use std::iter::repeat_with;

use super::impaired_with;
use crate::harness::{Daemon, echo_ping};

/// What the `count` first connections of echo return for these writes.
fn echoed(daemon: &Daemon, count: usize, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let echo = || {
        let mut client = daemon.connect("echo");
        for piece in pieces {
            client.send(piece);
        }
        client.half_close();
        client.receive_all()
    };
    repeat_with(echo).take(count).collect()
}

#[test]
fn the_same_bytes_are_corrupted_however_they_are_sent() {
    let bytes: Vec<u8> = (0..5000).map(|number: u32| (number % 251) as u8).collect();
    let daemon = |seed: &str, more: &str| impaired_with("echo", &format!("corrupt=0.01{more}"), &[seed]);
    let first = echoed(&daemon("--seed=7", ""), 3, &[&bytes]);
    assert!(first.iter().all(|echoed| *echoed != bytes), "nothing is corrupted");
    assert!(first[0] != first[1] && first[1] != first[2], "connections are corrupted alike");
    let pieces: Vec<&[u8]> = bytes.chunks(333).collect();
    assert!(echoed(&daemon("--seed=7", ""), 3, &pieces) == first, "other bytes with another division");
    assert!(echoed(&daemon("--seed=7", ",slice=10,latency=5ms,jitter=5ms"), 3, &[&bytes]) == first, "other bytes");
    assert!(echoed(&daemon("--seed=8", ""), 3, &[&bytes]) != first, "the seed has no effect");
    assert!(echoed(&daemon("-v", ""), 3, &[&bytes]) != first, "the seed is not random");
}

/// Whether each of `count` connections, one after the other, is impaired: `corrupt=1` changes every byte.
fn chosen(seed: &str, count: usize) -> Vec<bool> {
    let daemon = impaired_with("echo", "corrupt=1,probability=0.5", &[seed]);
    let chosen: Vec<bool> = echoed(&daemon, count, &[b"x"]).into_iter().map(|echoed| echoed != b"x").collect();
    let statistics = daemon.statistics_at_rest();
    let impaired = chosen.iter().filter(|chosen| **chosen).count() as u64;
    assert_eq!(statistics.impaired_by.get("corrupt").copied().unwrap_or(0), impaired, "{statistics:?}");
    chosen
}

#[test]
fn the_same_connections_are_chosen() {
    let first = chosen("--seed=1", 40);
    assert!(first.contains(&true) && first.contains(&false), "{first:?}");
    assert_eq!(chosen("--seed=1", 40), first);
    assert_ne!(chosen("--seed=2", 40), first);
}

#[test]
fn a_connection_that_is_not_chosen_has_no_impairment_at_all() {
    let daemon = impaired_with("echo", "latency=1h,refuse-first=1000,reset-after=0,probability=0", &[]);
    for _ in 0..10 {
        echo_ping(&mut daemon.connect("echo"));
    }
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.closed_for("finished"), statistics.impaired_by.len()), (10, 0), "{statistics:?}");
}
