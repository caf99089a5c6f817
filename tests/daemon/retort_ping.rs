//! `retort ping` against the real daemon, and against servers that stall, close or send too much.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::sync::mpsc;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{Backlog, listen};

use crate::buggy_servers;
use crate::harness::{DEADLINE, Daemon, listener, process_id, retort, run, stderr, stdout};

/// Length of a request of the frame protocol for the default message: a header of 4 bytes, and 56 bytes.
const REQUEST: usize = 60;

/// Interrupts retort, and returns what it printed and its exit code.
fn interrupt(child: Child) -> (String, Option<i32>) {
    kill(process_id(&child), Signal::SIGINT).expect("a running process");
    let output = child.wait_with_output().expect("wait for retort");
    assert_eq!(stderr(&output), "");
    (stdout(&output).to_owned(), output.status.code())
}

#[test]
fn ping_counts_and_times_round_trips() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let output = run(&["ping", &address, "-c", "3", "-i", "1ms"]);
    let text = stdout(&output);
    assert!(output.status.success(), "{output:?}");
    assert!(text.starts_with(&format!("{address} (frame): connected in ")), "{text}");
    assert!(text.contains("56 bytes: seq=3 time="), "{text}");
    assert!(text.contains("3 sent, 3 received, 0 lost (0%)\nconnect    min/avg/max/stddev = "), "{text}");
    let fresh = run(&["ping", &address, "-c", "2", "-i", "0", "--reconnect", "-q"]);
    assert!(fresh.status.success() && !stdout(&fresh).contains("seq="), "{fresh:?}");
    assert_eq!(daemon.statistics_at_rest().accepted, 3);
}

#[test]
fn sigint_prints_ping_summary() {
    let daemon = Daemon::serving("frame", &[]);
    let mut child = retort(&["ping", &daemon.address("frame").to_string(), "-i", "1h"]).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut text = Vec::new();
    while !text.windows(5).any(|bytes| bytes == b"seq=1") {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    kill(process_id(&child), Signal::SIGINT).unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("1 sent, 1 received, 0 lost (0%)"), "{rest}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn lost_pings_are_counted() {
    let address = buggy_servers::for_each_client(drop).to_string();
    let output = run(&["ping", &address, "-c", "2", "-i", "1ms"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("seq=2 lost: "), "{output:?}");
    assert!(stdout(&output).contains("2 sent, 0 received, 2 lost (100%)"), "{output:?}");
}

/// 10 ms pass after each failure, so that no more than 50 of them are possible before the deadline.
#[test]
fn without_an_interval_a_failing_server_is_not_flooded() {
    let address = buggy_servers::for_each_client(drop).to_string();
    let output = run(&["ping", &address, "-i", "0", "-w", "500ms"]);
    let failures = stdout(&output).matches(" lost: ").count();
    assert!((1..=50).contains(&failures), "{failures}: {output:?}");
    assert_eq!(output.status.code(), Some(1));
}

/// The timeout of a round trip expires although bytes arrive.
#[test]
fn ping_timeout_expires_while_bytes_arrive() {
    let address = buggy_servers::flooding(b"abcd").to_string();
    let sized = ["-P", "echo", "-s", "4", "-c", "3", "-i", "20ms"];
    let output = run(&[["ping", &address, "--read-timeout", "1ns"].as_slice(), &sized].concat());
    assert!(stdout(&output).contains("3 sent, 0 received, 3 lost (100%)"), "{output:?}");
}

#[test]
fn header_shows_the_address_of_a_name() {
    let daemon = Daemon::serving("frame", &[]);
    let port = daemon.address("frame").port();
    let output = run(&["ping", "-4", &format!("localhost:{port}"), "-c", "1"]);
    let header = format!("localhost:{port} (127.0.0.1:{port}, frame): connected in ");
    assert!(stdout(&output).starts_with(&header), "{output:?}");
}

/// Requests are sent at the interval although the server does not reply, and those in flight are lost at Ctrl-C.
#[test]
fn requests_go_out_while_the_server_stalls() {
    let (third, received) = mpsc::channel();
    let address = buggy_servers::for_each_client(move |mut stream: TcpStream| {
        let mut requests = [0; 3 * REQUEST];
        let _ = stream.read_exact(&mut requests).map(|()| third.send(()));
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let child = retort(&["ping", &address.to_string(), "-i", "1ms", "-c", "3"]).spawn().expect("start retort");
    received.recv().expect("three requests on one connection");
    let (text, code) = interrupt(child);
    assert!(text.contains("3 sent, 0 received, 3 lost (100%)"), "{text}");
    assert_eq!(code, Some(1));
}

/// Nothing separates the replies of this protocol, so each request in flight has a connection of its own.
#[test]
fn requests_that_cannot_share_a_connection_get_others() {
    let (accepted, connections) = mpsc::channel();
    let address = buggy_servers::for_each_client(move |mut stream: TcpStream| {
        let mut request = [0; 56];
        let _ = stream.read_exact(&mut request).map(|()| accepted.send(()));
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let words = ["ping", &address.to_string(), "-P", "echo-prefix", "-i", "1ms", "-c", "3"];
    let child = retort(&words).spawn().expect("start retort");
    for _ in 0..3 {
        connections.recv().expect("a request on a connection of its own");
    }
    assert!(interrupt(child).0.contains("3 sent, 0 received, 3 lost (100%)"));
}

/// The server closes the connection as soon as it has replied, long before the next request is due.
#[test]
fn connection_that_is_closed_while_idle_is_replaced() {
    let address = buggy_servers::for_each_client(|mut stream: TcpStream| {
        let mut request = [0; REQUEST];
        if stream.read_exact(&mut request).is_ok() {
            let message: Vec<u8> = request[4..].iter().rev().copied().collect();
            let _ = stream.write_all(&[&56_u32.to_be_bytes(), message.as_slice()].concat());
        }
    });
    let output = run(&["ping", &address.to_string(), "-i", "500ms", "-c", "2"]);
    assert!(stdout(&output).contains("2 sent, 2 received, 0 lost (0%)"), "{output:?}");
    assert!(output.status.success() && !stdout(&output).contains("lost:"), "{output:?}");
}

#[test]
fn deadline_ends_a_run_with_a_request_in_flight() {
    let address = buggy_servers::for_each_client(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let output = run(&["ping", &address.to_string(), "-i", "1h", "-w", "50ms"]);
    assert!(stdout(&output).contains("1 sent, 0 received, 1 lost (100%)"), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
}

/// The accept queue is full, so that the kernel drops the packets of further clients (listen(2)).
#[test]
fn deadline_ends_a_run_that_cannot_connect() {
    let (listener, address) = listener();
    listen(&listener, Backlog::new(0).expect("a backlog")).expect("listen");
    let _queued = TcpStream::connect(address).expect("connect");
    let begun = Instant::now();
    let output = run(&["ping", &address.to_string(), "-w", "50ms", "--connect-timeout", "5m"]);
    assert_eq!((stdout(&output), output.status.code()), ("", Some(2)));
    assert!(stderr(&output).contains(&format!("cannot connect to {address}: connection timed out")), "{output:?}");
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

/// Far more bytes than all buffers hold: a client that did not read while it writes would be stuck.
#[test]
fn large_message_is_received_while_it_is_sent() {
    let daemon = Daemon::serving("echo", &[]);
    let output = run(&["ping", &daemon.address("echo").to_string(), "-P", "echo", "-s", "32M", "-c", "1"]);
    assert!(stdout(&output).contains("1 sent, 1 received, 0 lost (0%)"), "{output:?}");
}
