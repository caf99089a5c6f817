//! The JSON of `retort bench` is as docs/bench.schema.json says, which permits no other members.

use std::fs;

use crate::harness::{Daemon, DaemonBuilder, Directory};
use crate::retort_bench::{bench, silent};
use jsonschema::Validator;
use serde_json::{Value, json};

/// The validator of the published schema.
fn validator() -> Validator {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bench.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).expect("the schema")).expect("JSON");
    jsonschema::meta::validate(&schema).expect("a JSON Schema");
    jsonschema::draft202012::new(&schema).expect("a schema of 2020-12")
}

/// What is wrong with this object.
fn complaints(validator: &Validator, object: &Value) -> Vec<String> {
    validator.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// The objects that a benchmark with these options prints; each is valid.
fn objects(validator: &Validator, address: &str, arguments: &[&str]) -> Vec<Value> {
    let output = bench(address, &[arguments, &["--json"]].concat());
    let values = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    let values: Vec<Value> = values.map(|value| value.unwrap_or_else(|error| panic!("{error}: {output:?}"))).collect();
    for value in &values {
        assert_eq!(complaints(validator, value), [""; 0], "{arguments:?}: {value:#}");
    }
    assert!(!values.is_empty(), "{output:?}");
    values
}

#[test]
fn every_kind_of_report_is_valid() {
    let (daemon, validator) = (DaemonBuilder::every_protocol(&[]).start(), validator());
    let pid = std::process::id().to_string();
    for (protocol, arguments, kinds) in [
        ("frame", &["--depth", "4", "--server-pid", &pid][..], &["result"][..]),
        ("frame", &["--reconnect"], &["result"]),
        ("echo", &["--rate", "500"], &["result"]),
        ("daytime", &[], &["result"]),
        ("frame", &["--interval", "100ms"], &["interval", "interval", "result"]),
    ] {
        let address = daemon.address(protocol).to_string();
        let objects = objects(&validator, &address, &[&["-P", protocol, "--duration", "150ms"], arguments].concat());
        assert_eq!(objects.iter().map(|object| &object["type"]).collect::<Vec<_>>(), kinds, "{arguments:?}");
    }
}

#[test]
fn transfers_in_one_direction_are_valid() {
    let directory = Directory::new();
    let unix = format!("unix:{}", directory.path("discard.sock").display());
    let daemon = DaemonBuilder::new(&[
        "--listen",
        "discard=127.0.0.1:0 chargen=127.0.0.1:0",
        &format!("--listen=discard={unix}"),
    ]);
    let (daemon, validator) = (daemon.start(), validator());
    let pid = daemon.pid.to_string();
    let [discard, chargen] = ["discard", "chargen"].map(|protocol| daemon.address(protocol).to_string());
    for (address, protocol, arguments, kinds) in [
        (&discard, "discard", &["--server-pid", &pid][..], &["one-way"][..]),
        (&chargen, "chargen", &["--interval", "100ms"], &["one-way-interval", "one-way"]),
        (&unix, "discard", &["--interval", "1s"], &["one-way-interval", "one-way"]),
        // not discard: each connection fails
        (&chargen, "discard", &[], &["one-way"]),
    ] {
        let objects = objects(&validator, address, &[&["-P", protocol, "--duration", "150ms"], arguments].concat());
        let mut found: Vec<_> = objects.iter().map(|object| &object["type"]).collect();
        // a busy machine has fewer intervals
        found.dedup();
        assert_eq!(found, kinds, "{arguments:?}");
    }
}

#[test]
fn stages_and_searches_are_valid() {
    let (daemon, validator) = (Daemon::serving("frame", &[]), validator());
    let address = daemon.address("frame").to_string();
    let stages = objects(&validator, &address, &["--stages", "200/100ms,100..900/100ms"]);
    assert_eq!(stages[0]["stages"].as_array().map(Vec::len), Some(2), "{stages:?}");
    let search = ["--find-rate=100..200", "--slo", "p50=1s,errors=50%", "--duration", "100ms"];
    let found = objects(&validator, &address, &search);
    assert_eq!((&found[0]["type"], &found[0]["confirmation"]["type"]), (&json!("find-rate"), &json!("result")));
    let (address, _told) = silent();
    let missed = objects(&validator, &address, &[&search[..], &["--read-timeout", "50ms"]].concat());
    assert_eq!((&missed[0]["outcome"], &missed[0]["confirmation"]), (&json!("lowest rate missed"), &Value::Null));
}

/// With the test of the figures, which needs 8 complete intervals, and without it.
#[test]
fn comparisons_are_valid_and_have_exactly_their_members() {
    let (daemon, directory, validator) = (Daemon::serving("frame", &[]), Directory::new(), validator());
    let (address, pid) = (daemon.address("frame").to_string(), daemon.pid.to_string());
    let long = ["--duration", "510ms", "--interval", "50ms", "--server-pid", &pid];
    for (arguments, is_tested) in [(&long[..], true), (&["--duration", "50ms"], false)] {
        let earlier = objects(&validator, &address, arguments).pop().expect("a result");
        let earlier = directory.write("earlier.json", earlier.to_string());
        let compare = ["--compare", &earlier, "--tolerance", "900%"];
        let report = objects(&validator, &address, &[arguments, &compare].concat()).pop().expect("a result");
        let comparison = &report["comparison"];
        assert!(comparison["figures"][2]["p"].is_number() == is_tested, "{report:#}");
        assert!(comparison["server_cpu_ratio"].is_number() == is_tested, "{report:#}");
        let figures = ["/comparison/figures/0", "/comparison/figures/1", "/comparison/figures/2"];
        check_members(&validator, &report, &[&["/comparison"][..], &figures].concat());
    }
}

#[test]
fn a_report_without_replies_is_valid() {
    let (address, _told) = silent();
    let arguments = ["--duration", "100ms", "--interval", "50ms", "--read-timeout", "20ms"];
    let objects = objects(&validator(), &address, &arguments);
    let report = objects.last().expect("a result");
    assert_eq!((&report["requests"], &report["latency_curve"]), (&json!(0), &json!([])), "{report:#}");
    let arguments = ["--stages", "10/100ms,100/100ms", "--reconnect", "--read-timeout", "20ms"];
    let report = self::objects(&validator(), &address, &arguments).remove(0);
    for times in ["/latency_us", "/first_byte_us", "/stages/0/latency_us", "/stages/1/latency_us"] {
        assert_eq!(report.pointer(times), Some(&Value::Null), "{times}: {report:#}");
    }
}

/// The test would not notice a new member otherwise.
#[test]
fn other_members_and_missing_ones_are_not_valid() {
    let (daemon, validator) = (Daemon::serving("frame", &[]), validator());
    let report = objects(&validator, &daemon.address("frame").to_string(), &["--duration", "50ms"]).remove(0);
    let parents = ["", "/errors", "/latency_us", "/latency_curve/0", "/intervals/0", "/intervals/0/latency_us"];
    check_members(&validator, &report, &parents);

    let daemon = Daemon::serving("discard", &[]);
    let arguments = ["-P", "discard", "--duration", "50ms", "--interval", "10ms"];
    let objects = objects(&validator, &daemon.address("discard").to_string(), &arguments);
    check_members(&validator, &objects[0], &[""]);
    let report = objects.last().expect("a report");
    check_members(&validator, report, &["", "/errors", "/connections/0", "/connections/0/tcp"]);
}

/// Asserts that each of these objects within a report has to have exactly the members that it has.
fn check_members(validator: &Validator, report: &Value, parents: &[&str]) {
    for parent in parents {
        let mut changed = report.clone();
        let members = changed.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
        members.insert("new".into(), json!(1));
        assert!(!complaints(validator, &changed).is_empty(), "{parent:?} permits other members");
        let members = report.pointer(parent).and_then(Value::as_object).expect("an object");
        for name in members.keys() {
            let mut changed = report.clone();
            changed.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object").remove(name);
            assert!(!complaints(validator, &changed).is_empty(), "{parent:?} does not need {name}");
        }
    }
}
