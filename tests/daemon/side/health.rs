//! `/livez` and `/readyz`.

use super::{ask, daemon, get, scrape};
use crate::harness::action::UPPERCASE;
use crate::harness::{echo_ping, frame, wait_until};

#[test]
fn a_daemon_that_serves_is_alive_and_ready() {
    let daemon = daemon(&["echo"], &[]);
    for (path, content) in [("/livez", "alive\n"), ("/readyz", "ready\n"), ("/readyz?a=b", "ready\n")] {
        let reply = get(&daemon, path);
        assert_eq!((reply.status, reply.content.as_str()), (200, content), "{path}");
        assert!(reply.head.contains("\r\nConnection: close") && reply.head.contains("\r\nCache-Control: no-store"));
    }
}

#[test]
fn a_daemon_at_the_connection_limit_is_not_ready() {
    let daemon = daemon(&["echo"], &["--max-connections=1"]);
    let mut client = daemon.connect("echo");
    echo_ping(&mut client);
    let reply = get(&daemon, "/readyz");
    assert_eq!((reply.status, reply.content.as_str()), (503, "at the connection limit\n"));
    assert_eq!(get(&daemon, "/livez").status, 200);
    assert!((scrape(&daemon).sum("retortd_connections", None) - 1.0).abs() < 0.5);
    drop(client);
    wait_until("it is ready again", || get(&daemon, "/readyz").status == 200);
}

/// One worker has nothing to drain and ends at once: it is not missed.
#[test]
fn a_daemon_that_stops_is_alive_and_not_ready() {
    let mut daemon = daemon(&["frame"], &["--workers=2", "--drain-timeout=none"]);
    let mut client = daemon.connect("frame");
    client.send(&frame(UPPERCASE, b"half a request")[..9]);
    wait_until("the request has begun", || scrape(&daemon).sum("retortd_received_bytes_total", None) > 8.0);
    daemon.begin_drain();
    let reply = get(&daemon, "/readyz");
    assert_eq!((reply.status, reply.content.as_str()), (503, "stopping\n"));
    assert_eq!(get(&daemon, "/livez").content, "alive\n");
    assert!((scrape(&daemon).value("retortd_stopping") - 1.0).abs() < 0.5);
    wait_until("the listeners are closed", || scrape(&daemon).sum("retortd_listeners", None) < 1.0);
    drop(client);
    assert_eq!(daemon.wait_exit(), 0);
}

#[test]
fn a_worker_that_hangs_is_named() {
    let daemon = daemon(&["echo"], &["--workers=2"]);
    assert_eq!(get(&daemon, "/livez").status, 200, "all threads have started");
    let Some(frozen) = daemon.freeze("worker-1") else { return };
    wait_until("its last heartbeat is not recent any more", || get(&daemon, "/livez").status == 503);
    for _ in 0..2 {
        let reply = get(&daemon, "/livez");
        assert_eq!((reply.status, reply.content.as_str()), (503, "no iteration within 2 s: worker-1\n"));
    }
    assert_eq!(get(&daemon, "/readyz").status, 200, "others are answered meanwhile");
    assert_eq!(get(&daemon, "/metrics").status, 200);
    drop(frozen);
    wait_until("it is alive again", || get(&daemon, "/livez").status == 200);
}

#[test]
fn requests_that_are_none_are_refused() {
    let daemon = daemon(&["echo"], &[]);
    let long = format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(9000));
    for (request, status) in [
        ("GET / HTTP/1.0\r\n\r\n", 404),
        ("POST /livez HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", 405),
        ("GET /livez HTTP/1.1\r\n\r\n", 400),
        ("\u{8}\0\0\u{2}hi", 400),
        (&long, 431),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET /livez HTTP/1.0\r\n\r\nGET /nothing HTTP/1.0\r\n\r\n", 200),
    ] {
        let reply = ask(&daemon, request.as_bytes());
        assert_eq!(reply.status, status, "{request:?}: {reply:?}");
        assert!(!reply.content.contains("nothing") && !reply.content.contains("aaa"), "nothing is repeated");
    }
    assert_eq!(get(&daemon, "/").content, "404 Not Found: the pages are /metrics, /livez and /readyz\n");
    assert!(ask(&daemon, b"PUT / HTTP/1.0\r\n\r\n").head.contains("\r\nAllow: GET, HEAD\r\n"));
}
