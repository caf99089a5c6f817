//! The examples of the protocols, played to a real daemon.
//!
//! An example is played whole, in two pieces at every place, and byte by byte. The pieces reach the daemon apart: the
//! next one is sent when an echo on another connection shows that the only worker has read the one before. That needs a
//! daemon with `--workers 1` that serves `echo` too.

use retortd::protocol::client_side::ConnectionUse;
use retortd::protocol::{Example, PROTOCOLS, ProtocolInfo};

use super::{Client, Daemon, echo_ping};

/// Plays all examples of the protocols that are `wanted`.
pub fn replay_all(daemon: &Daemon, wanted: impl Fn(&ProtocolInfo) -> bool) {
    let protocols: Vec<&ProtocolInfo> = PROTOCOLS.iter().copied().filter(|info| wanted(info)).collect();
    assert!(!protocols.is_empty());
    for info in protocols {
        for example in info.examples {
            replay(daemon, info, example);
        }
    }
}

/// Plays the first example of a protocol.
pub fn try_protocol(daemon: &Daemon, info: &ProtocolInfo) {
    play_whole(daemon, info, &info.examples[0]);
}

fn play_whole(daemon: &Daemon, info: &ProtocolInfo, example: &Example) {
    let reply = if info.client.connection_use == ConnectionUse::Streaming {
        let (.., (_, length)) = example.reply.form();
        daemon.connect(info.name).receive(length)
    } else {
        daemon.exchange(info.name, example.send)
    };
    expect(info, example, "whole", &reply);
}

/// Plays one example in every way that it allows.
fn replay(daemon: &Daemon, info: &ProtocolInfo, example: &Example) {
    let send = example.send;
    play_whole(daemon, info, example);
    if example.split_anywhere && send.len() > 1 {
        let halves: Vec<Vec<&[u8]>> = (1..send.len()).map(|at| vec![&send[..at], &send[at..]]).collect();
        for (at, reply) in in_pieces(daemon, info.name, &halves).into_iter().enumerate() {
            expect(info, example, &format!("split behind byte {}", at + 1), &reply);
        }
        let bytes = vec![send.chunks(1).collect()];
        expect(info, example, "byte by byte", &in_pieces(daemon, info.name, &bytes)[0]);
    }
}

/// Plays several splits at the same time, each on a connection of its own.
fn in_pieces(daemon: &Daemon, protocol: &str, splits: &[Vec<&[u8]>]) -> Vec<Vec<u8>> {
    let mut echo = daemon.connect("echo");
    let mut clients: Vec<Client> = splits.iter().map(|_| daemon.connect(protocol)).collect();
    let rounds = splits.iter().map(Vec::len).max().unwrap_or(0);
    for round in 0..rounds {
        for (client, pieces) in clients.iter_mut().zip(splits) {
            if let Some(piece) = pieces.get(round) {
                // a service that closes after its reply may be gone before the last piece
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

fn expect(info: &ProtocolInfo, example: &Example, how: &str, reply: &[u8]) {
    let what = format!("{}: {}, {how}", info.name, example.about);
    assert!(example.reply.matches(reply), "{what}: got {}, expected {:?}", reply.escape_ascii(), example.reply);
}
