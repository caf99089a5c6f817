//! Replays the shared examples of exchanges to a real daemon.
//!
//! The input is sent whole, in two pieces split at every byte, and byte by byte. The daemon reads the pieces one by
//! one: the next one is sent when the reply of `echo` on another connection shows that the only worker has read the
//! last one. The daemon must run with `--workers=1` and serve `echo`.

use super::tables::{EXAMPLES, Example};
use super::{Client, Daemon, echo_ping};

/// Replays all examples whose protocol is `wanted`.
pub fn replay_all(daemon: &Daemon, wanted: impl Fn(&str) -> bool) {
    let exchanges: Vec<&Example> = EXAMPLES.iter().filter(|exchange| wanted(exchange.protocol)).collect();
    assert!(!exchanges.is_empty());
    for exchange in exchanges {
        replay(daemon, exchange);
    }
}

/// Replays one example with every split that it allows.
fn replay(daemon: &Daemon, exchange: &Example) {
    let Example { protocol, send, .. } = *exchange;
    expect(exchange, "whole", &daemon.exchange(protocol, send));
    if exchange.cut_anywhere && send.len() > 1 {
        let halves: Vec<Vec<&[u8]>> = (1..send.len()).map(|at| vec![&send[..at], &send[at..]]).collect();
        for (at, reply) in in_pieces(daemon, protocol, &halves).into_iter().enumerate() {
            expect(exchange, &format!("split after byte {}", at + 1), &reply);
        }
        let bytes = vec![send.chunks(1).collect()];
        expect(exchange, "byte by byte", &in_pieces(daemon, protocol, &bytes)[0]);
    }
}

/// Replays several splits at the same time, each on its own connection.
fn in_pieces(daemon: &Daemon, protocol: &str, ways: &[Vec<&[u8]>]) -> Vec<Vec<u8>> {
    let mut echo = daemon.connect("echo");
    let mut clients: Vec<Client> = ways.iter().map(|_| daemon.connect(protocol)).collect();
    let rounds = ways.iter().map(Vec::len).max().unwrap_or(0);
    for round in 0..rounds {
        for (client, pieces) in clients.iter_mut().zip(ways) {
            if let Some(piece) = pieces.get(round) {
                // a protocol that closes after its reply may have done so before the last piece
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

fn expect(exchange: &Example, how: &str, reply: &[u8]) {
    let (got, expected) = (reply.escape_ascii(), exchange.expect.escape_ascii());
    let what = format!("{}: {}, {how}", exchange.protocol, exchange.what);
    assert!(reply == exchange.expect, "{what}: got {got}, expected {expected}");
}
