//! Who may connect, and how fast: access lists, rates, prefixes of sources, and the options of listeners.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::action::UPPERCASE;
use crate::harness::{
    Client, Daemon, DaemonBuilder, Directory, Finished, frame, has_ipv6, in_parallel, listener, wait_until,
};

/// The IPv4 address of a daemon that listens on all addresses.
fn ipv4(daemon: &Daemon, protocol: &str) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], daemon.address(protocol).port()))
}

/// Whether a client with this loopback address is served at `address`; otherwise it is closed without a byte.
fn serves_at(address: SocketAddr, source: [u8; 4]) -> bool {
    let reply = Client::connect_from(source, address).exchange_or_closed(&frame(UPPERCASE, b"in"));
    assert!(reply.is_empty() || reply == [0, 0, 0, 2, b'I', b'N'], "{reply:?}");
    !reply.is_empty()
}

fn serves(daemon: &Daemon, protocol: &str, source: [u8; 4]) -> bool {
    serves_at(ipv4(daemon, protocol), source)
}

/// Which of the loopback addresses 127.0.0.1 to 127.0.0.4 are served.
fn served(daemon: &Daemon, protocol: &str) -> [bool; 4] {
    [1, 2, 3, 4].map(|last| serves(daemon, protocol, [127, 0, 0, last]))
}

/// Which of the loopback addresses 127.0.0.1 to 127.0.0.3 are served at this address.
fn served_at(address: SocketAddr) -> [bool; 3] {
    [1, 2, 3].map(|last| serves_at(address, [127, 0, 0, last]))
}

#[test]
fn the_most_specific_network_decides_who_may_connect() {
    let lists = ["--allow=127.0.0.0/30,127.0.0.4", "--deny=127.0.0.2/31", "--allow=127.0.0.3"];
    let daemon = DaemonBuilder::new(&[&["--listen=frame=0", "--workers=2", "-v"][..], &lists[..]].concat()).start();
    assert_eq!(served(&daemon, "frame"), [true, false, true, true]);
    assert!(!serves(&daemon, "frame", [127, 0, 0, 5]), "it is in no list");
    daemon.wait_for_line(0, "frame 127.0.0.2:");
    daemon.wait_for_line(0, ": closed: denied");
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.accepted, statistics.closed_for("denied")), (5, 2), "{statistics:?}");
}

#[test]
fn denied_networks_alone_leave_the_others_allowed() {
    let daemon =
        DaemonBuilder::new(&["--listen=frame=0", "--workers=1"]).env("RETORTD_DENY", "127.0.0.2, 127.0.0.4").start();
    assert_eq!(served(&daemon, "frame"), [true, false, true, false]);
    assert_eq!(daemon.log.text(), "", "logged at -v only");
}

#[test]
fn the_lists_of_a_listener_replace_those_of_all() {
    let daemon = DaemonBuilder::new(&[
        "--listen=frame=0",
        "--listen=frame=127.0.0.1:0,allow=127.0.0.2,allow=127.0.0.3,deny=127.0.0.3",
        "--allow=127.0.0.1",
    ]);
    let daemon = daemon.start();
    assert_eq!(served(&daemon, "frame"), [true, false, false, false]);
    let (_, own) = daemon.listening()[1];
    assert_eq!(served_at(own), [false, true, false]);
}

#[test]
fn listeners_on_free_ports_have_their_own_lists() {
    let listeners = "frame=127.0.0.1:0 frame=127.0.0.1:0,allow=127.0.0.2 frame=127.0.0.1:0,allow=127.0.0.3";
    let daemon = DaemonBuilder::new(&["--listen", listeners]).start();
    let served: Vec<[bool; 3]> = daemon.listening().iter().map(|(_, address)| served_at(*address)).collect();
    assert_eq!(served, [[true, true, true], [false, true, false], [false, false, true]]);
}

#[test]
fn lists_of_ipv6_and_ipv4_are_separate() {
    if !has_ipv6() {
        return;
    }
    let daemon = DaemonBuilder::new(&["--listen=frame=0", "--deny=::/0", "--listen=echo=0,allow=::1"]).start();
    let ipv6 = |protocol: &str| {
        let address = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, daemon.address(protocol).port()));
        !Client::connect(address).exchange_or_closed(&frame(UPPERCASE, b"in")).is_empty()
    };
    assert_eq!((ipv6("frame"), served(&daemon, "frame")[0]), (false, true));
    assert!(ipv6("echo"));
    assert!(Client::connect(ipv4(&daemon, "echo")).exchange_or_closed(b"in").is_empty());
}

#[test]
fn a_reload_changes_the_lists_or_nothing() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_DENY=127.0.0.2\n");
    let daemon = DaemonBuilder::new(&["--listen=frame=0", "--settings", &file]).start();
    assert_eq!(served(&daemon, "frame"), [true, false, true, true]);
    let mut open = Client::connect_from([127, 0, 0, 3], ipv4(&daemon, "frame"));
    assert_eq!(open.request(UPPERCASE, b"in"), b"IN");
    directory.write("settings", "RETORTD_ALLOW=\"127.0.0.2\n127.0.0.4/32\"\n");
    daemon.reload();
    assert_eq!(served(&daemon, "frame"), [false, true, false, true]);
    assert_eq!(open.request(UPPERCASE, b"still"), b"STILL", "it was accepted before");
    directory.write("settings", "RETORTD_ALLOW=127.0.0.1/8\n");
    daemon.reload();
    daemon.wait_for_line(0, "settings:1: RETORTD_ALLOW: invalid value '127.0.0.1/8'");
    daemon.wait_for_line(0, "write 127.0.0.0/8 for the network, or 127.0.0.1 for the address");
    assert_eq!(served(&daemon, "frame"), [false, true, false, true]);
}

#[test]
fn a_listener_that_the_settings_no_longer_have_keeps_its_options() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_LISTEN=frame=127.0.0.1:0,allow=127.0.0.2,deny=127.0.0.0/8\n");
    let daemon = DaemonBuilder::new(&["--settings", &file]).start();
    let only_second = [false, true, false, false];
    assert_eq!(served(&daemon, "frame"), only_second);
    for listen in ["frame=127.0.0.2:0,allow=127.0.0.3", "echo=[::1]:0,allow=127.0.0.1", "frame=127.0.0.2:0"] {
        let line = daemon.log.len();
        directory.write("settings", format!("RETORTD_LISTEN={listen}\n"));
        daemon.reload();
        daemon.wait_for_line(line, "the addresses and modes of listeners, --connection, ");
        assert_eq!(served(&daemon, "frame"), only_second, "{listen}");
    }
    directory.write("settings", "RETORTD_LISTEN=frame=127.0.0.1:0,allow=127.0.0.3\n");
    daemon.reload();
    assert_eq!(served(&daemon, "frame"), [false, false, true, false], "its options are written again");
}

/// The address of an inherited listener is not in the settings: only its options change.
#[test]
fn an_inherited_listener_keeps_its_options_when_an_own_one_is_removed() {
    let directory = Directory::new();
    let options = "RETORTD_LISTENER_OPTIONS=frame,allow=127.0.0.2\n";
    let file = directory.write("settings", format!("{options}RETORTD_LISTEN=frame=127.0.0.1:0,allow=127.0.0.3\n"));
    let (socket, inherited) = listener();
    let daemon = DaemonBuilder::new(&["--settings", &file]).with_sockets("frame", vec![socket.into()]).start();
    let addresses: Vec<SocketAddr> = daemon.listening().iter().map(|(_, address)| *address).collect();
    assert_eq!((addresses[0], addresses.len()), (inherited, 2));
    for listen in ["", "RETORTD_LISTEN=echo=127.0.0.1:0\n", "RETORTD_LISTEN=frame=[::1]:0,allow=127.0.0.1\n"] {
        directory.write("settings", format!("{options}{listen}"));
        daemon.reload();
        assert_eq!(served_at(addresses[0]), [false, true, false], "{listen}");
        assert_eq!(served_at(addresses[1]), [false, false, true], "{listen}");
    }
}

#[test]
fn a_list_has_at_most_10000_networks() {
    let directory = Directory::new();
    for (name, listener) in [("ALLOW", false), ("DENY", false), ("PROXY_FROM", false), ("LISTEN", true)] {
        let mut networks = String::new();
        for number in 0..10_001 {
            let network = format!("10.{}.{}.0/24", number / 256, number % 256);
            let _ = if listener { write!(networks, ",deny={network}") } else { write!(networks, "{network} ") };
        }
        let value = if listener { format!("frame=127.0.0.1:0{networks}") } else { networks };
        let file = directory.write("settings", format!("RETORTD_{name}=\"{value}\"\n"));
        let Finished { code, log, .. } = DaemonBuilder::new(&["--check", "--settings", &file]).finish();
        assert_eq!(code, 78, "{name}");
        assert!(
            log.contains("has 10001 networks: at most 10000 are possible"),
            "{name}: {}",
            &log[..log.len().min(300)]
        );
        let (shorter, _) = value.trim_end().rsplit_once(if listener { ',' } else { ' ' }).expect("two networks");
        let file = directory.write("settings", format!("RETORTD_{name}=\"{shorter}\"\n"));
        assert_eq!(DaemonBuilder::new(&["--check", "--settings", &file]).finish().code, 0, "{name}");
    }
}

/// A list with this number of networks, and one with bits behind its prefix.
fn list_with_a_wrong_entry(networks: usize, separator: &str) -> String {
    let networks = (0..networks).map(|number| format!("10.{}.{}.0{separator}", number / 256, number % 256));
    networks.collect::<String>() + "10.0.0.1/8"
}

#[test]
fn an_error_about_a_long_list_names_the_wrong_entry() {
    let directory = Directory::new();
    let check = |builder: DaemonBuilder, what: &str| {
        let Finished { code, log, .. } = builder.finish();
        let explained = "'10.0.0.1/8' has bits behind its prefix: write 10.0.0.0/8 for the network";
        assert!(code > 0 && log.contains(explained), "{what}: {code}: {}", &log[..log.len().min(300)]);
        let line = log.lines().next().expect("a line");
        assert!(line.len() < 500 && line.contains("0.0.0"), "{what}: {line}");
    };
    for networks in [60, 9000] {
        for name in ["allow", "deny", "proxy-from"] {
            let variable = format!("RETORTD_{}", name.replace('-', "_").to_uppercase());
            let list = list_with_a_wrong_entry(networks, "\n");
            check(DaemonBuilder::new(&[&format!("--{name}={list}")]), name);
            check(DaemonBuilder::new(&["--check"]).env(&variable, &list), &variable);
            let file = directory.write("settings", format!("{variable}=\"{list}\"\n"));
            check(DaemonBuilder::new(&["--check", "--settings", &file]), "settings");
        }
        let listener = format!("frame=127.0.0.1:0,allow={}", list_with_a_wrong_entry(networks, ",allow="));
        let file = directory.write("settings", format!("RETORTD_LISTEN={listener}\n"));
        check(DaemonBuilder::new(&["--check", "--settings", &file]), "listener");
    }
}

/// Clients who have sent a request to a daemon that is suspended: all of them are in the backlog when it continues.
fn in_backlog(daemon: &Daemon, clients: usize) -> Vec<Client> {
    daemon.pause();
    let mut clients: Vec<Client> = (0..clients).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        client.send(&frame(UPPERCASE, b"in"));
    }
    clients
}

/// Fault 48: clients wait in the backlog.
#[test]
fn clients_above_the_rate_of_a_listener_wait_in_the_backlog() {
    let daemon = Daemon::serving("frame", &["--max-rate=10/s", "--workers=2"]);
    let clients = in_backlog(&daemon, 30);
    let begun = Instant::now();
    daemon.signal(Signal::SIGCONT);
    for mut client in clients {
        assert_eq!(client.receive_frame(), b"IN");
    }
    // ten at once, and twenty more at ten in a second
    assert!(begun.elapsed() >= Duration::from_millis(1990), "{:?}", begun.elapsed());
    let (line, _) = daemon.wait_for_line(0, "come faster than --max-rate allows: they wait in the backlog");
    daemon.wait_for_line(line, "come within --max-rate again (");
    assert_eq!(daemon.lines_with("allows: they wait"), 1, "{}", daemon.log.text());
    assert_eq!(daemon.statistics_at_rest().answered, 30);
}

#[test]
fn clients_that_are_denied_do_not_slow_down_others() {
    let daemon =
        DaemonBuilder::new(&["--listen=frame=0", "--deny=127.0.0.2", "--max-rate=1", "--workers=2", "-v"]).start();
    // at this rate, more than are accepted before the deadline of a client
    let denied = in_parallel(60, |_| !serves(&daemon, "frame", [127, 0, 0, 2]));
    assert!(denied.iter().all(|denied| *denied));
    assert!(serves(&daemon, "frame", [127, 0, 0, 1]));
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.closed_for("denied"), statistics.answered), (60, 1), "{statistics:?}");
}

/// Fault 48: the daemon does not spin.
#[test]
fn a_listener_over_its_rate_does_not_spin() {
    let daemon = Daemon::serving("frame", &["--max-rate=1", "--workers=4"]);
    let clients: Vec<Client> = (0..20).map(|_| daemon.connect("frame")).collect();
    daemon.wait_for_line(0, "come faster than --max-rate allows");
    let ran = || daemon.tasks().iter().map(|task| task.ran).sum::<u64>();
    let before = ran();
    let mut last = clients.into_iter().last().expect("a client");
    assert!(last.is_silent(Duration::from_millis(400)));
    let used = Duration::from_nanos(ran() - before);
    assert!(used < Duration::from_millis(5), "{used:?} of processor time in 400 ms");
}

/// The daemon would leave the clients in the queue of an inherited socket, whose other end is in this test.
#[test]
fn a_daemon_whose_clients_wait_for_the_rate_is_not_idle() {
    let (socket, address) = listener();
    let arguments = ["--max-rate=1", "--exit-idle=400ms", "--workers=2"];
    let mut daemon = DaemonBuilder::new(&arguments).with_sockets("frame", vec![socket.into()]).start();
    let replies = in_parallel(3, |_| Client::connect(address).exchange_or_closed(&frame(UPPERCASE, b"in")));
    assert!(replies.iter().all(|reply| !reply.is_empty()), "{replies:?}");
    assert_eq!(daemon.wait_exit(), 0);
}

/// Fault 48: a raised rate.
#[test]
fn a_raised_rate_ends_the_pause() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_MAX_RATE=1\n");
    let daemon = Daemon::serving("frame", &["--settings", &file, "--workers=2"]);
    // more than are accepted before the deadline of a client
    let mut clients: Vec<Client> = (0..60).map(|_| daemon.connect("frame")).collect();
    daemon.wait_for_line(0, "come faster than --max-rate allows");
    directory.write("settings", "RETORTD_MAX_RATE=none\n");
    daemon.reload();
    for client in &mut clients {
        assert_eq!(client.request(UPPERCASE, b"in"), b"IN");
    }
}

/// Fault 48: a stop.
#[test]
fn a_stop_serves_clients_that_wait_for_the_rate() {
    let mut daemon = Daemon::serving("frame", &["--max-rate=1", "--workers=2", "--drain-timeout=none", "-v"]);
    let mut clients: Vec<Client> = (0..60).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        client.send(&frame(UPPERCASE, b"next"));
    }
    daemon.wait_for_line(0, "come faster than --max-rate allows");
    daemon.begin_drain();
    for client in &mut clients {
        assert_eq!(client.receive_frame(), b"NEXT");
    }
    drop(clients);
    assert_eq!(daemon.wait_exit(), 0);
    let statistics = daemon.last_statistics();
    assert_eq!((statistics.accepted, statistics.answered), (60, 60), "{statistics:?}");
}

#[test]
fn a_listener_that_is_full_and_over_its_rate_serves_every_client() {
    let daemon = Daemon::serving("frame", &["--max-connections=2", "--max-rate=1", "--workers=3"]);
    let clients = in_backlog(&daemon, 4);
    daemon.signal(Signal::SIGCONT);
    daemon.wait_for_line(0, "come faster than --max-rate allows");
    // the first two are connected, and the third one has waited for the rate and waits for them
    daemon.wait_for_line(0, "as many as allowed");
    for mut client in clients {
        assert_eq!(client.receive_frame(), b"IN");
    }
    assert_eq!(daemon.statistics_at_rest().answered, 4);
}

#[test]
fn listeners_have_rates_of_their_own() {
    let daemon = DaemonBuilder::new(&[
        "--listen=frame=127.0.0.1:0,max-rate=none",
        "--listen=echo=127.0.0.1:0",
        "--listen=length-prefix=127.0.0.1:0,max-rate=2",
        "--max-rate=1",
    ]);
    let daemon = daemon.start();
    let mut clients: Vec<Client> = (0..60).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        assert_eq!(client.request(UPPERCASE, b"in"), b"IN");
    }
    assert_eq!(daemon.log.text(), "");
    for protocol in ["echo", "length-prefix"] {
        let _clients: Vec<Client> = (0..60).map(|_| daemon.connect(protocol)).collect();
        daemon.wait_for_line(0, &format!("clients of {protocol}={}", daemon.address(protocol)));
    }
}

/// Fault 48: clients of one source.
#[test]
fn a_source_above_its_rate_is_closed_and_others_are_served() {
    let daemon = DaemonBuilder::new(&["--listen=frame=0", "--max-rate-per-source=10", "--workers=2", "-v"]).start();
    let begun = Instant::now();
    let results = in_parallel(1000, |_| serves(&daemon, "frame", [127, 0, 0, 2]));
    // ten at once, and one more in each tenth of a second
    let allowed = 10 + begun.elapsed().as_millis() as usize / 100;
    let served = results.iter().filter(|served| **served).count();
    assert!((10..=allowed).contains(&served), "{served} of at most {allowed}");
    assert!(serves(&daemon, "frame", [127, 0, 0, 3]));
    let statistics = daemon.statistics_at_rest();
    assert_eq!(statistics.closed_for("rate-limit"), 1000 - served as u64, "{statistics:?}");
    daemon.wait_for_line(0, ": closed: rate-limit");
    wait_until("the source is served again", || serves(&daemon, "frame", [127, 0, 0, 2]));
}

/// Whether a client that a load balancer announces from `source` is served; it stays connected if so.
fn announced(daemon: &Daemon, source: &str) -> Option<Client> {
    let mut client = daemon.connect("frame");
    let (family, destination) = if source.contains(':') { ("TCP6", "2001:db8::1") } else { ("TCP4", "192.0.2.1") };
    client.send(format!("PROXY {family} {source} {destination} 4000 8083\r\n").as_bytes());
    client.send(&frame(UPPERCASE, b"in"));
    match client.stream.peek(&mut [0]) {
        Ok(1..) => {
            assert_eq!(client.receive_frame(), b"IN");
            Some(client)
        }
        _ => None,
    }
}

#[test]
fn ipv6_sources_count_by_prefix_and_ipv4_sources_whole() {
    for (prefix, same_network) in [("64", false), ("128", true)] {
        let daemon = Daemon::serving_behind_proxy("frame", &["--max-per-source=1", "--source-prefix", prefix]);
        let first = announced(&daemon, "2001:db8:1::1");
        assert!(first.is_some() && announced(&daemon, "2001:db8:1::1").is_none());
        assert_eq!(announced(&daemon, "2001:db8:1::2").is_some(), same_network, "/{prefix}");
        assert!(announced(&daemon, "2001:db8:2::1").is_some());
        let first = announced(&daemon, "192.0.2.1");
        assert!(first.is_some() && announced(&daemon, "192.0.2.1").is_none());
        assert!(announced(&daemon, "192.0.2.2").is_some());
    }
}

#[test]
fn announced_clients_are_judged_by_their_own_address() {
    let lists = ["--allow=192.0.2.0/24,2001:db8::/32", "--deny=192.0.2.7"];
    let daemon = Daemon::serving_behind_proxy("frame", &[&["-v"], &lists[..]].concat());
    assert!(announced(&daemon, "192.0.2.1").is_some() && announced(&daemon, "2001:db8::1").is_some());
    assert!(announced(&daemon, "192.0.2.7").is_none() && announced(&daemon, "198.51.100.1").is_none());
    daemon.wait_for_line(0, "frame 192.0.2.7:4000 via 127.0.0.1:");
    assert_eq!(daemon.statistics_at_rest().closed_for("denied"), 2);
}

#[test]
fn proxy_headers_are_accepted_from_known_peers_only() {
    let check = |arguments: &[&str]| {
        let Finished { code, log, .. } = DaemonBuilder::new(&[&["--check"], arguments].concat()).finish();
        (code, log)
    };
    for listener in
        ["frame=8083,proxy", "frame=192.0.2.1:8083,proxy", "frame=0.0.0.0:8083,proxy", "frame=[::]:8083,proxy"]
    {
        let (code, log) = check(&["--listen", listener]);
        assert_eq!(code, 78, "{listener}: {log}");
        assert!(log.contains("has the option proxy") && log.contains("set --proxy-from"), "{listener}: {log}");
        assert_eq!(check(&["--listen", listener, "--proxy-from=10.0.0.5"]), (0, String::new()), "{listener}");
    }
    for listener in [
        "frame=127.0.0.1:0,proxy",
        "frame=127.9.9.9:0,proxy",
        "frame=[::1]:0,proxy",
        "frame=[::ffff:127.0.0.1]:0,proxy",
        "frame=unix:/run/retortd-test,proxy",
        "frame=unix:@retortd-test,proxy",
    ] {
        assert_eq!(check(&["--listen", listener]), (0, String::new()), "{listener}");
    }
    let (code, log) = check(&["--listen=frame=vsock::8083,proxy", "--proxy-from=10.0.0.5"]);
    assert_eq!(code, 78, "{log}");
    assert!(log.contains("has the option proxy, which is for TCP and Unix sockets only"), "{log}");
}

#[test]
fn a_reload_that_would_trust_every_peer_changes_nothing() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_PROXY_FROM=127.0.0.1\n");
    let daemon = DaemonBuilder::new(&["--listen=frame=0,proxy", "--settings", &file]).start();
    let balancer = |source| {
        let mut client = Client::connect_from(source, ipv4(&daemon, "frame"));
        let _ = std::io::Write::write_all(&mut client.stream, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
        !client.exchange_or_closed(&frame(UPPERCASE, b"in")).is_empty()
    };
    assert_eq!([[127, 0, 0, 1], [127, 0, 0, 2]].map(balancer), [true, false]);
    directory.write("settings", "");
    daemon.reload();
    daemon.wait_for_line(0, "cannot reload: frame=0 has the option proxy");
    assert_eq!([[127, 0, 0, 1], [127, 0, 0, 2]].map(balancer), [true, false]);
    directory.write("settings", "RETORTD_PROXY_FROM=127.0.0.2\n");
    daemon.reload();
    assert_eq!([[127, 0, 0, 1], [127, 0, 0, 2]].map(balancer), [false, true]);
}

#[test]
fn check_prints_lists_and_rates_as_they_are_written() {
    let arguments = ["--allow=10.0.0.0/8,::1", "--allow=192.0.2.1", "--max-rate=100/s", "--source-prefix=56"];
    let finished = DaemonBuilder::new(&[&["--check"], &arguments[..]].concat()).finish();
    assert_eq!((finished.code, finished.log.as_str()), (0, ""));
    for line in [
        "RETORTD_ALLOW=\"10.0.0.0/8,::1 192.0.2.1\"",
        "RETORTD_MAX_RATE=\"100/s\"",
        "RETORTD_SOURCE_PREFIX=56",
        "#RETORTD_DENY=",
        "#RETORTD_MAX_RATE_PER_SOURCE=none",
        "#RETORTD_PROXY_TIMEOUT=5s",
    ] {
        let is_printed = finished.output.lines().any(|printed| printed == line || printed == line.replace('"', ""));
        assert!(is_printed, "{line}: {}", finished.output);
    }
    let directory = Directory::new();
    let copy = directory.write("copy", &finished.output);
    assert_eq!(DaemonBuilder::new(&["--check", "--settings", &copy]).finish().code, 0);
}

#[test]
fn wrong_values_are_explained() {
    for (option, value, words) in [
        ("--allow", "localhost", "'localhost' is not a network: write an address, or for example 10.0.0.0/8"),
        ("--deny", "10.0.0.0/33", "'10.0.0.0/33' has no such prefix: write a length from 0 to 32"),
        ("--proxy-from", "10.0.0.1/8", "write 10.0.0.0/8 for the network, or 10.0.0.1 for the address"),
        ("--allow", " ", "the value is empty"),
        ("--proxy-timeout", "0", "must be more than 0"),
        ("--max-rate", "fast", "not a whole number"),
        ("--max-rate-per-source", "2M", "must be from 0 to 1000000"),
        ("--source-prefix", "0", "must be from 1 to 128"),
        ("--source-prefix", "129", "must be from 1 to 128"),
        ("--listen", "frame=0,allow=10.0.0.1/8", "the option allow of frame: '10.0.0.1/8' has bits behind its prefix"),
        ("--listen", "frame=0,max-rate", "the option max-rate of frame has no value: write max-rate=RATE"),
    ] {
        let Finished { code, log, .. } = DaemonBuilder::new(&[&format!("{option}={value}")]).finish();
        assert_eq!(code, 2, "{option}={value}: {log}");
        assert!(log.contains(words), "{option}={value}: {log}");
    }
}
