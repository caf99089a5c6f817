//! SIGHUP changes impairments: also those of open connections, without closing them or a listener.

use super::{acted, has_nothing, is_served, receive_until_reset};
use crate::harness::action::UPPERCASE;
use crate::harness::{Client, Daemon, DaemonBuilder, Directory, frame, length_prefixed};

/// A daemon whose settings file has one listener of `frame` with options that change.
struct Reloaded {
    daemon: Daemon,
    directory: Directory,
}

impl Reloaded {
    /// With these options of the listener: empty, or `,OPTION=VALUE...`.
    fn start(options: &str) -> Self {
        let directory = Directory::new();
        let file = directory.write("settings", settings(options, ""));
        let daemon = DaemonBuilder::new(&["-v", "--workers=1", "--settings", &file]).start();
        Self { daemon, directory }
    }

    /// Reloads with these options of the listener.
    fn change(&self, options: &str) {
        self.reload(&settings(options, ""));
    }

    fn reload(&self, settings: &str) {
        self.directory.write("settings", settings);
        self.daemon.reload();
        // the only worker has applied it before it serves another connection
        assert_eq!(self.daemon.exchange("echo", b"?"), b"?");
    }

    /// A connection with three requests, whose replies have 7 bytes each.
    fn client(&self) -> Client {
        let mut client = self.daemon.connect("frame");
        client.send(&frame(UPPERCASE, b"abc").repeat(3));
        client
    }
}

fn settings(options: &str, more: &str) -> String {
    format!("RETORTD_LISTEN=\"frame=127.0.0.1:0{options} echo=127.0.0.1:0\"\n{more}")
}

fn replies(count: usize) -> Vec<u8> {
    length_prefixed(b"ABC").repeat(count)
}

#[test]
fn a_stalled_connection_continues_when_its_stall_is_removed() {
    let reloaded = Reloaded::start(",stall-after=10");
    let mut client = reloaded.client();
    assert_eq!(client.receive(10), replies(2)[..10]);
    reloaded.change("");
    assert_eq!(client.receive(11), replies(3)[10..]);
    assert_eq!(client.request(UPPERCASE, b"on"), b"ON");
    assert_eq!(reloaded.client().receive(21), replies(3), "a new connection at the same address");
    let statistics = reloaded.daemon.statistics_when(|statistics| statistics.in_flight == 0);
    assert_eq!((acted(&statistics), statistics.closed_for("impaired")), (vec![("stall", 1)], 0), "{statistics:?}");
}

#[test]
fn delayed_bytes_are_sent_when_the_latency_is_removed() {
    let reloaded = Reloaded::start(",latency=1h");
    let mut clients = [reloaded.client(), reloaded.client()];
    reloaded.daemon.statistics_when(|statistics| statistics.answered == 6);
    clients[1].half_close();
    assert!(clients.iter().all(has_nothing));
    reloaded.change("");
    assert_eq!(clients[0].receive(21), replies(3));
    assert_eq!(clients[0].request(UPPERCASE, b"on"), b"ON");
    assert_eq!(clients[1].receive_all(), replies(3));
    drop(clients);
    // these, and that of echo
    assert_eq!(reloaded.daemon.statistics_at_rest().closed_for("finished"), 3);
}

#[test]
fn open_connections_get_new_impairments() {
    let reloaded = Reloaded::start("");
    let mut client = reloaded.client();
    assert_eq!(client.receive(21), replies(3));
    reloaded.change(",latency=1h");
    client.send(&frame(UPPERCASE, b"abc"));
    // one of them is that of echo
    reloaded.daemon.statistics_when(|statistics| statistics.answered == 5 && acted(statistics) == [("latency", 1)]);
    assert!(has_nothing(&client), "the reply is not delayed");
    reloaded.change(",latency=1ms");
    assert_eq!(client.receive(7), replies(1));
    reloaded.change(",reset-after=7");
    client.send(&frame(UPPERCASE, b"abc").repeat(2));
    assert_eq!(receive_until_reset(&mut client), replies(1), "bytes are counted from the reload on");
}

#[test]
fn a_late_end_comes_when_its_delay_is_removed() {
    let reloaded = Reloaded::start(",slow-close=1h");
    let mut client = reloaded.client();
    client.half_close();
    assert_eq!(client.receive(21), replies(3));
    reloaded.daemon.statistics_when(|statistics| acted(statistics) == [("slow-close", 1)]);
    assert!(has_nothing(&client));
    reloaded.change("");
    assert_eq!(client.receive_all(), b"");
}

#[test]
fn connections_of_an_unchanged_listener_are_left_alone() {
    let reloaded = Reloaded::start(",stall-after=10");
    let mut client = reloaded.client();
    assert_eq!(client.receive(10), replies(2)[..10]);
    reloaded.reload(&settings(",stall-after=10", "RETORTD_MAX_CONNECTIONS=100\n"));
    assert!(has_nothing(&client), "the stall has ended");
    let mut other = reloaded.client();
    assert_eq!(other.receive(10), replies(2)[..10]);
    assert!(!reloaded.daemon.log.text().contains("not impaired any more"), "{}", reloaded.daemon.log.text());
}

#[test]
fn a_connection_that_was_cut_stays_cut() {
    let reloaded = Reloaded::start(",cut-after=10");
    let mut client = reloaded.client();
    assert_eq!(client.receive_all(), replies(2)[..10]);
    reloaded.change("");
    assert_eq!(client.receive_all(), b"");
    drop(client);
    assert_eq!(reloaded.daemon.statistics_when(|statistics| statistics.open == 0).closed_for("impaired"), 1);
}

#[test]
fn connections_are_counted_anew_when_impairments_change() {
    let served = |reloaded: &Reloaded| is_served(&reloaded.daemon);
    let reloaded = Reloaded::start(",refuse-first=1");
    assert_eq!([(); 2].map(|()| served(&reloaded)), [false, true]);
    reloaded.change(",refuse-first=2");
    assert_eq!([(); 3].map(|()| served(&reloaded)), [false, false, true]);
    assert_eq!(reloaded.daemon.statistics_at_rest().impaired_by["refuse"], 3);
}

#[test]
fn ten_changes_under_load_lose_nothing() {
    let reloaded = Reloaded::start("");
    let (requests, replies) = super::pipelined(3000);
    let impairments = [",latency=20ms,jitter=20ms", ",slice=50", ",rate=5M", "", ",latency=1h", ",stall-after=1"];
    let received = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| reloaded.daemon.exchange("frame", &requests))).collect();
        for options in impairments.iter().chain(&impairments) {
            reloaded.change(options);
        }
        reloaded.change("");
        clients.into_iter().map(|client| client.join().expect("a client")).collect::<Vec<_>>()
    });
    assert!(received.iter().all(|received| *received == replies), "the replies are not as expected");
    // and a request of echo for each change
    assert_eq!(reloaded.daemon.statistics_at_rest().answered, 12_000 + 2 * impairments.len() as u64 + 1);
}
