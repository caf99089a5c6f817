//! What health checks do to the daemon: each row of the table in docs/load-balancers.md.

use std::collections::BTreeMap;

use super::documented::{configuration, sends_headers, table};
use super::{Balancer, daemon};
use crate::harness::action::UPPERCASE;
use crate::harness::{Client, Daemon, Statistics, run};

pub const PLAIN: &str = "haproxy.cfg: without PROXY headers";
pub const VERSION_1: &str = "haproxy.cfg: PROXY protocol, version 1, and requests as health checks";
pub const VERSION_2: &str = "haproxy.cfg: PROXY protocol, version 2";

/// Changes of a configuration: a text and what takes its place.
pub type Changes<'a> = [(&'a str, &'a str)];

/// Health checks more often than in the document, which haproxy logs. A check that waits for the daemon must not fail
/// because this machine is busy: its time would be that between two checks.
const OFTEN: &Changes = &[
    (" inter 2s", ""),
    (" check\n", " check inter 50ms\n"),
    (
        "    mode tcp\n",
        "    mode tcp\n    timeout check 20s\n    log stderr format raw local0\n    option log-health-checks\n",
    ),
    ("    server two 192.0.2.12:8083\n", ""),
    ("    server two 192.0.2.12:8083 check inter 50ms\n", ""),
];
/// Gives up a check that gets no reply.
pub const SHORT_TIMEOUT: (&str, &str) = ("timeout check 20s", "timeout check 300ms");
/// Removes the request from the health checks.
pub const CONNECT_ONLY: &Changes = &[
    ("    option tcp-check\n", ""),
    ("    tcp-check connect send-proxy linger\n", ""),
    ("    tcp-check send-binary 080000026869\n", ""),
    ("    tcp-check expect binary 000000024849\n", ""),
];
const NO_LINGER: (&str, &str) = (" linger\n", "\n");
/// Sends headers of version 2 instead of version 1.
pub const HEADERS_2: (&str, &str) = ("default-server send-proxy", "default-server send-proxy-v2");
/// Adds a request to the health checks without headers.
pub const REQUEST: (&str, &str) = (
    "    balance leastconn\n",
    "    option tcp-check\n    tcp-check connect linger\n    tcp-check send-binary 080000026869\n    \
     tcp-check expect binary 000000024849\n",
);
const HTTP: (&str, &str) = ("    balance leastconn\n", "    option httpchk\n");
const NO_HEADER: (&str, &str) = (" send-proxy linger\n", " linger\n");

/// A health check of haproxy in the table: the name, the configuration and its changes.
type HaproxyCheck = (&'static str, &'static str, &'static Changes<'static>);

const HAPROXY_PLAIN: &[HaproxyCheck] = &[
    ("haproxy `check`, without headers", PLAIN, &[]),
    ("haproxy `tcp-check` with a request, without headers", PLAIN, &[REQUEST, NO_LINGER]),
    ("the same with `linger`, without headers", PLAIN, &[REQUEST]),
    ("haproxy `option httpchk`, by mistake", PLAIN, &[HTTP, SHORT_TIMEOUT]),
];

const HAPROXY_PROXY: &[HaproxyCheck] = &[
    ("haproxy `check`, `send-proxy`", VERSION_1, CONNECT_ONLY),
    ("haproxy `check`, `send-proxy-v2`", VERSION_2, &[]),
    ("haproxy `tcp-check connect send-proxy`, version 1", VERSION_1, &[NO_LINGER]),
    ("the same with `linger`, version 1", VERSION_1, &[]),
    ("haproxy `tcp-check connect send-proxy`, version 2", VERSION_1, &[NO_LINGER, HEADERS_2]),
    ("the same with `linger`, version 2", VERSION_1, &[HEADERS_2]),
    (WITHOUT_HEADER, VERSION_1, &[NO_HEADER]),
];
const WITHOUT_HEADER: &str = "haproxy `tcp-check connect` without `send-proxy`, with `proxy`";

/// Another health check: the name, whether the listener has the option `proxy`, and one check.
type Probe = (&'static str, bool, fn(&Daemon));

const PROBES: &[Probe] = &[
    (CLOSE, false, |daemon| drop(daemon.connect("frame"))),
    (CLOSE, true, |daemon| drop(daemon.connect("frame"))),
    (RESET, false, |daemon| daemon.connect("frame").reset()),
    (RESET_PROXY, true, |daemon| daemon.connect("frame").reset()),
    ("`retort ping -c 1 HOST`, as an exec probe", false, |daemon| ping(daemon, &[])),
    ("`retort ping -c 1 --proxy local HOST`", true, |daemon| ping(daemon, &["--proxy", "local"])),
];
const CLOSE: &str = "connect and close, as kubelet's `tcpSocket`";
const RESET: &str = "connect and reset, without `proxy`";
const RESET_PROXY: &str = "connect and reset, with `proxy`";
const NGINX: &str = "nginx, which has only passive checks";

fn ping(daemon: &Daemon, arguments: &[&str]) {
    let address = daemon.address("frame").to_string();
    assert!(run(&[&["ping", "-q", "-c", "1", &address], arguments].concat()).status.success());
}

/// A row of the table: what one health check does.
#[derive(Debug)]
struct Effect {
    accepted: u64,
    closed_as: String,
    requests: u64,
    refused: bool,
    lines: Vec<usize>,
}

impl Effect {
    fn documented(check: &str) -> Self {
        let row = table("health check").into_iter().find(|row| row[0] == check);
        let row = row.unwrap_or_else(|| panic!("docs/load-balancers.md has no health check '{check}'"));
        let number = |cell: &str| cell.parse().unwrap_or_else(|_| panic!("no number in {row:?}"));
        let requests = row[3].strip_suffix(", refused");
        Self {
            accepted: number(&row[1]),
            closed_as: row[2].clone(),
            requests: number(requests.unwrap_or(&row[3])),
            refused: requests.is_some(),
            lines: row[4].split(" or ").map(|count| number(count) as usize).collect(),
        }
    }

    /// Whether these checks have closed that number of connections. Those that are open may have sent their requests.
    fn fits(&self, statistics: &Statistics) -> bool {
        let Statistics { accepted, closed, open, requests, answered, refused, .. } = *statistics;
        let ended = if self.refused { refused } else { answered };
        let possible = closed * self.requests..=(closed + open) * self.requests;
        (self.accepted > 0 || accepted == 0)
            && closed == statistics.closed_for(&self.closed_as)
            && possible.contains(&requests)
            && possible.contains(&ended)
    }

    /// Waits until several checks have had this effect, and no other.
    fn wait(&self, check: &str, daemon: &Daemon) {
        let checks = 3 * self.accepted;
        eprintln!("{check}: {self:?}");
        daemon.statistics_when(|statistics| statistics.closed >= checks && self.fits(statistics));
    }

    fn assert_lines(&self, check: &str, daemon: &Daemon) {
        let lines = daemon.log.all();
        let connections = closed_connections(&lines);
        assert_eq!(connections.is_empty(), self.lines == [0], "{check}: {lines:#?}");
        for (connection, count) in connections {
            assert!(self.lines.contains(&count), "{check}: {count} lines of {connection}: {lines:#?}");
        }
    }
}

/// The number of lines of each closed connection, by the address that the daemon sees: `frame ADDRESS: closed: reset`,
/// `frame CLIENT via ADDRESS: announced`.
fn closed_connections(lines: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut closed = BTreeMap::new();
    for line in lines {
        let Some((_, message)) = line.split_once("retortd: frame ") else { continue };
        let (label, text) = message.split_once(": ").expect("a message about a connection");
        let address = label.rsplit(' ').next().unwrap_or(label).to_string();
        let count = counts.entry(address.clone()).or_insert(0);
        *count += 1;
        if text.starts_with("closed: ") {
            let count = *count;
            // another connection may have the port next
            counts.remove(&address);
            closed.insert(address, count);
        }
    }
    closed
}

/// Starts haproxy in front of a daemon, with this configuration, its changes and frequent health checks. None: haproxy
/// is not installed.
#[track_caller]
pub fn with_haproxy(title: &str, changes: &Changes, daemon: &Daemon) -> Option<Balancer> {
    let mut text = configuration(title);
    for (old, new) in OFTEN.iter().chain(changes) {
        text = text.replace(old, new);
    }
    Balancer::haproxy(&text, &[daemon.address("frame")])
}

fn assert_haproxy((check, title, changes): &HaproxyCheck) {
    let effect = Effect::documented(check);
    let behind_proxy = sends_headers(&configuration(title));
    for level in [&[][..], &["-v"]] {
        let daemon = daemon(behind_proxy, level);
        let Some(balancer) = with_haproxy(title, changes, &daemon) else { return };
        let judged = balancer.log.wait_for(0, |line| line.contains("Health check for server retortd/one"));
        assert!(judged.is_some(), "{check}: {}", balancer.log.text());
        effect.wait(check, &daemon);
        if level.is_empty() {
            let warnings = usize::from(*check == WITHOUT_HEADER);
            assert_eq!(daemon.unasked_lines().len(), warnings, "{check}: {:#?}", daemon.log.all());
        } else {
            effect.assert_lines(check, &daemon);
        }
    }
}

#[test]
fn checks_of_haproxy_without_headers_have_the_documented_effect() {
    HAPROXY_PLAIN.iter().for_each(assert_haproxy);
}

#[test]
fn checks_of_haproxy_with_headers_have_the_documented_effect() {
    HAPROXY_PROXY.iter().for_each(assert_haproxy);
}

#[test]
fn other_checks_have_the_documented_effect() {
    for (check, behind_proxy, probe) in PROBES {
        let effect = Effect::documented(check);
        for level in [&[][..], &["-v"]] {
            let daemon = daemon(*behind_proxy, level);
            (0..3).for_each(|_| probe(&daemon));
            effect.wait(check, &daemon);
            if level.is_empty() {
                assert_eq!(daemon.unasked_lines(), [""; 0], "{check}");
            } else {
                effect.assert_lines(check, &daemon);
            }
        }
    }
}

/// The only connection is that of the client.
#[test]
fn nginx_has_no_checks_of_its_own() {
    let effect = Effect::documented(NGINX);
    let daemon = Daemon::serving("frame", &[]);
    let text = configuration("nginx.conf: without PROXY headers");
    let Some(balancer) = Balancer::nginx(&text, &[daemon.address("frame")]) else { return };
    assert_eq!(Client::connect(balancer.address()).request(UPPERCASE, b"hi"), b"HI");
    assert_eq!(daemon.statistics_at_rest().accepted, effect.accepted + 1);
}

#[test]
fn every_documented_check_is_tested() {
    let mut tested: Vec<&str> = [HAPROXY_PLAIN, HAPROXY_PROXY].concat().iter().map(|(check, ..)| *check).collect();
    tested.extend(PROBES.iter().map(|(check, ..)| *check));
    tested.push(NGINX);
    for row in table("health check") {
        assert!(tested.contains(&row[0].as_str()), "no test of '{}'", row[0]);
    }
}
