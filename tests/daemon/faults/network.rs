//! Lossy, slow and cut networks: two network namespaces with a veth pair between them (root only).

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use super::{LeakCheck, REVERSE, UPPERCASE, assert_serves, is_root};
use crate::harness::{Client, Daemon, DaemonBuilder, available, frame, in_parallel, length_prefixed, skip};

/// Matches 20% of the packets.
const LOSS: &str = "numgen random mod 100 < 20";

/// Two namespaces, `near` with the clients and `far` with the daemon.
struct Network {
    near: String,
    far: String,
}

impl Network {
    const NEAR: &str = "10.83.0.1";
    const FAR: &str = "10.83.0.2";

    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !is_root() || !["ip", "nft", "tc"].iter().all(|tool| available(tool)) {
            return None;
        }
        let number = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let network = Self { near: format!("near-{number}"), far: format!("far-{number}") };
        if !run(&format!("ip netns add {}", network.near)) {
            skip("network namespaces are not allowed here");
            std::mem::forget(network);
            return None;
        }
        let (near, far) = (&network.near, &network.far);
        for command in [
            format!("ip netns add {far}"),
            format!("ip -n {near} link add cable type veth peer name cable netns {far}"),
            format!("ip -n {near} addr add {}/24 dev cable", Self::NEAR),
            format!("ip -n {far} addr add {}/24 dev cable", Self::FAR),
            // without segmentation offload, with which a lost packet would be up to 64 KiB
            format!("ip -n {near} link set cable gso_max_segs 1"),
            format!("ip -n {far} link set cable gso_max_segs 1"),
            format!("ip -n {near} link set cable up"),
            format!("ip -n {far} link set cable up"),
            format!("ip -n {far} link set lo up"),
        ] {
            assert!(run(&command), "{command}");
        }
        Some(network)
    }

    /// A daemon for `frame` at the far end.
    fn daemon(&self, arguments: &[&str]) -> Daemon {
        let listen = format!("--listen=frame={}:0", Self::FAR);
        let launch = DaemonBuilder::new(&[&[listen.as_str()], arguments].concat());
        launch.under(&["ip", "netns", "exec", &self.far]).start()
    }

    /// Runs `work` in the near namespace, in its own thread.
    fn near<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter();
                work()
            });
            inside.join().expect("failed at the near end")
        })
    }

    /// Moves the calling thread to the near namespace; its new sockets are there.
    fn enter(&self) {
        let namespace = File::open(format!("/run/netns/{}", self.near)).expect("open the namespace");
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
    }

    /// Drops packets that arrive at these ends and match `matches`, in the syntax of nft(8).
    fn lose(ends: &[&str], matches: &str) {
        for end in ends {
            let rules = format!(
                "add table ip fault; add chain ip fault in {{ type filter hook input priority 0; }}; \
                 add rule ip fault in iifname cable {matches} counter drop"
            );
            let nft = Command::new("ip").args(["netns", "exec", end, "nft", &rules]).status();
            assert!(nft.is_ok_and(|status| status.success()), "nft");
        }
    }

    /// Ends the loss and returns the number of packets that were dropped.
    fn lose_nothing(ends: &[&str]) -> u64 {
        let lost = ends.iter().map(|end| Self::lost(end)).sum();
        for end in ends {
            assert!(run(&format!("ip netns exec {end} nft delete table ip fault")));
        }
        lost
    }

    /// Reads the counter of the rule: `counter packets 12 bytes 3456 drop`.
    fn lost(end: &str) -> u64 {
        let list = Command::new("ip").args(["netns", "exec", end, "nft", "list", "table", "ip", "fault"]).output();
        let rules = String::from_utf8(list.expect("nft").stdout).expect("UTF-8");
        let packets = rules.split(" packets ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        packets.unwrap_or_else(|| panic!("no counter in {rules}"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        run(&format!("ip netns del {}", self.near));
        run(&format!("ip netns del {}", self.far));
    }
}

fn run(command: &str) -> bool {
    let mut words = command.split(' ');
    Command::new(words.next().unwrap_or_default()).args(words).status().is_ok_and(|status| status.success())
}

fn exchange_text(client: Client, length: usize) {
    let text: Vec<u8> = (0..length).map(|i| b"The LAN Before Time"[i % 19]).collect();
    let upper = text.to_ascii_uppercase();
    let requests = [frame(UPPERCASE, &text), frame(9, b"?"), frame(REVERSE, b"abc")].concat();
    let replies = [length_prefixed(&upper), length_prefixed(b"error"), length_prefixed(b"cba")].concat();
    assert!(client.exchange(&requests) == replies, "wrong replies");
}

/// Fault 16: 20% of the packets are lost.
#[test]
fn packet_loss_loses_no_reply() {
    let Some(network) = Network::new() else { return };
    // long timeouts, as TCP doubles the time before each retransmission
    let daemon = network.daemon(&["--workers=2", "--request-timeout=5m", "--write-timeout=5m"]);
    let leak_check = network.near(|| LeakCheck::begin(&daemon));
    // one direction after the other: with loss in both, some retransmissions take longer than tests wait
    for end in [network.near.as_str(), &network.far] {
        let clients = network.near(|| (0..8).map(|_| daemon.connect("frame")).collect::<Vec<Client>>());
        Network::lose(&[end], LOSS);
        thread::scope(|scope| {
            for client in clients {
                scope.spawn(|| exchange_text(client, 60_000));
            }
        });
        let lost = Network::lose_nothing(&[end]);
        assert!(lost > 20, "{lost} packets were lost");
    }
    let statistics = leak_check.end(&daemon);
    assert_eq!((statistics.answered, statistics.refused), (32, 16), "{statistics:?}");
}

/// Fault 16: a link of a few kilobytes a second.
#[test]
fn slow_link_delivers_every_reply() {
    let Some(network) = Network::new() else { return };
    for end in [&network.near, &network.far] {
        // 1 Mbit/s, and a queue that overflows
        let shape = format!("tc -n {end} qdisc add dev cable root tbf rate 1mbit burst 4kb limit 12kb");
        assert!(run(&shape), "{shape}");
    }
    let daemon = network.daemon(&["--workers=2"]);
    let address = daemon.address("frame");
    let leak_check = network.near(|| LeakCheck::begin(&daemon));
    // about the rate at which a request is not timed out
    in_parallel(6, |_| {
        network.enter();
        exchange_text(Client::connect(address), 60_000);
    });
    let statistics = leak_check.end(&daemon);
    assert_eq!((statistics.answered, statistics.refused), (12, 6), "{statistics:?}");
}

/// Faults 13 and 15: the link is cut while a reply is sent, while a request is received, and while a connection is
/// idle.
#[test]
fn timeouts_close_vanished_peers() {
    let Some(network) = Network::new() else { return };
    let daemon =
        network.daemon(&["--workers=1", "--write-timeout=1s", "--request-timeout=1s", "--idle-timeout=2s", "-v"]);
    let leak_check = network.near(|| LeakCheck::begin(&daemon));
    let clients = network.near(|| {
        // one client with an unread reply, first: sending its request may take longer than the idle timeout of the
        // others
        let mut unread = daemon.connect("frame");
        unread.send(&frame(REVERSE, &vec![b'x'; 8 << 20]));
        unread.receive(4);
        // one within a request, one idle
        let mut others = [daemon.connect("frame"), daemon.connect("frame")];
        others.iter_mut().for_each(assert_serves);
        others[0].send(&frame(REVERSE, b"unfinished")[..6]);
        (unread, others)
    });
    daemon.statistics_when(|statistics| statistics.bytes_in == 2 * 23 + (8 << 20) + 4 + 6);
    Network::lose(&[&network.near, &network.far], "");
    for reason in ["write-timeout", "request-timeout", "idle-timeout"] {
        daemon.wait_for_line(0, &format!("closed: {reason}"));
    }
    assert!(Network::lose_nothing(&[&network.near, &network.far]) > 0);
    drop(clients);
    let statistics = leak_check.end(&daemon);
    assert_eq!(statistics.closed_by.len(), 4, "{statistics:?}");
    network.near(|| assert_serves(&mut daemon.connect("frame")));
}

/// The time that the worker with this `schedstat` file and the calling thread have waited for a CPU so far (proc(5));
/// zero where the kernel does not count it.
fn waited_for_cpu(worker: &Path) -> Duration {
    let waited = |schedstat: &Path| -> u64 {
        let fields = fs::read_to_string(schedstat).unwrap_or_default();
        fields.split_whitespace().nth(1).map_or(0, |nanoseconds| nanoseconds.parse().expect("nanoseconds"))
    };
    Duration::from_nanos(waited(worker) + waited(Path::new("/proc/thread-self/schedstat")))
}

/// Fault 16: lost packets of one client do not delay replies to others.
#[test]
fn packet_loss_of_one_client_does_not_delay_others() {
    let Some(network) = Network::new() else { return };
    let daemon = network.daemon(&["--workers=1"]);
    let address = daemon.address("frame");
    let leak_check = network.near(|| LeakCheck::begin(&daemon));
    let mut close = thread::scope(|scope| {
        let far = scope.spawn(|| {
            let namespace = File::open(format!("/run/netns/{}", network.far)).expect("open the namespace");
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
            daemon.connect("frame")
        });
        far.join().expect("connect at the far end")
    });
    assert_serves(&mut close);
    let worker = daemon.tasks().into_iter().find(|task| task.name == "worker-0").expect("the worker");
    let worker = daemon.proc(&format!("task/{}/schedstat", worker.id));
    // the client in the daemon's namespace uses the loopback interface
    Network::lose(&[&network.far], LOSS);
    // a retransmission takes 200 ms or more (TCP_RTO_MIN); time in which other programs kept a thread from the CPU is
    // not counted
    let slowest = thread::scope(|scope| {
        let lossy = scope.spawn(|| {
            network.enter();
            exchange_text(Client::connect(address), 50_000);
        });
        let mut slowest = Duration::ZERO;
        while !lossy.is_finished() {
            let (begun, waited) = (Instant::now(), waited_for_cpu(&worker));
            assert_serves(&mut close);
            slowest = slowest.max((begun.elapsed() + waited).saturating_sub(waited_for_cpu(&worker)));
        }
        slowest
    });
    assert!(Network::lose_nothing(&[&network.far]) > 0);
    assert!(slowest < Duration::from_millis(150), "{slowest:?}");
    drop(close);
    leak_check.end(&daemon);
}
