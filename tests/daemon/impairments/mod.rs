//! Impaired listeners over real sockets: what clients see, what is counted and logged, reloads, the end of the daemon.
//!
//! No test judges how long something took. What must not happen yet is delayed by [`AN_HOUR`]; that it has not happened
//! is looked at when a later event shows that the only worker has done everything before.

mod effects;
mod faults;
mod notes;
mod reload;
mod seeds;
mod sockets;
mod stop;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::harness::action::UPPERCASE;
use crate::harness::{Client, DEADLINE, Daemon, DaemonBuilder, Statistics, frame, length_prefixed};

/// A latency that never ends in a test.
const AN_HOUR: &str = "latency=1h";

/// A daemon with one worker that serves a protocol with these options, and `echo-prefix` without any.
fn impaired(protocol: &str, options: &str) -> Daemon {
    impaired_with(protocol, options, &[])
}

/// The same with more arguments.
fn impaired_with(protocol: &str, options: &str, arguments: &[&str]) -> Daemon {
    let listen = format!("--listen={protocol}=127.0.0.1:0,{options}");
    let own = ["-v", "--workers=1", listen.as_str(), "--listen=echo-prefix=127.0.0.1:0"];
    DaemonBuilder::new(&[&own, arguments].concat()).start()
}

/// Waits until the only worker has read everything that was sent to it before, on any connection.
fn pass(daemon: &Daemon) {
    let mut client = daemon.connect("echo-prefix");
    client.send(b"?");
    assert_eq!(client.receive(7), b"Echo: ?");
}

/// Whether nothing waits to be received, and the server has not closed.
fn has_nothing(client: &Client) -> bool {
    client.stream.set_nonblocking(true).expect("non-blocking");
    let peeked = client.stream.peek(&mut [0]);
    client.stream.set_nonblocking(false).expect("blocking");
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Connects to `frame` and sends a request; whether there is a reply. If not, the server resets the connection, which
/// connect(2) may report already.
pub fn is_served(daemon: &Daemon) -> bool {
    let served = TcpStream::connect_timeout(&daemon.address("frame"), DEADLINE).and_then(|mut stream| {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(&frame(UPPERCASE, b"abc"))?;
        let mut reply = [0; 7];
        stream.read_exact(&mut reply).map(|()| reply.as_slice() == length_prefixed(b"ABC"))
    });
    match served {
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => false,
        served => served.expect("a reply or a reset"),
    }
}

/// Receives until the server resets the connection; returns what came before.
fn receive_until_reset(client: &mut Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    let error = client.stream.read_to_end(&mut bytes).expect_err("the connection is reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "after {} bytes: {error}", bytes.len());
    bytes
}

/// Requests of `frame` with different lengths, and the replies to them.
fn pipelined(count: usize) -> (Vec<u8>, Vec<u8>) {
    let text = |number: usize| vec![b'a' + (number % 26) as u8; number * 37 % 1000];
    let requests = (0..count).flat_map(|number| frame(UPPERCASE, &text(number))).collect();
    (requests, (0..count).flat_map(|number| length_prefixed(&text(number).to_ascii_uppercase())).collect())
}

/// The kinds of impairments that have acted, each with the number of connections. They are counted at the end of the
/// call in which they act, a moment after the requests that it has answered.
fn acted(statistics: &Statistics) -> Vec<(&str, u64)> {
    statistics.impaired_by.iter().map(|(kind, count)| (kind.as_str(), *count)).collect()
}
