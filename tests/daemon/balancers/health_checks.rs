//! What the health checks of haproxy do to the daemon: docs/load-balancers.md has the same as a table.

use super::documented::configuration;
use super::{Balancer, daemon_behind_proxy};
use crate::harness::{Daemon, Statistics};

const PLAIN: &str = "haproxy.cfg: without PROXY headers";
const VERSION_1: &str = "haproxy.cfg: PROXY protocol, version 1, and requests as health checks";
const VERSION_2: &str = "haproxy.cfg: PROXY protocol, version 2";

/// Health checks more often than in the document, which haproxy logs.
const OFTEN: [(&str, &str); 3] = [
    (" inter 2s", ""),
    (" check\n", " check inter 50ms\n"),
    ("    mode tcp\n", "    mode tcp\n    log stderr format raw local0\n    option log-health-checks\n"),
];
/// Removes the request from the health checks.
const CONNECT_ONLY: [(&str, &str); 4] = [
    ("    option tcp-check\n", ""),
    ("    tcp-check connect send-proxy linger\n", ""),
    ("    tcp-check send-binary 080000026869\n", ""),
    ("    tcp-check expect binary 000000024849\n", ""),
];

/// The statistics of a daemon after haproxy has found it healthy and `checks` connections were closed; one more may be
/// open. None: haproxy is not installed. Nothing is logged at the default level.
#[track_caller]
fn checked(title: &str, changes: &[(&str, &str)], checks: u64) -> Option<Statistics> {
    let mut text = configuration(title);
    for (old, new) in OFTEN.iter().chain(changes) {
        text = text.replace(old, new);
    }
    let daemon = if text.contains("send-proxy") { daemon_behind_proxy } else { Daemon::serving }("frame", &[]);
    let balancer = Balancer::haproxy(&text, &[daemon.address("frame")])?;
    let passed = balancer.log.wait_for(0, |line| line.contains("succeeded") && line.contains("check passed"));
    assert!(passed.is_some(), "{title}: {}", balancer.log.text());
    let statistics = daemon.statistics_when(|statistics| statistics.closed >= checks);
    let log = daemon.log.all();
    assert!(log.iter().all(|line| line.contains("statistics: ")), "{title}: {log:?}");
    Some(statistics)
}

/// haproxy resets the connection before the handshake of TCP is complete.
#[test]
fn connection_checks_without_headers_do_not_reach_the_daemon() {
    let Some(statistics) = checked(PLAIN, &[], 0) else { return };
    assert_eq!(statistics.accepted, 0, "{statistics:?}");
}

#[test]
fn connection_checks_with_headers_are_resets_without_a_request() {
    for (title, changes) in [(VERSION_1, &CONNECT_ONLY[..]), (VERSION_2, &[])] {
        let Some(statistics) = checked(title, changes, 3) else { return };
        assert_eq!(statistics.closed_for("reset"), statistics.closed, "{title}: {statistics:?}");
        assert_eq!(statistics.requests, 0, "{title}: {statistics:?}");
    }
}

#[test]
fn checks_with_a_request_are_answered_and_finish_if_they_linger() {
    let version_2 = [("default-server send-proxy", "default-server send-proxy-v2")];
    for (changes, version) in [(&[][..], 1), (&version_2[..], 2)] {
        let Some(statistics) = checked(VERSION_1, changes, 3) else { return };
        assert_eq!(statistics.closed_for("finished"), statistics.closed, "version {version}: {statistics:?}");
        assert!(
            (statistics.closed..=statistics.closed + 1).contains(&statistics.answered),
            "version {version}: {statistics:?}"
        );
        let Some(statistics) = checked(VERSION_1, &[changes, &[(" linger\n", "\n")]].concat(), 3) else { return };
        assert_eq!(statistics.closed_for("reset"), statistics.closed, "version {version}: {statistics:?}");
        assert!(
            (statistics.closed..=statistics.closed + 1).contains(&statistics.answered),
            "version {version}: {statistics:?}"
        );
    }
}
