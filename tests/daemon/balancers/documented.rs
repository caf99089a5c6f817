//! The configurations that docs/load-balancers.md shows: `retort check` passes completely through each.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use super::{Balancer, DAEMON_SOCKET, SERVERS, daemon};
use crate::harness::{Daemon, DaemonBuilder, Directory, available, marked_blocks, run, skip, stderr, stdout};

/// The files that the configurations are for; the comment above a configuration begins with one of them.
const KINDS: [&str; 4] = ["haproxy.cfg", "nginx.conf", "retortd-proxy.service", "service.nft"];

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/load-balancers.md");
    fs::read_to_string(path).expect("read the document")
}

/// The cells of the table whose first heading is this one: a row each, without that of the headings.
pub fn table(heading: &str) -> Vec<Vec<String>> {
    let text = document();
    let rows = text.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |")));
    let rows = rows.skip(2).map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|row| row.split(" | ").map(String::from).collect()).collect()
}

/// The indented blocks of the document that begin with a comment, with the text of that comment.
fn configurations() -> Vec<(String, String)> {
    marked_blocks(&document(), "# ")
}

/// The configuration with this title.
pub fn configuration(title: &str) -> String {
    let found = configurations().into_iter().find(|(name, _)| name == title);
    found.unwrap_or_else(|| panic!("docs/load-balancers.md has no configuration '{title}'")).1
}

/// Those in which the balancer sends PROXY headers over TCP.
pub fn announcing() -> Vec<(String, String)> {
    over_tcp().filter(|(_, text)| sends_headers(text)).collect()
}

/// Those with servers on other machines, which serve nothing but the protocol; `side/agent.rs` tests the other one.
fn over_tcp() -> impl Iterator<Item = (String, String)> {
    configurations().into_iter().filter(|(_, text)| !text.contains(DAEMON_SOCKET) && !text.contains("agent-check"))
}

pub fn sends_headers(text: &str) -> bool {
    ["send-proxy", "proxy_protocol on"].iter().any(|setting| text.contains(setting))
}

/// A daemon for each server in a configuration.
fn servers(text: &str) -> Vec<Daemon> {
    let shown = SERVERS.iter().filter(|server| text.contains(*server));
    shown.map(|_| daemon(sends_headers(text), &[])).collect()
}

/// Asserts that checks pass; all of them, without arguments that select some.
fn assert_passes(title: &str, address: SocketAddr, selection: &[&str]) {
    let output = run(&[&["check", &address.to_string()], selection].concat());
    assert!(output.status.success(), "{title}: {}{}", stdout(&output), stderr(&output));
}

/// Runs the checks through every configuration for one kind of balancer.
#[track_caller]
fn check_all(kind: &str, selection: &[&str]) {
    let shown: Vec<_> = over_tcp().filter(|(title, _)| title.starts_with(kind)).collect();
    assert!(!shown.is_empty(), "no configuration of {kind}");
    for (title, text) in shown {
        let daemons = servers(&text);
        let addresses: Vec<SocketAddr> = daemons.iter().map(|daemon| daemon.address("frame")).collect();
        let Some(balancer) = Balancer::of_kind(&title, &text, &addresses) else { return };
        assert_passes(&title, balancer.address(), selection);
        for daemon in &daemons {
            let served = daemon.statistics_at_rest().answered;
            assert!(served > 0, "{title}: a server got no request");
            assert_eq!(daemon.unasked_lines(), [""; 0], "{title}");
        }
    }
}

#[test]
fn every_shown_configuration_is_of_a_tested_kind() {
    for (title, _) in configurations() {
        assert!(KINDS.iter().any(|kind| title.starts_with(kind)), "no test runs '{title}'");
    }
}

#[test]
fn all_checks_pass_through_haproxy() {
    check_all("haproxy.cfg", &[]);
}

#[test]
fn all_checks_pass_through_haproxy_to_a_unix_socket() {
    const TITLE: &str = "haproxy.cfg: a daemon on the same machine";
    let directory = Directory::new();
    let path = directory.path("retortd.sock").display().to_string();
    let text = configuration(TITLE).replace(DAEMON_SOCKET, &path);
    assert!(text.contains(&path), "{text}");
    let daemon = DaemonBuilder::new(&["-v", &format!("--listen=frame=unix:{path},proxy")]).start();
    let Some(balancer) = Balancer::of_kind(TITLE, &text, &[]) else { return };
    assert_passes(TITLE, balancer.address(), &[]);
    daemon.wait_for_line(0, " via unix:pid=");
    assert!(!daemon.log.text().contains("proxy-header"), "{}", daemon.log.text());
}

#[test]
fn all_checks_pass_through_nginx() {
    check_all("nginx.conf", &[]);
}

/// The other checks half-close, which systemd-socket-proxyd treats as a close.
#[test]
fn checks_that_do_not_half_close_pass_through_systemd_socket_proxyd() {
    let groups = "actions,lengths,reading,pipelining,errors,unicode,clients,chance";
    check_all("retortd-proxy.service", &["--only", groups]);
}

/// In a network namespace with the addresses of the document. The daemons see the client's own address.
#[test]
fn all_checks_pass_through_rules_like_those_of_kube_proxy() {
    if !["unshare", "ip", "nft", "socat"].iter().all(|tool| available(tool)) {
        return;
    }
    let directory = Directory::new();
    let (_, rules) = configurations().into_iter().find(|(title, _)| title.starts_with("service.nft")).expect("rules");
    let rules = directory.write("rules", rules);
    let script = r#"ip link set lo up && nft list tables || exit 77
        nft -f "$3" || exit 1
        for address in 192.0.2.1 192.0.2.11 192.0.2.12 198.51.100.7; do
            ip address add $address/32 dev lo || exit 77
        done
        for server in 192.0.2.11 192.0.2.12; do
            "$1" -v --listen frame=$server:8083 2>&1 &
            until "$2" ping -q -c 1 $server >/dev/null 2>&1; do kill -0 $! || exit 1; done
        done
        "$2" check 192.0.2.1 >&2 || exit 1
        printf '\10\0\0\2hi' | socat - TCP:192.0.2.1:8083,bind=198.51.100.7
        kill %1 %2
        wait"#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "bash", "-c", script, "bash"]);
    let programs = [env!("CARGO_BIN_EXE_retortd"), env!("CARGO_BIN_EXE_retort"), &rules];
    let output = command.args(programs).output().expect("run unshare");
    if output.status.code() == Some(77) || output.stderr.starts_with(b"unshare: ") {
        return skip("network namespaces are not allowed here");
    }
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(log.contains("frame 198.51.100.7:"), "{log}");
}
