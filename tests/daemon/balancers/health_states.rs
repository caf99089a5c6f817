//! What health checks of haproxy can see of the daemon's state: each row of the second table about them in
//! docs/load-balancers.md.

use super::daemon;
use super::documented::{configuration, sends_headers, table};
use super::health_checks::{
    CONNECT_ONLY, Changes, HEADERS_2, PLAIN, REQUEST, SHORT_TIMEOUT, VERSION_1, VERSION_2, with_haproxy,
};
use crate::harness::action::UPPERCASE;
use crate::harness::{Client, Daemon, frame};

/// The kinds of checks: their heading in the table, a configuration and its changes.
const KINDS: &[(&str, &str, &Changes)] = &[
    ("connection", PLAIN, &[]),
    ("connection", VERSION_1, CONNECT_ONLY),
    ("connection", VERSION_2, &[]),
    ("request", PLAIN, &[REQUEST]),
    ("request, headers", VERSION_1, &[]),
    ("request, headers", VERSION_1, &[HEADERS_2]),
];
const HEADINGS: [&str; 4] = ["state of the daemon", "connection", "request", "request, headers"];

/// A state: its row in the table, the options of the daemon, and what brings it into that state; the client that is
/// returned stays connected.
type State = (&'static str, &'static [&'static str], fn(&Daemon, bool) -> Option<Client>);

const HUNG: State = ("hung (SIGSTOP)", &[], |daemon, _| {
    daemon.pause();
    None
});
const FULL: State = ("`--max-connections` reached", &["--max-connections=1"], |daemon, behind_proxy| {
    Some(client_of_balancer(daemon, behind_proxy, "127.0.0.11"))
});
const SOURCE_FULL: State =
    ("`--max-per-source` reached by clients of the balancer", &["--max-per-source=1"], |daemon, behind_proxy| {
        Some(client_of_balancer(daemon, behind_proxy, "127.0.0.11"))
    });
const DENIED: State = ("balancer denied by `--allow` or `--deny`", &["--deny=127.0.0.1"], |_, _| None);

/// A connection that a balancer on this machine has made for a client; it was served.
fn client_of_balancer(daemon: &Daemon, behind_proxy: bool, source: &str) -> Client {
    let mut client = daemon.connect("frame");
    if behind_proxy {
        client.send(format!("PROXY TCP4 {source} 127.0.0.1 50000 8083\r\n").as_bytes());
    }
    client.send(&frame(UPPERCASE, b"hi"));
    assert_eq!(client.receive_frame(), b"HI");
    client
}

/// Asserts that the first check of haproxy passes or fails, as the table says.
#[track_caller]
fn assert_seen(state: &str, passes: bool, title: &str, changes: &Changes, daemon: &Daemon) {
    let timeout = if passes { &[][..] } else { &[SHORT_TIMEOUT] };
    let Some(balancer) = with_haproxy(title, &[changes, timeout].concat(), daemon) else { return };
    let judged = balancer.log.wait_for(0, |line| line.contains("Health check for server retortd/one"));
    let (_, line) = judged.unwrap_or_else(|| panic!("no check:\n{}", balancer.log.text()));
    assert_eq!(line.contains("succeeded"), passes, "{state}, {title}, {changes:?}: {line}");
}

/// Runs a check of each kind against a daemon in a state.
#[track_caller]
fn assert_row((state, arguments, enter): State) {
    let row = table(HEADINGS[0]).into_iter().find(|row| row[0] == state);
    let row = row.unwrap_or_else(|| panic!("docs/load-balancers.md has no state '{state}'"));
    for (heading, title, changes) in KINDS {
        let column = HEADINGS.iter().position(|name| name == heading).expect("a heading");
        let behind_proxy = sends_headers(&configuration(title));
        let daemon = daemon(behind_proxy, arguments);
        let client = enter(&daemon, behind_proxy);
        assert_seen(state, row[column] == "UP", title, changes, &daemon);
        drop(client);
    }
}

#[test]
fn only_a_request_sees_that_the_daemon_hangs() {
    assert_row(HUNG);
}

#[test]
fn only_a_request_sees_that_there_are_max_connections() {
    assert_row(FULL);
}

#[test]
fn clients_of_one_source_fail_a_request_only_without_headers() {
    assert_row(SOURCE_FULL);
}

#[test]
fn only_a_request_sees_that_the_balancer_is_denied() {
    assert_row(DENIED);
}

#[test]
fn every_documented_state_is_tested() {
    let tested = [HUNG, FULL, SOURCE_FULL, DENIED].map(|(state, ..)| state);
    let rows = table(HEADINGS[0]);
    assert_eq!(rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), tested);
}

/// In version 1 a check announces the address of haproxy as that of a client, in version 2 none.
#[test]
fn checks_of_version_1_count_for_the_balancer_as_a_source() {
    for (changes, passes) in [(&[][..], false), (&[HEADERS_2][..], true)] {
        let daemon = daemon(true, &["--max-per-source=1"]);
        let client = client_of_balancer(&daemon, true, "127.0.0.1");
        assert_seen("a client on the balancer", passes, VERSION_1, changes, &daemon);
        drop(client);
    }
}

/// Health checks connect from an address that has to be in `--proxy-from`, as those for clients do.
#[test]
fn checks_from_an_address_that_is_not_in_proxy_from_fail_with_a_request() {
    for changes in [&[][..], &[HEADERS_2][..]] {
        let daemon = daemon(true, &["--proxy-from=192.0.2.1"]);
        assert_seen("not in --proxy-from", false, VERSION_1, changes, &daemon);
    }
}
