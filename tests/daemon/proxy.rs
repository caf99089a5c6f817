//! Listeners with the option `proxy`: clients behind a balancer, which announces them by PROXY headers.

use nix::sys::signal::Signal;

use crate::harness::action::UPPERCASE;
use crate::harness::{Client, Daemon, frame};
use crate::headers::{LOCAL, TCP4, TCP4_BINARY};

const HINT: &str = "is send-proxy set in the balancer, or does a client connect directly?";

/// A daemon whose listener of `frame` expects headers.
fn serving_frame(arguments: &[&str]) -> Daemon {
    Daemon::serving_behind_proxy("frame", &[&["--workers=1"], arguments].concat())
}

/// A client that has sent a header.
fn announce(daemon: &Daemon, protocol: &str, header: &[u8]) -> Client {
    let mut client = daemon.connect(protocol);
    client.send(header);
    client
}

#[test]
fn announced_client_is_named_in_the_log_with_its_balancer() {
    let daemon = serving_frame(&["-vv"]);
    let mut client = announce(&daemon, "frame", TCP4);
    let balancer = client.address();
    assert_eq!(client.request(UPPERCASE, b"in"), b"IN");
    drop(client);
    let (last, _) = daemon.wait_for_line(0, ": closed: finished");
    let name = format!("frame 192.0.2.10:56324 via {balancer}");
    let log = daemon.log.all()[..last].join("\n");
    let mut rest = log.as_str();
    for line in [
        format!("frame {balancer}: accepted"),
        format!("{name}: announced"),
        format!("{name}: uppercase of 2 bytes answered"),
        format!("{name}: closed: finished"),
    ] {
        rest = rest.split_once(&line).unwrap_or_else(|| panic!("no line {line} in order:\n{log}")).1;
    }
}

#[test]
fn who_sends_the_announced_address() {
    let daemon = Daemon::serving_behind_proxy("who", &[]);
    for header in [TCP4, TCP4_BINARY] {
        let reply = announce(&daemon, "who", header).exchange(b"");
        let text = String::from_utf8(reply).expect("UTF-8");
        assert!(text.contains(r#""peer":"192.0.2.10:56324""#), "{text}");
        let local = daemon.address("who");
        assert!(text.contains(&format!(r#""local":"{local}""#)), "{text}");
    }
    let own = announce(&daemon, "who", LOCAL);
    let balancer = own.address();
    let text = String::from_utf8(own.exchange(b"")).expect("UTF-8");
    assert!(text.contains(&format!(r#""peer":"{balancer}""#)), "{text}");
}

#[test]
fn header_and_requests_arrive_in_any_pieces() {
    let daemon = serving_frame(&[]);
    for header in [TCP4, TCP4_BINARY, LOCAL] {
        let bytes = [header, &frame(UPPERCASE, b"one"), &frame(UPPERCASE, b"two")].concat();
        assert_eq!(daemon.exchange("frame", &bytes), b"\0\0\0\x03ONE\0\0\0\x03TWO");
        let mut client = daemon.connect("frame");
        for byte in &bytes {
            client.send(&[*byte]);
        }
        assert_eq!((client.receive_frame(), client.receive_frame()), (b"ONE".to_vec(), b"TWO".to_vec()));
    }
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.accepted, statistics.closed_for("finished")), (6, 6));
    assert_eq!(daemon.lines_with("PROXY"), 0, "{}", daemon.log.text());
}

#[test]
fn connection_without_a_valid_header_is_closed_and_warned_about_once() {
    let daemon = serving_frame(&["-v"]);
    let mut direct = daemon.connect("frame");
    let peer = direct.address();
    direct.send(&frame(UPPERCASE, b"in"));
    assert_eq!(direct.wait_closed(), b"");
    daemon.wait_for_line(0, &format!("frame {peer}: invalid PROXY header: "));
    daemon.wait_for_line(0, &format!("frame {peer}: closed: proxy-header"));
    let (_, warning) = daemon.wait_for_line(0, HINT);
    let listener = format!("frame={}", daemon.address("frame"));
    assert!(warning.contains(&format!("{listener}: no valid PROXY header from {peer}: ")), "{warning}");
    assert_eq!(daemon.exchange("frame", &TCP4[..20]), b"", "the end is inside the header");
    assert_eq!(daemon.statistics_at_rest().closed_for("proxy-header"), 2);
    assert_eq!(daemon.lines_with(HINT), 1, "{}", daemon.log.text());
}

#[test]
fn probes_of_a_balancer_are_no_faults() {
    let daemon = serving_frame(&["-v"]);
    drop(daemon.connect("frame"));
    assert_eq!(daemon.exchange("frame", LOCAL), b"");
    daemon.connect("frame").reset();
    announce(&daemon, "frame", LOCAL).reset();
    assert_eq!(daemon.statistics_when(|statistics| statistics.closed_for("finished") == 4).accepted, 4);
    // as above, before the daemon accepts them
    daemon.pause();
    daemon.connect("frame").reset();
    announce(&daemon, "frame", LOCAL).reset();
    daemon.signal(Signal::SIGCONT);
    assert_eq!(daemon.statistics_when(|statistics| statistics.closed_for("finished") == 6).accepted, 6);
    assert_eq!(daemon.lines_with("frame 127.0.0.1:"), 0, "{}", daemon.log.text());
}

#[test]
fn header_that_is_late_closes_the_connection() {
    let daemon = serving_frame(&["--proxy-timeout=2s", "-v"]);
    let mut clients = [b"".as_slice(), &TCP4[..10]].map(|bytes| announce(&daemon, "frame", bytes));
    for sent in 10..13 {
        let statistics = daemon.statistics_when(|statistics| statistics.bytes_in == sent);
        assert_eq!(statistics.open, 2, "the rest of a header is waited for");
        clients[1].send(&[TCP4[sent as usize]]);
    }
    for client in &mut clients {
        assert_eq!(client.wait_closed(), b"");
    }
    daemon.wait_for_line(0, ": closed: proxy-timeout");
    assert_eq!(daemon.statistics_at_rest().closed_for("proxy-timeout"), 2);
}

#[test]
fn peer_outside_proxy_from_is_closed_when_it_is_accepted() {
    let daemon = serving_frame(&["--proxy-from=192.0.2.0/24", "-v"]);
    let mut client = daemon.connect("frame");
    let peer = client.address();
    assert_eq!(client.wait_closed(), b"");
    daemon.wait_for_line(0, &format!("frame {peer}: closed: proxy-untrusted"));
    assert_eq!(daemon.statistics_at_rest().closed_for("proxy-untrusted"), 1);
}

#[test]
fn peers_outside_proxy_from_are_warned_about_once() {
    let daemon = serving_frame(&["--proxy-from=192.0.2.0/24"]);
    let mut clients = [(); 3].map(|()| daemon.connect("frame"));
    let peer = clients[0].address();
    for client in &mut clients {
        assert_eq!(client.wait_closed(), b"");
    }
    let listener = format!("frame={}: ", daemon.address("frame"));
    let (_, line) = daemon.wait_for_line(0, &format!("closed a connection from {peer}, which is not in --proxy-from"));
    assert!(line.contains(&listener), "{line}");
    assert_eq!(daemon.statistics_at_rest().closed_for("proxy-untrusted"), 3);
    assert_eq!(daemon.lines_with("not in --proxy-from"), 1, "{}", daemon.log.text());
}

/// A client cannot take the place of another one: its own header comes behind that of the balancer.
#[test]
fn limits_and_access_lists_judge_the_announced_client() {
    let daemon = serving_frame(&["--max-per-source=1", "--deny=192.0.2.66", "-v"]);
    let header = |address: &str| format!("PROXY TCP4 {address} 198.51.100.1 56324 443\r\n").into_bytes();
    let mut served = ["192.0.2.1", "192.0.2.2"].map(|address| announce(&daemon, "frame", &header(address)));
    for client in &mut served {
        assert_eq!(client.request(UPPERCASE, b"in"), b"IN");
    }
    for (address, reason) in [("192.0.2.1", "source-limit"), ("192.0.2.66", "denied")] {
        let mut client = announce(&daemon, "frame", &header(address));
        assert_eq!(client.wait_closed(), b"");
        daemon.wait_for_line(0, &format!("frame {address}:56324 via 127.0.0.1:"));
        daemon.wait_for_line(0, &format!(": closed: {reason}"));
    }
    for _ in 0..2 {
        let mut own = announce(&daemon, "frame", LOCAL);
        assert_eq!(own.request(UPPERCASE, b"own"), b"OWN");
    }
    drop(served);
    let statistics = daemon.statistics_at_rest();
    assert_eq!([statistics.closed_for("source-limit"), statistics.closed_for("denied")], [1, 1]);
    assert_eq!(announce(&daemon, "frame", &header("192.0.2.1")).request(UPPERCASE, b"again"), b"AGAIN");
}

#[test]
fn header_on_a_listener_without_the_option_is_input_and_warned_about_once() {
    let daemon = Daemon::serving("echo", &[]);
    for header in [TCP4, TCP4_BINARY] {
        assert_eq!(daemon.exchange("echo", header), header);
    }
    let (_, line) = daemon.wait_for_line(0, "add the option proxy to the listener");
    assert!(line.contains(&format!("echo={}: ", daemon.address("echo"))), "{line}");
    assert_eq!(daemon.statistics_at_rest().closed_for("finished"), 2);
    assert_eq!(daemon.lines_with("PROXY"), 1, "{}", daemon.log.text());
}

#[test]
fn drain_does_not_wait_for_a_header() {
    let mut daemon = serving_frame(&["-v"]);
    let silent = daemon.connect("frame");
    let begun = announce(&daemon, "frame", &TCP4[..10]);
    daemon.statistics_when(|statistics| statistics.open == 2);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(daemon.last_statistics().closed_for("stopped"), 2);
    drop((silent, begun));
}
