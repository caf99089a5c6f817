//! The agent-check of haproxy, without and with haproxy.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use super::{agent_line, daemon};
use crate::balancers::documented::configuration;
use crate::balancers::{Balancer, free_port};
use crate::harness::action::UPPERCASE;
use crate::harness::{DEADLINE, Daemon, DaemonBuilder, echo_ping, frame, wait_until};

/// A server that is judged by its agent alone, with a socket for statistics.
const CONFIGURATION: &str = "\
global
    stats socket /run/haproxy/retortd.sock
defaults
    mode tcp
    timeout connect 5s
    timeout client 10m
    timeout server 10m
listen retortd
    bind :8083
    server one 192.0.2.11:8083 weight 100 agent-check agent-port AGENT agent-inter 50ms
";

#[test]
fn the_weight_follows_from_the_load() {
    let daemon = daemon(&["echo"], &["--max-connections=4"]);
    assert_eq!(agent_line(&daemon), "up ready 100%\n");
    let mut clients = Vec::new();
    for line in ["up ready 75%\n", "up ready 50%\n", "up ready 25%\n", "up ready 1%\n"] {
        let mut client = daemon.connect("echo");
        echo_ping(&mut client);
        clients.push(client);
        assert_eq!(agent_line(&daemon), line);
    }
    drop(clients);
    wait_until("the clients are gone", || agent_line(&daemon) == "up ready 100%\n");
}

#[test]
fn what_the_balancer_sends_is_dropped() {
    let daemon = daemon(&["echo"], &[]);
    let mut client = daemon.connect("agent");
    client.send(b"agent-send text\n");
    assert_eq!(client.receive_all(), b"up ready 100%\n", "the line, and no reset");
}

/// A value of the server in haproxy's statistics.
fn shown(balancer: &Balancer, column: &str) -> String {
    let mut socket = UnixStream::connect(balancer.socket()).expect("connect to the statistics");
    socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    socket.write_all(b"show stat\n").expect("ask");
    let mut table = String::new();
    socket.read_to_string(&mut table).expect("the statistics");
    let row = |line: &str| line.split(',').map(str::to_string).collect::<Vec<_>>();
    let columns = row(table.lines().next().expect("the names").trim_start_matches("# "));
    let values = table.lines().map(row).find(|values| values.get(1).is_some_and(|name| name == "one"));
    let place = columns.iter().position(|name| name == column).expect("the column");
    values.expect("the server")[place].clone()
}

#[test]
fn haproxy_takes_weight_and_state_from_the_agent() {
    let (port, agent) = (free_port(), free_port());
    let listen = format!("--listen=frame=127.0.0.1:{port} agent={agent}");
    let start = || DaemonBuilder::new(&[&listen, "--max-connections=4", "--drain-timeout=none"]).start();
    let mut daemon: Daemon = start();
    let configuration = CONFIGURATION.replace("AGENT", &agent.to_string());
    let Some(balancer) = Balancer::haproxy(&configuration, &[daemon.address("frame")]) else { return };
    wait_until("the agent is asked", || shown(&balancer, "agent_status") == "L7OK");
    let mut clients: Vec<_> = (0..2).map(|_| daemon.connect("frame")).collect();
    wait_until("half of the weight", || shown(&balancer, "weight") == "50");
    clients[0].send(&frame(UPPERCASE, b"half a request")[..9]);
    daemon.statistics_when(|statistics| statistics.bytes_in == 9);
    daemon.begin_drain();
    wait_until("haproxy drains it", || shown(&balancer, "status").starts_with("DRAIN"));
    clients.clear();
    assert_eq!(daemon.wait_exit(), 0);
    let daemon = start();
    wait_until("it is ready again", || shown(&balancer, "status") == "no check" || shown(&balancer, "status") == "UP");
    assert!(TcpStream::connect(balancer.address()).is_ok());
    wait_until("all of the weight", || ["100", "75"].contains(&shown(&balancer, "weight").as_str()));
    drop(daemon);
}

#[test]
fn the_documented_configuration_follows_readiness_and_load() {
    let daemon = daemon(&["frame"], &["--max-connections=4", "--drain-timeout=none"]);
    let port = |name| daemon.address(name).port().to_string();
    let text = configuration("haproxy.cfg: readiness and weight");
    let text = text.replace("9383", &port("metrics")).replace("9384", &format!("{} agent-inter 50ms", port("agent")));
    let text =
        format!("global\n    stats socket /run/haproxy/retortd.sock\n{}", text.replace("inter 2s", "inter 50ms"));
    let Some(balancer) = Balancer::haproxy(&text, &[daemon.address("frame")]) else { return };
    wait_until("it is ready", || shown(&balancer, "check_status") == "L7OK" && shown(&balancer, "status") == "UP");
    let mut clients: Vec<_> = (0..3).map(|_| daemon.connect("frame")).collect();
    wait_until("a quarter of the weight", || {
        shown(&balancer, "agent_status") == "L7OK" && shown(&balancer, "weight") == "25"
    });
    clients.push(daemon.connect("frame"));
    wait_until("it is full", || shown(&balancer, "status") == "DOWN");
    clients.clear();
    wait_until("it is ready again", || shown(&balancer, "status") == "UP");
    let mut client = daemon.connect("frame");
    client.send(&frame(UPPERCASE, b"half a request")[..9]);
    daemon.statistics_when(|statistics| statistics.bytes_in == 9);
    daemon.begin_drain();
    wait_until("it stops", || shown(&balancer, "status") == "DOWN");
}
