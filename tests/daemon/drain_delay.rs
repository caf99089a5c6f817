//! `--drain-delay`: the time from SIGTERM to the end of accepting.
//!
//! Most delays here are an hour: what is to happen in the delay happens, however slow the machine is, and a second
//! signal ends it.

use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::action::{REVERSE, UPPERCASE};
use crate::harness::{Client, DEADLINE, Daemon, DaemonBuilder, Directory, connection, frame, listener, wait_until};
use crate::headers::TCP4;

const DELAY: &str = "--drain-delay=1h";
const ANNOUNCED: &str = "retortd: stopping: accepts connections for another 1h (--drain-delay); another SIGTERM or \
                         SIGINT (Ctrl-C), a second or more later, ends that";

/// Whether the server has closed the connection of a client that has received everything before.
fn is_closed(client: &Client) -> bool {
    client.stream.set_nonblocking(true).expect("non-blocking");
    let peeked = client.stream.peek(&mut [0]);
    client.stream.set_nonblocking(false).expect("blocking");
    match peeked {
        Ok(length) => length == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Without -v: a user at the terminal has to know why the daemon goes on.
#[test]
fn clients_are_accepted_and_served_during_the_delay_and_refused_after_it() {
    for socket in ["own", "inherited"] {
        let mut daemon = match socket {
            "own" => Daemon::serving("frame", &[DELAY]),
            _ => DaemonBuilder::new(&[DELAY]).with_sockets("frame", vec![listener().0.into()]).start(),
        };
        let mut persistent = daemon.connect("frame");
        assert_eq!(persistent.request(UPPERCASE, b"before"), b"BEFORE");
        daemon.begin_drain();
        let (_, line) = daemon.wait_for_line(0, "stopping");
        assert!(line.ends_with(ANNOUNCED), "{line}");
        for _ in 0..20 {
            assert_eq!(daemon.connect("frame").request(UPPERCASE, b"fresh"), b"FRESH");
            assert_eq!(persistent.request(UPPERCASE, b"during"), b"DURING");
        }
        daemon.stop_now();
        daemon.wait_for_line(0, "received another SIGTERM or SIGINT: accepting no more connections");
        assert_eq!(daemon.wait_exit(), 0);
        assert_eq!(persistent.wait_closed(), b"");
        let address = daemon.address("frame");
        assert!(TcpStream::connect_timeout(&address, DEADLINE).is_err(), "{socket}: it accepts after the delay");
    }
}

#[test]
fn delay_ends_by_itself() {
    let mut daemon = Daemon::serving("frame", &["--drain-delay=400ms", "-v"]);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"before"), b"BEFORE");
    let begun = Instant::now();
    daemon.begin_drain();
    assert_eq!(daemon.wait_exit(), 0);
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    let (at, _) = daemon.wait_for_line(0, "stopping: received SIGTERM or SIGINT");
    let (at, _) = daemon.wait_for_line(at, "stopping: accepts connections for another 400ms");
    daemon.wait_for_line(at, "stopping: the drain delay is over");
    assert_eq!(daemon.last_statistics().closed_for("stopped"), 1);
}

#[test]
fn each_signal_ends_one_phase() {
    let mut daemon = Daemon::serving("frame", &[DELAY, "--drain-timeout=none", "-v"]);
    let mut client = daemon.connect("frame");
    client.send(&frame(REVERSE, b"never complete")[..10]);
    daemon.statistics_when(|statistics| statistics.bytes_in == 10);
    daemon.begin_drain();
    daemon.stop_now();
    let (at, _) = daemon.wait_for_line(0, "received another SIGTERM or SIGINT: accepting no more connections");
    let (at, _) = daemon.wait_for_line(at, "for 1 connection with requests or replies pending; another SIGTERM");
    assert!(!is_closed(&client) && !daemon.has_exited());
    daemon.stop_now();
    assert_eq!(daemon.wait_exit(), 0);
    daemon.wait_for_line(at, "received another SIGTERM or SIGINT: stopping at once");
    assert_eq!(daemon.last_statistics().closed_for("forced"), 1);
}

/// As timeout(1) sends them.
#[test]
fn simultaneous_signals_do_not_end_the_delay() {
    let daemon = Daemon::serving("frame", &[DELAY]);
    daemon.signal_at_once(&[Signal::SIGTERM, Signal::SIGINT]);
    daemon.wait_for_line(
        0,
        "SIGTERM or SIGINT ignored: less than a second after the last; send it again to stop accepting",
    );
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"x"), b"X");
}

/// The slots of a worker are visited in their order, each at its own moment: 200 of them, one each 0.3 seconds.
#[test]
fn quiet_connections_are_closed_one_after_another() {
    let mut daemon = Daemon::serving("frame", &["--drain-delay=1m", "--drain-timeout=none", "--workers=1", "-v"]);
    let mut clients: Vec<Client> = (0..200).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    }
    daemon.begin_drain();
    // the last ones first, so that what is found is one state: no connection is closed behind one that is open
    let closed = || clients.iter().rev().map(is_closed).collect::<Vec<bool>>();
    let number = |closed: &[bool]| closed.iter().filter(|is_closed| **is_closed).count();
    wait_until("three connections are closed", || number(&closed()) >= 3);
    let states = closed();
    let last = states.iter().position(|is_closed| *is_closed).expect("three are closed");
    assert!(last > 0, "the last connection is closed soon after the first");
    // the first ones may have been in use at their moment
    let run = states[last..].iter().take_while(|is_closed| **is_closed).count();
    assert_eq!(run, number(&states), "not closed in their order: {states:?}");
    // a client that was closed can connect again
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"again"), b"AGAIN");
    daemon.stop_now();
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().closed_for("stopped"), 200);
}

#[test]
fn connection_with_an_unfinished_request_stays_open() {
    let daemon = Daemon::serving("frame", &["--drain-delay=20s", "--workers=1"]);
    let mut clients: Vec<Client> = (0..40).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    }
    let request = frame(REVERSE, b"The LAN Before Time");
    clients[5].send(&request[..10]);
    daemon.statistics_when(|statistics| statistics.bytes_in == 40 * 5 + 10);
    daemon.begin_drain();
    wait_until("the connections in front of it and the one behind it are closed", || {
        is_closed(&clients[4]) && is_closed(&clients[6])
    });
    clients[5].send(&request[10..]);
    assert_eq!(clients[5].receive_frame(), b"emiT erofeB NAL ehT");
}

#[test]
fn connection_whose_header_is_awaited_is_quiet() {
    let daemon =
        Daemon::serving_behind_proxy("frame", &["--drain-delay=1m", "--workers=1", "--proxy-timeout=1h", "-v"]);
    let mut clients: Vec<Client> = (0..100).map(|_| daemon.connect("frame")).collect();
    daemon.statistics_when(|statistics| statistics.open == 100);
    daemon.begin_drain();
    daemon.statistics_when(|statistics| statistics.closed_for("stopped") > 0);
    // the last one: its moment is at the end of the delay
    let mut last = clients.pop().expect("a client");
    last.send(TCP4);
    assert_eq!(last.request(UPPERCASE, b"x"), b"X");
}

#[test]
fn service_manager_gets_stopping_a_countdown_and_extensions_from_the_start() {
    let mut daemon = Daemon::serving("frame", &[DELAY]);
    let mut client = daemon.connect("frame");
    (0..3).for_each(|_| assert_eq!(client.request(UPPERCASE, b"x"), b"X"));
    daemon.signal(Signal::SIGTERM);
    let (at, stopping) = daemon.wait_for_notice(0, "STOPPING=1");
    let status =
        |left: &str| format!("STATUS=stopping: accepts connections for another {left}; 1 connection, 3 requests\n");
    assert!(stopping.contains(&status("1h")), "{stopping}");
    let (extended, _) = daemon.wait_for_notice(at, "EXTEND_TIMEOUT_USEC=10000000");
    daemon.wait_for_notice(extended, "EXTEND_TIMEOUT_USEC=10000000");
    let (_, counted) = daemon.wait_for_notice(at, "STATUS=");
    assert!(counted.starts_with("STATUS=stopping: accepts connections for another 59m 5"), "{counted}");
    daemon.stop_now();
    let (at, _) = daemon.wait_for_notice(at, "STATUS=stopping; 1 connection, 3 requests\n");
    daemon.wait_for_notice(at, "EXTEND_TIMEOUT_USEC=10000000");
    assert_eq!(daemon.wait_exit(), 0);
    let states = daemon.notices.all().concat();
    assert_eq!((states.matches("STOPPING=1").count(), states.matches("READY=1").count()), (1, 1), "{states}");
}

/// It does not change the end of the delay, and the service manager is not notified that the service is ready.
#[test]
fn reload_during_the_delay_applies_limits_and_the_drain_timeout() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_DRAIN_DELAY=1h\nRETORTD_DRAIN_TIMEOUT=none\n");
    let mut daemon = Daemon::serving("frame", &["--settings", &file, "-v"]);
    let mut partial = daemon.connect("frame");
    partial.send(&frame(REVERSE, b"never complete")[..10]);
    daemon.statistics_when(|statistics| statistics.bytes_in == 10);
    daemon.begin_drain();
    let stopping = daemon.notices.len();
    directory.write("settings", "RETORTD_MAX_MESSAGE=10\nRETORTD_DRAIN_TIMEOUT=200ms\n");
    let before = daemon.log.len();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_line(before, "reloaded");
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"eleven byte"), b"error");
    daemon.wait_for_notice(stopping, "STATUS=stopping: accepts connections for another 59m 5");
    daemon.stop_now();
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().closed_for("forced"), 1);
    let later = daemon.notices.all().split_off(stopping).concat();
    assert!(!later.contains("READY=1") && !later.contains("RELOADING=1"), "{later}");
}

#[test]
fn delay_of_0_or_none_is_no_delay() {
    for delay in ["--drain-delay=0", "--drain-delay=none"] {
        let mut daemon = Daemon::serving("frame", &[delay, "-v"]);
        assert_eq!(daemon.stop(), 0);
        assert!(!daemon.log.text().contains("accepts connections"), "{}", daemon.log.text());
    }
}

/// An instance for each connection, as of `Accept=yes`: no balancer sends it clients.
#[test]
fn single_connection_has_no_delay() {
    let (client, server) = connection();
    let mut daemon = DaemonBuilder::new(&[DELAY]).with_sockets("frame", vec![server.into()]).spawn();
    let mut client = Client::from_stream(client);
    assert_eq!(client.request(UPPERCASE, b"abc"), b"ABC");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(client.wait_closed(), b"");
}

#[test]
fn exit_idle_has_no_delay() {
    let mut daemon = Daemon::serving("frame", &["--exit-idle=100ms", DELAY, "-v"]);
    assert_eq!(daemon.wait_exit(), 0);
    daemon.wait_for_line(0, "stopping: no connection for 100ms");
}

/// Fault 26: a worker fails during the delay, because another process has shut the listener down.
#[test]
fn failure_during_the_delay_ends_it() {
    let (listener, _) = listener();
    let socket = listener.try_clone().expect("a copy of the listener");
    let mut daemon = DaemonBuilder::new(&[DELAY, "-v"]).with_sockets("frame", vec![socket.into()]).start();
    daemon.begin_drain();
    nix::sys::socket::shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Both).expect("shutdown");
    assert_eq!(daemon.wait_exit(), 71);
    daemon.wait_for_line(0, "stopping: a worker has failed");
}

/// Fault 26: the client waits in the backlog, and is served when a slot is free.
#[test]
fn client_at_the_limit_during_the_delay_is_served_later() {
    let daemon = Daemon::serving("frame", &[DELAY, "--max-connections=1", "--workers=1"]);
    let mut first = daemon.connect("frame");
    assert_eq!(first.request(UPPERCASE, b"first"), b"FIRST");
    daemon.begin_drain();
    let mut second = daemon.connect("frame");
    second.send(&frame(UPPERCASE, b"second"));
    assert_eq!(first.request(UPPERCASE, b"first"), b"FIRST");
    first.stream.shutdown(Shutdown::Both).expect("shutdown");
    assert_eq!(second.receive_frame(), b"SECOND");
}
