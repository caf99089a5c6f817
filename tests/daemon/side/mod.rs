//! The services beside the workers: metrics, health, and the agent-check.

mod agent;
mod exposition;
mod health;
mod listeners;
mod metrics;
mod slow_clients;

use std::io::Read;

use exposition::Exposition;

use crate::harness::{Daemon, DaemonBuilder};

/// A response of the daemon, of which the connection has ended.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    content: String,
}

impl Reply {
    fn read(mut from: impl Read) -> Self {
        let mut text = String::new();
        from.read_to_string(&mut text).expect("a response, and the end of the connection");
        let (head, content) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|line| line[..3].parse().ok()).expect("a status");
        let length = head.split("\r\n").find_map(|field| field.strip_prefix("Content-Length: ")).expect("a length");
        assert!(content.is_empty() || length.parse() == Ok(content.len()), "{head}");
        Self { status, head: head.into(), content: content.into() }
    }
}

/// The response to these bytes.
fn ask(daemon: &Daemon, request: &[u8]) -> Reply {
    let mut client = daemon.connect("metrics");
    client.send(request);
    Reply::read(client.stream)
}

fn get(daemon: &Daemon, path: &str) -> Reply {
    ask(daemon, format!("GET {path} HTTP/1.1\r\nHost: retortd\r\n\r\n").as_bytes())
}

/// The metrics in the format of Prometheus, which a strict parser has accepted.
fn scrape(daemon: &Daemon) -> Exposition {
    let reply = get(daemon, "/metrics");
    assert_eq!(reply.status, 200, "{}", reply.head);
    Exposition::parse(&reply.content)
}

/// A daemon that serves these protocols, metrics and agent.
fn daemon(protocols: &[&str], arguments: &[&str]) -> Daemon {
    let names = protocols.iter().chain(&["metrics", "agent"]);
    let listen: Vec<String> = names.map(|name| format!("--listen={name}=127.0.0.1:0")).collect();
    let listen: Vec<&str> = listen.iter().map(String::as_str).collect();
    DaemonBuilder::new(&[&listen, arguments].concat()).start()
}

/// Serves every protocol, and metrics.
pub fn every_protocol(arguments: &[&str]) -> Daemon {
    DaemonBuilder::every_protocol(&[&["--listen=metrics=127.0.0.1:0"], arguments].concat()).start()
}

/// The line of the agent-check.
fn agent_line(daemon: &Daemon) -> String {
    String::from_utf8(daemon.connect("agent").receive_all()).expect("a line")
}
