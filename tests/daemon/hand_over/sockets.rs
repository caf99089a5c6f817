//! The listening sockets that are handed over when the program is executed again.

use std::os::unix::net::UnixStream;

use super::without_manager;
use crate::harness::action::UPPERCASE;
use crate::harness::{Client, DaemonBuilder, Directory, listener, wait_until};
use std::io::{Read, Write};

#[test]
fn ports_of_the_daemon_itself_stay() {
    let daemon = super::serving("frame", &[]);
    let address = daemon.address("frame");
    for _ in 0..3 {
        assert_eq!(daemon.hand_over(), 0);
        let at = daemon.log.all().into_iter().rfind(|line| line.contains("listening on ")).expect("a listener");
        assert!(at.ends_with(&address.to_string()), "{at}, and not {address}");
        assert_eq!(daemon.connect("frame").request(UPPERCASE, b"x"), b"X");
        daemon.statistics_at_rest();
    }
}

#[test]
fn clients_in_the_backlog_are_accepted_afterwards() {
    let daemon = super::serving("frame", &["--max-connections=1"]);
    let mut first = daemon.connect("frame");
    assert_eq!(first.request(UPPERCASE, b"x"), b"X");
    let mut waiting = daemon.connect("frame");
    waiting.send(&crate::harness::frame(UPPERCASE, b"waiting"));
    assert_eq!(daemon.hand_over(), 1);
    drop(first);
    assert_eq!(waiting.receive_frame(), b"WAITING");
}

#[test]
fn a_unix_socket_keeps_its_file_until_the_last_process_ends() {
    let directory = Directory::new();
    let path = directory.path("echo");
    let listen = format!("--listen=echo=unix:{}", path.display());
    let mut daemon = without_manager(DaemonBuilder::new(&["-v", "--hand-over", &listen]), 1);
    let echo = |client: &mut UnixStream| {
        client.write_all(b"abc").expect("send");
        let mut reply = [0; 3];
        client.read_exact(&mut reply).expect("a reply");
        assert_eq!(&reply, b"abc");
    };
    let mut client = UnixStream::connect(&path).expect("connect");
    echo(&mut client);
    for _ in 0..2 {
        assert_eq!(daemon.hand_over(), 1);
        echo(&mut client);
        echo(&mut UnixStream::connect(&path).expect("connect"));
        daemon.statistics_when(|statistics| statistics.open == 1);
    }
    drop(client);
    assert_eq!(daemon.stop(), 0);
    assert!(directory.names().is_empty(), "{:?}", directory.names());
}

#[test]
fn inherited_sockets_stay_inherited() {
    let (socket, address) = listener();
    let builder = DaemonBuilder::new(&["-v", "--hand-over"]).with_sockets("frame", vec![socket.into()]);
    let mut daemon = without_manager(builder, 1);
    let mut client = Client::connect(address);
    for _ in 0..2 {
        daemon.hand_over();
        assert_eq!(client.request(UPPERCASE, b"x"), b"X");
        assert_eq!(Client::connect(address).request(UPPERCASE, b"x"), b"X");
        daemon.statistics_when(|statistics| statistics.open == 1);
    }
    drop(client);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn services_beside_the_workers_keep_their_listeners() {
    let listen = ["-v", "--hand-over", "--listen=frame=127.0.0.1:0", "--listen=metrics=127.0.0.1:0"];
    let daemon = without_manager(DaemonBuilder::new(&listen), 2);
    let mut client = daemon.connect("frame");
    for requests in 1..4 {
        assert_eq!(client.request(UPPERCASE, b"x"), b"X");
        daemon.statistics_when(|statistics| statistics.answered == requests);
        let request = b"GET /metrics HTTP/1.1\r\nHost: retortd\r\n\r\n";
        let metrics = String::from_utf8(daemon.exchange("metrics", request)).expect("UTF-8");
        let line = metrics
            .lines()
            .find(|line| line.starts_with("retortd_requests_total{protocol=\"frame\",result=\"answered\"}"));
        assert!(line.is_some_and(|line| line.ends_with(&format!(" {requests}"))), "{metrics}");
        assert_eq!(daemon.hand_over(), 1);
    }
}

#[test]
fn descriptors_do_not_accumulate() {
    let daemon = super::serving("frame", &["--workers=2"]);
    let clients: Vec<Client> = (0..20).map(|_| daemon.connect("frame")).collect();
    daemon.statistics_when(|statistics| statistics.open == 20);
    let before = daemon.descriptors();
    for _ in 0..5 {
        assert_eq!(daemon.hand_over(), 20);
        wait_until("as many descriptors as before", || daemon.descriptors() == before);
    }
    drop(clients);
}
