//! `--log-format json`: every line is a JSON object, whatever it is about.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::action::{REVERSE, UNKNOWN, UPPERCASE};
use crate::harness::{Daemon, Directory, frame, is_time};

const JSON: [&str; 2] = ["--log-format=json", "-vvv"];

/// The line as an object with the keys that every line has.
fn object(line: &str) -> Value {
    let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(object["time"].as_str().is_some_and(is_time), "{line}");
    assert!(["error", "warning", "info", "debug"].map(Value::from).contains(&object["level"]), "{line}");
    assert!(object["msg"].is_string(), "{line}");
    assert!(line.len() <= 900 && !line.contains(char::is_control), "{line:?}");
    object
}

/// Stops a daemon; all lines of its log.
fn stop(mut daemon: Daemon) -> Vec<Value> {
    assert_eq!(daemon.stop(), 0);
    daemon.log.wait_closed();
    daemon.log.all().iter().map(|line| object(line)).collect()
}

/// The first line about a request with this action.
fn of_action<'a>(objects: &'a [Value], action: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["action"] == action);
    found.unwrap_or_else(|| panic!("{action}: {objects:?}"))
}

#[test]
fn every_line_is_an_object() {
    let directory = Directory::new();
    let settings = directory.write("settings", "");
    let daemon = Daemon::serving("frame", &[&JSON[..], &["--settings", &settings]].concat());
    let mut client = daemon.connect("frame");
    let address = client.address();
    client.request(UPPERCASE, b"a \"quoted\" text");
    client.request(REVERSE, &[b'\\'; 2000]);
    client.request(UNKNOWN, b"x");
    daemon.connect("frame").reset();
    daemon.signal(Signal::SIGUSR1);
    daemon.wait_for_line(0, "statistics: ");
    directory.write("settings", "RETORTD_IDLE_TIMEOUT=\"x\\\n");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_line(0, "cannot reload");
    drop(client);
    let objects = stop(daemon);
    for level in ["error", "info", "debug"] {
        assert!(objects.iter().any(|object| object["level"] == level), "{level}: {objects:?}");
    }
    let request = of_action(&objects, "uppercase");
    assert_eq!([&request["listener"], &request["peer"]], [&json!("frame"), &json!(address.to_string())]);
    assert_eq!([&request["level"], &request["length"]], [&json!("debug"), &json!(15)]);
    assert!(request["duration"].as_f64().is_some_and(|seconds| seconds < 30.0), "{request}");
    let text = request["msg"].as_str().unwrap_or_default();
    assert!(text.starts_with(&format!("frame {address}: uppercase of 15 bytes answered in ")), "{request}");
    assert_eq!(request.get("refusal"), None);
    assert_eq!(of_action(&objects, "reverse")["length"], 2000);
    assert_eq!(of_action(&objects, "unknown")["refusal"], "action 31 does not exist");
}

#[test]
fn input_that_could_forge_lines_stays_in_one_object() {
    let daemon = Daemon::serving_behind_proxy("frame", &JSON);
    for header in [
        &b"PROXY TCP4 \xff\x1b[2J\0 192.0.2.1 1 2\r\n"[..],
        b"PROXY \",\"level\":\"error\"}\n{\"msg\":\"forged\r\n",
        b"\xc2\x9b\"\\",
    ] {
        let mut client = daemon.connect("frame");
        client.send(header);
        client.half_close();
        client.wait_closed();
    }
    let header = b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 443\r\n";
    let mut client = daemon.connect("frame");
    let balancer = client.address();
    client.send(&[&header[..], &frame(UPPERCASE, b"\"}\n{\"\xc2\x9b\x1b[2J\0")].concat());
    client.receive_frame();
    drop(client);
    let objects = stop(daemon);
    let invalid = |object: &&Value| object["msg"].as_str().is_some_and(|text| text.contains("invalid PROXY header"));
    assert_eq!(objects.iter().filter(invalid).count(), 3, "{objects:?}");
    assert!(!objects.iter().any(|object| object["level"] == "error" || object["msg"] == "forged"), "{objects:?}");
    let request = of_action(&objects, "uppercase");
    assert_eq!(request["peer"], format!("192.0.2.10:56324 via {balancer}"));
}
