//! Balancers that send PROXY headers: the announced address of the client is in the log and in the replies of `who`, is
//! the source that limits count, and is judged by access lists.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixStream;

use super::Balancer;
use super::documented::announcing;
use crate::harness::action::UPPERCASE;
use crate::harness::{Client, Daemon, frame, length_prefixed, wait_until};

/// Runs a test behind each documented balancer that sends headers, with a new daemon each time.
#[track_caller]
fn behind_each(protocol: &str, arguments: &[&str], test: impl Fn(&str, &Daemon, &Balancer)) {
    let shown = announcing();
    assert!(shown.len() >= 4, "docs/load-balancers.md shows haproxy three times and nginx once: {shown:?}");
    for (title, mut text) in shown {
        if protocol != "frame" {
            // the request of the health checks is one of `frame`
            text = text
                .lines()
                .filter(|line| !line.contains("tcp-check"))
                .fold(String::new(), |all, line| all + line + "\n");
        }
        let daemon = Daemon::serving_behind_proxy(protocol, arguments);
        let Some(balancer) = Balancer::of_kind(&title, &text, &[daemon.address(protocol)]) else { continue };
        test(&title, &daemon, &balancer);
    }
}

/// The sockets on which a balancer may listen, as haproxy and as nginx write them.
const DUAL_STACK: [&str; 2] = ["bind :::8083 v4v6", "listen [::]:8083 ipv6only=off"];
const IPV4_ONLY: [&str; 2] = ["bind 0.0.0.0:8083", "listen 0.0.0.0:8083"];
const IPV6_ONLY: [&str; 2] = ["bind :::8083 v6only", "listen [::]:8083 ipv6only=on"];

/// Asserts that the log names a client that connects from `source` through each balancer, which listens on such a
/// socket.
#[track_caller]
fn assert_logged(socket: [&str; 2], source: IpAddr) {
    for (title, mut text) in announcing() {
        for (documented, used) in DUAL_STACK.iter().zip(socket) {
            text = text.replace(documented, used);
        }
        assert!(socket.iter().any(|socket| text.contains(socket)), "{title}: no {socket:?}");
        let daemon = Daemon::serving_behind_proxy("frame", &["-v"]);
        let Some(balancer) = Balancer::of_kind(&title, &text, &[daemon.address("frame")]) else { continue };
        let mut client = match source {
            IpAddr::V4(source) => Client::connect_from(source.octets(), balancer.address()),
            IpAddr::V6(source) => Client::connect(SocketAddr::from((source, balancer.address().port()))),
        };
        assert_eq!(client.request(UPPERCASE, b"hi"), b"HI", "{title}");
        let line = format!("frame {} via 127.0.0.1:", client.address());
        daemon.wait_for_line(0, &line);
    }
}

/// A dual-stack listener sees IPv4 clients at mapped addresses, and nginx announces those; the log has them without the
/// prefix `::ffff:`.
#[test]
fn log_has_the_announced_address_and_that_of_the_balancer() {
    let [ipv4, ipv6] = [IpAddr::from([127, 0, 0, 11]), IpAddr::from(Ipv6Addr::LOCALHOST)];
    assert_logged(DUAL_STACK, ipv4);
    assert_logged(DUAL_STACK, ipv6);
    assert_logged(IPV4_ONLY, ipv4);
    assert_logged(IPV6_ONLY, ipv6);
}

#[test]
fn who_has_the_announced_address() {
    behind_each("who", &[], |title, _, balancer| {
        let mut client = Client::connect_from([127, 0, 0, 11], balancer.address());
        let reply = String::from_utf8(client.receive_all()).expect("UTF-8");
        assert!(reply.contains(&client.address().to_string()), "{title}: {reply}");
    });
}

/// Four clients with four addresses are four sources; the second of one address is over the limit.
#[test]
fn source_limit_counts_announced_addresses() {
    behind_each("frame", &["--max-per-source=1"], |title, daemon, balancer| {
        let mut clients: Vec<Client> =
            (11..=14).map(|number| Client::connect_from([127, 0, 0, number], balancer.address())).collect();
        for client in &mut clients {
            assert_eq!(client.request(UPPERCASE, b"in"), b"IN", "{title}");
        }
        for number in 11..=14 {
            assert_eq!(Client::connect_from([127, 0, 0, number], balancer.address()).wait_closed(), b"", "{title}");
        }
        daemon.statistics_when(|statistics| statistics.closed_for("source-limit") == 4);
        drop(clients);
        daemon.statistics_when(|statistics| statistics.open == 0);
        let mut client = Client::connect_from([127, 0, 0, 11], balancer.address());
        assert_eq!(client.request(UPPERCASE, b"again"), b"AGAIN", "{title}");
    });
}

/// The address of the balancer is allowed for its health checks, which announce it or none.
#[test]
fn access_lists_judge_the_announced_address() {
    let lists = ["--allow=127.0.0.1", "--allow=127.0.0.8/29", "--deny=127.0.0.12"];
    behind_each("frame", &lists, |title, daemon, balancer| {
        for number in [2, 12, 16] {
            assert_eq!(Client::connect_from([127, 0, 0, number], balancer.address()).wait_closed(), b"", "{title}");
        }
        for number in [8, 11, 13, 15] {
            let mut client = Client::connect_from([127, 0, 0, number], balancer.address());
            assert_eq!(client.request(UPPERCASE, b"in"), b"IN", "{title}");
        }
        let statistics = daemon.statistics_when(|statistics| statistics.closed_for("denied") >= 3);
        assert_eq!(statistics.closed_for("denied"), 3, "{title}: {statistics:?}");
    });
}

/// haproxy announces no address for a client on a Unix socket: `UNKNOWN` in version 1, `LOCAL` in version 2.
#[test]
fn clients_on_a_unix_socket_have_the_address_of_the_balancer() {
    for (title, text) in announcing().into_iter().filter(|(_, text)| text.contains("unix@")) {
        let daemon = Daemon::serving_behind_proxy("frame", &["-v", "--max-per-source=1"]);
        let Some(balancer) = Balancer::of_kind(&title, &text, &[daemon.address("frame")]) else { return };
        wait_until("the balancer listens", || UnixStream::connect(balancer.socket()).is_ok());
        let clients: Vec<UnixStream> =
            (0..3).map(|_| UnixStream::connect(balancer.socket()).expect("connect")).collect();
        for mut client in &clients {
            client.write_all(&frame(UPPERCASE, b"hi")).expect("send");
            let mut reply = [0; 6];
            client.read_exact(&mut reply).expect("a reply");
            assert_eq!(reply, length_prefixed(b"HI")[..], "{title}");
        }
        let (_, line) = daemon.wait_for_line(0, "frame 127.0.0.1:");
        assert!(!line.contains(" via "), "{title}: {line}");
    }
}
