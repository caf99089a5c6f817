//! What operators see: warnings, STATUS, lines about connections, metrics.

use super::{impaired, impaired_with, is_served, pass};
use crate::harness::action::UPPERCASE;
use crate::harness::{DaemonBuilder, Directory, frame, length_prefixed};

#[test]
fn a_warning_and_the_status_name_impaired_listeners() {
    // without -v: warnings are always written
    let builder =
        DaemonBuilder::new(&["--listen=frame=127.0.0.1:0,latency=100ms,jitter=20ms", "--listen=echo=127.0.0.1:0"]);
    let daemon = builder.start();
    let address = daemon.address("frame");
    daemon.wait_for_line(0, &format!("frame={address} is impaired: latency=100ms,jitter=20ms"));
    daemon.wait_for_notice(0, &format!("; impaired: frame={address}"));
    assert_eq!(daemon.lines_with("is impaired"), 1, "{}", daemon.log.text());
}

#[test]
fn a_reload_tells_what_it_changes() {
    let directory = Directory::new();
    let settings = |options: &str| format!("RETORTD_LISTEN=frame=127.0.0.1:0{options}\n");
    let file = directory.write("settings", settings(""));
    let daemon = DaemonBuilder::new(&["-v", "--settings", &file]).start();
    assert!(!daemon.notices.all().iter().any(|notice| notice.contains("impaired")));
    let address = daemon.address("frame");
    let (mut lines, mut notices) = (daemon.log.len(), daemon.notices.len());
    for (options, expected) in [("latency=1s", 1), ("latency=1s", 0), ("slice=1", 1)] {
        directory.write("settings", settings(&format!(",{options}")));
        daemon.reload();
        let warning = format!("frame={address} is impaired: {options}");
        let new = daemon.log.all()[lines..].iter().filter(|line| line.contains(&warning)).count();
        assert_eq!(new, expected, "{options}:\n{}", daemon.log.text());
        daemon.wait_for_notice(notices, &format!("; impaired: frame={address}"));
        (lines, notices) = (daemon.log.len(), daemon.notices.len());
    }
    directory.write("settings", settings(""));
    daemon.reload();
    let (_, status) = daemon.wait_for_notice(notices, "READY=1");
    assert!(!status.contains("impaired"), "{status}");
    daemon.wait_for_line(lines, &format!("frame={address} is not impaired any more"));
}

/// Each kind once for each connection, however often it acts.
#[test]
fn a_line_tells_what_has_acted_on_a_connection() {
    let daemon = impaired("frame", "latency=1ms,slice=2,corrupt=1,cut-after=20");
    let mut client = daemon.connect("frame");
    for _ in 0..3 {
        client.send(&frame(UPPERCASE, b"abc"));
        pass(&daemon);
    }
    assert_eq!(client.receive_all().len(), 20);
    let peer = client.address().to_string();
    drop(client);
    daemon.statistics_at_rest();
    for kind in ["latency", "slice", "corrupt", "cut"] {
        let lines = daemon.log.all();
        let about = lines.iter().filter(|line| line.contains(&peer) && line.contains("impaired"));
        let own = about.filter(|line| line.contains(kind)).count();
        assert_eq!(own, 1, "{kind}:\n{}", daemon.log.text());
    }
}

#[test]
fn metrics_count_impaired_connections_by_kind() {
    use std::io::{Read, Write};
    let daemon = impaired_with("frame", "refuse-first=1,corrupt=1", &["--listen=metrics=127.0.0.1:0"]);
    assert!(!is_served(&daemon));
    let mut client = daemon.connect("frame");
    client.send(&frame(UPPERCASE, b"abc"));
    assert_ne!(client.receive(7), length_prefixed(b"ABC"));
    daemon.statistics_when(|statistics| statistics.impaired_by.len() == 2);
    let mut scrape = daemon.connect("metrics").stream;
    scrape.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("send");
    let mut page = String::new();
    scrape.read_to_string(&mut page).expect("the metrics");
    for kind in ["corrupt", "refuse"] {
        let line = format!("retortd_impaired_connections_total{{protocol=\"frame\",impairment=\"{kind}\"}} 1\n");
        let own: Vec<&str> = page.lines().filter(|line| line.starts_with("retortd_impaired")).collect();
        assert!(page.contains(&line), "no {line} in {own:?}");
    }
}
