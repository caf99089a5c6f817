//! The shared tables of conversations, played to a real daemon.
//!
//! A conversation is played whole, in two pieces at every place, and byte by byte. The pieces reach the daemon apart:
//! the next one is sent when an echo on another connection shows that the only worker has read what came before. That
//! needs a daemon with `--workers 1` that serves `echo` too.

use super::tables::{EXAMPLES, Example};
use super::{Client, Daemon, echo_ping};

/// Plays all conversations whose protocol is `wanted`.
pub fn replay_all(daemon: &Daemon, wanted: impl Fn(&str) -> bool) {
    let exchanges: Vec<&Example> = EXAMPLES.iter().filter(|exchange| wanted(exchange.protocol)).collect();
    assert!(!exchanges.is_empty());
    for exchange in exchanges {
        replay(daemon, exchange);
    }
}

/// Plays one conversation in every way that it allows.
fn replay(daemon: &Daemon, exchange: &Example) {
    let Example { protocol, send, .. } = *exchange;
    expect(exchange, "whole", &daemon.exchange(protocol, send));
    if exchange.cut_anywhere && send.len() > 1 {
        let halves: Vec<Vec<&[u8]>> = (1..send.len()).map(|at| vec![&send[..at], &send[at..]]).collect();
        for (at, answer) in in_pieces(daemon, protocol, &halves).into_iter().enumerate() {
            expect(exchange, &format!("cut behind byte {}", at + 1), &answer);
        }
        let bytes = vec![send.chunks(1).collect()];
        expect(exchange, "byte by byte", &in_pieces(daemon, protocol, &bytes)[0]);
    }
}

/// Plays several ways of cutting at once, each on its own connection.
fn in_pieces(daemon: &Daemon, protocol: &str, ways: &[Vec<&[u8]>]) -> Vec<Vec<u8>> {
    let mut echo = daemon.connect("echo");
    let mut clients: Vec<Client> = ways.iter().map(|_| daemon.connect(protocol)).collect();
    let rounds = ways.iter().map(Vec::len).max().unwrap_or(0);
    for round in 0..rounds {
        for (client, pieces) in clients.iter_mut().zip(ways) {
            if let Some(piece) = pieces.get(round) {
                // a service that closes after its answer may be gone before the last piece
                let _ = std::io::Write::write_all(&mut client.stream, piece);
            }
        }
        echo_ping(&mut echo);
    }
    for client in &clients {
        drop(client.stream.shutdown(std::net::Shutdown::Write));
    }
    clients.iter_mut().map(Client::receive_all).collect()
}

fn expect(exchange: &Example, how: &str, answer: &[u8]) {
    let (got, expected) = (answer.escape_ascii(), exchange.expect.escape_ascii());
    let what = format!("{}: {}, {how}", exchange.protocol, exchange.what);
    assert!(answer == exchange.expect, "{what}: got {got}, expected {expected}");
}
