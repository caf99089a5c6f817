//! A real Prometheus as a child process of the test, and its HTTP API.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::files::{alerts, list, read, text};
use crate::harness::{DEADLINE, Directory, EventLog, available, collect_lines, wait_until};

/// The scrape interval of the example, and the one here. Chosen: some scrapes a second, so that a test takes seconds.
const INTERVAL: (&str, &str) = ("scrape_interval: 15s", "scrape_interval: 300ms\n  evaluation_interval: 300ms");
/// The target of the example.
const TARGET: &str = "127.0.0.1:9383";

/// A running Prometheus, killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    log: EventLog<String>,
    _directory: Directory,
}

impl Prometheus {
    /// Starts it with the example configuration and the alerts, for a target in place of that in the example, and waits
    /// until it has scraped the target. None: it is not installed, and the test is noted as skipped.
    #[track_caller]
    pub fn scraping(target: SocketAddr) -> Option<Self> {
        if !available("prometheus") {
            return None;
        }
        let directory = Directory::new();
        directory.write("alerts.yml", alerts());
        let file = directory.write("prometheus.yml", configuration(target));
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={file}"));
        command.arg(format!("--storage.tsdb.path={}", directory.path("data").display()));
        // the log has the port
        command.args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start Prometheus");
        let log = collect_lines(child.stderr.take());
        let mut prometheus = Self { child, address: target, log, _directory: directory };
        prometheus.address = prometheus.listening();
        prometheus.log.wait_for(0, |line| line.contains("Server is ready")).expect("Prometheus gets ready");
        wait_until("Prometheus has scraped the daemon", || prometheus.has_scraped());
        Some(prometheus)
    }

    /// Where it listens, from its log.
    fn listening(&self) -> SocketAddr {
        let found = self.log.wait_for(0, |line| line.contains("\"Listening on\""));
        let (_, line) = found.expect("Prometheus listens");
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address in {line}"))
    }

    /// Whether a scrape has succeeded; an error of one is shown, because further scrapes have it, too.
    fn has_scraped(&self) -> bool {
        let targets = self.get("targets", &[]);
        let target = &targets["activeTargets"][0];
        let error = target["lastError"].as_str().unwrap_or_default();
        // a busy machine can take longer than the interval here
        assert!(error.is_empty() || error.contains("deadline exceeded"), "{error}");
        target["health"] == "up"
    }

    /// What its API returns as `data` for a path below `/api/v1/`.
    pub fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let parameters: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let body = http_get(self.address, &format!("/api/v1/{path}?{}", parameters.join("&")));
        let mut reply: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
        assert_eq!(reply["status"], "success", "{parameters:?}: {body}");
        reply["data"].take()
    }

    /// The values that a query has now, one for each series.
    pub fn query(&self, query: &str) -> Vec<f64> {
        let data = self.get("query", &[("query", query)]);
        let value = |series: &Value| series["value"][1].as_str()?.parse().ok();
        list(&data["result"])
            .iter()
            .map(|series| value(series).unwrap_or_else(|| panic!("{query}: {series}")))
            .collect()
    }

    /// The rules, when it has evaluated each of them.
    pub fn evaluated_rules(&self) -> Vec<Value> {
        let rules = || list(&self.get("rules", &[])["groups"][0]["rules"]).to_vec();
        wait_until("every rule is evaluated", || rules().iter().all(|rule| rule["health"] != "unknown"));
        rules()
    }

    /// Waits until an alert fires.
    pub fn wait_firing(&self, alert: &str) {
        let fires = |rule: &Value| text(rule, "name") == alert && rule["state"] == "firing";
        wait_until(&format!("{alert} fires"), || self.evaluated_rules().iter().any(fires));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of Prometheus:\n{}", self.log.text());
        }
    }
}

/// The example configuration with a short interval and another target.
fn configuration(target: SocketAddr) -> String {
    let example = read("packaging/prometheus/prometheus.yml");
    for part in [INTERVAL.0, TARGET] {
        assert_eq!(example.matches(part).count(), 1, "{part}");
    }
    example.replace(INTERVAL.0, INTERVAL.1).replace(TARGET, &target.to_string())
}

/// A value for the query part of a URL.
fn escaped(value: &str) -> String {
    value.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            _ if byte.is_ascii_alphanumeric() => escaped.push(byte.into()),
            _ => write!(escaped, "%{byte:02X}").expect("text can be written"),
        }
        escaped
    })
}

/// The body of a reply to a GET request. Version 1.0 has the reply in one piece, up to the end of the connection.
pub fn http_get(address: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).expect("connect to an HTTP server");
    stream.set_read_timeout(Some(DEADLINE)).expect("SO_RCVTIMEO");
    write!(stream, "GET {target} HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("send a request");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("receive a reply in UTF-8");
    reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no end of the head: {reply}")).1.to_string()
}
