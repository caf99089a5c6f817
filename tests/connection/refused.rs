//! What is refused of what is written down of a connection: whatever no connection can have been.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use retortd::connection::{Budget, Buffer, CloseReason, Connection};

use crate::conversations::{any_conversation, io_results, setting};
use crate::saved::{handshake, offloaded, session};
use crate::scripted::{Driver, IoResult, ScriptedStream, context, protocol, restore, write_down};
use crate::session::{Session, UPPERCASE, frame_request, time_limit};

/// What is restored of the connection after a change to its text.
fn changed(protocol: &str, session: &Session, pointer: &str, to: Value) -> Result<(), String> {
    let (saved, bytes) = write_down(&session.connection);
    let mut value: Value = serde_json::from_str(&saved).expect("JSON");
    *value.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} in {saved}")) = to;
    restore(protocol, &value.to_string(), bytes, &session.context).map(drop)
}

/// A connection, with the name of its protocol.
type Case = fn() -> (&'static str, Session);

const FRAME: Case = || ("frame", session("frame", b"", &[]));
const CHARGEN: Case = || ("chargen", session("chargen", b"", &[]));
const RECORD: Case = || ("record", session("record", b"", &[]));
const HANDSHAKE: Case = || ("frame", handshake());
const PARTIAL: Case = || ("frame", session("frame", b"\x08\0\0\x05abc", &[]));
const REPLYING: Case = || ("frame", session("frame", &frame_request(UPPERCASE, b"abc"), &[IoResult::WouldBlock; 2]));
const RECALLED: Case = || ("frame", session("frame", &offloaded(), &[]));

const STATE: &str = "/state";
const SINCE: &str = "/state/idle/since";
const PHASE: &str = "/state/busy/phase";
const PREPROCESSED: &str = "/state/busy/request/preprocessed";
const REMAINDER: &str = "/state/busy/request/time/remainder";
const PENDING: &str = "/state/busy/request/pending_replies";
const ANSWERED: &str = "/state/busy/request/pending_replies/answered";
const OFFLOAD: &str = "/state/busy/request/offload";
const REQUESTS: &str = "/traffic/requests";
const VALUES: &str = "/protocol/values";
const VERSION: &str = "/protocol/version";

/// Changes to the text of a connection, each with a part of the error.
const CHANGES: &[(Case, &str, &str, &str)] = &[
    (FRAME, "/label", r#""a\nb""#, "the label is invalid"),
    (FRAME, "/lengths", "[1, 0]", "the bytes have another length"),
    (FRAME, REQUESTS, "18446744073709551615", "the traffic is impossible"),
    (FRAME, "/traffic/bytes_in", "18446744073709551615", "the traffic is impossible"),
    (FRAME, "/traffic/bytes_out", "18446744073709551615", "the traffic is impossible"),
    (FRAME, STATE, r#"{ "generating": { "last_write": 0 } }"#, "the state is impossible"),
    (CHARGEN, STATE, r#"{ "idle": { "since": 0 } }"#, "the state is impossible"),
    (FRAME, "/state/idle", r#"{ "since": 0, "until": 0 }"#, "unknown field"),
    (FRAME, SINCE, "-1", "invalid value"),
    (FRAME, VERSION, "1", "another version"),
    (CHARGEN, VERSION, "2", "another version"),
    (CHARGEN, VALUES, "[7030]", "outside of the pattern"),
    (CHARGEN, VALUES, "[0, 0]", "another number of values"),
    (RECORD, VALUES, "[2]", "neither a record nor a chunk is next"),
    (HANDSHAKE, "/lengths", "[8, 0]", "the bytes have another length"),
    (PARTIAL, STATE, r#"{ "idle": { "since": 0 } }"#, "the state is impossible"),
    (
        PARTIAL,
        STATE,
        r#"{ "lingering": { "reason": "served", "unanswered": 0, "until": 1, "next_look": 1 } }"#,
        "the state is impossible",
    ),
    (PARTIAL, PREPROCESSED, "8", "more input is preprocessed"),
    (PARTIAL, PREPROCESSED, "3", "the preprocessed part"),
    (PARTIAL, REMAINDER, "16384", "the time of the request"),
    (PARTIAL, ANSWERED, "1", "more requests are unanswered"),
    (REPLYING, ANSWERED, "2", "more requests are unanswered"),
    (REPLYING, ANSWERED, "4294967295", "more requests are unanswered"),
    (REPLYING, REQUESTS, "0", "more requests are unanswered"),
    (REPLYING, PHASE, r#""receiving""#, "the state is impossible"),
    (REPLYING, PHASE, r#"{ "replying": "generate" }"#, "the state is impossible"),
    (REPLYING, PHASE, r#"{ "replying": "offload" }"#, "the state is impossible"),
    (REPLYING, PHASE, r#"{ "replying": { "skip": 0 } }"#, "the state is impossible"),
    (REPLYING, PHASE, r#"{ "replying": { "skip": 4294967296 } }"#, "the state is impossible"),
    (REPLYING, PHASE, r#"{ "replying": { "close": "never" } }"#, "unknown variant"),
    (PARTIAL, PHASE, r#"{ "skipping": 1 }"#, "the state is impossible"),
    (PARTIAL, PHASE, r#"{ "replying": { "close": "served" } }"#, "the state is impossible"),
    (PARTIAL, PHASE, r#""offloaded""#, "the state is impossible"),
    (RECALLED, OFFLOAD, "null", "the state is impossible"),
    (RECALLED, PHASE, r#"{ "waiting-for-memory": "read" }"#, "the state is impossible"),
    (RECALLED, REQUESTS, "0", "more requests are unanswered"),
];

#[test]
fn state_that_no_connection_can_be_in_is_refused() {
    for (case, pointer, to, expected) in CHANGES {
        let (protocol, session) = case();
        let to = serde_json::from_str(to).expect("JSON");
        let error = changed(protocol, &session, pointer, to).expect_err(pointer);
        assert!(error.contains(expected), "{pointer}: {error}");
    }
}

#[test]
fn more_pending_replies_than_can_be_counted_are_refused() {
    let (_, session) = REPLYING();
    let (saved, bytes) = write_down(&session.connection);
    let mut saved: Value = serde_json::from_str(&saved).expect("JSON");
    *saved.pointer_mut(REQUESTS).expect("traffic") = json!(1_u64 << 40);
    let results = [u32::MAX - 1, u32::MAX].map(|answered| {
        *saved.pointer_mut(PENDING).expect("replies") = json!({ "answered": answered, "refused": 1, "events": 0 });
        let restored = restore("frame", &saved.to_string(), bytes.clone(), &session.context);
        restored.map(|connection| connection.unanswered()).ok()
    });
    assert_eq!(results, [Some(u32::MAX), None]);
}

#[test]
fn label_of_any_length_that_no_client_has_is_refused() {
    let session = session("frame", b"", &[]);
    let results = [512, 513].map(|length| changed("frame", &session, "/label", json!("a".repeat(length))).is_ok());
    assert_eq!(results, [true, false]);
}

#[test]
fn bytes_that_no_connection_can_hold_are_refused() {
    let recalled = session("frame", &offloaded(), &[]);
    for (protocol, session, bytes, expected) in [
        ("frame", handshake(), "PROXY TCX", "the beginning of the header"),
        ("ack", session("ack", b"a", &[IoResult::WouldBlock; 2]), "", "the state is impossible"),
        ("frame", recalled, &"x".repeat(20_004), "the request to offload is not there"),
    ] {
        let (saved, _) = write_down(&session.connection);
        let mut saved: Value = serde_json::from_str(&saved).expect("JSON");
        saved["lengths"] = json!([bytes.len(), 0]);
        let bytes = [bytes.as_bytes().to_vec(), Vec::new()];
        let error = restore(protocol, &saved.to_string(), bytes, &session.context).map(drop).expect_err(expected);
        assert!(error.contains(expected), "{protocol}: {error}");
    }
}

#[test]
fn header_and_protocol_exclude_each_other() {
    for (session, with_protocol) in [(handshake(), true), (session("frame", b"", &[]), false)] {
        let bytes = session.connection.saved_bytes().map(|bytes| {
            let mut buffer = Buffer::zeroed(bytes.len()).expect("memory");
            buffer.filled_mut().copy_from_slice(bytes);
            buffer
        });
        let saved = session.connection.save().expect("no job has its request");
        assert_eq!(saved.awaits_header(), with_protocol);
        let protocol = with_protocol.then(|| protocol("frame"));
        let error = Connection::restore(saved, bytes, protocol, &session.context).map(drop).expect_err("refused");
        assert_eq!(error.to_string(), "a header and a protocol exclude each other");
    }
}

#[test]
fn client_that_has_half_closed_is_not_waited_for_forever() {
    let session = session("upper", b"a", &[]);
    let (saved, bytes) = write_down(&session.connection);
    let mut saved: Value = serde_json::from_str(&saved).expect("JSON");
    saved["read_closed"] = json!(true);
    for time in ["until", "next_look"] {
        saved["state"]["lingering"][time] = json!(u64::MAX);
    }
    let mut context = session.context;
    let connection = restore("upper", &saved.to_string(), bytes, &context).expect("a possible state");
    let mut driver = Driver::restored("upper", connection, session.stream, &mut context);
    assert_eq!(driver.run(&mut context, usize::MAX), Some(CloseReason::Served));
}

/// The paths of all values in a text that are neither arrays nor objects.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| leaves(field, &format!("{path}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().zip(0..).for_each(|(item, at)| leaves(item, &format!("{path}/{at}"), found));
        }
        _ => found.push(path.to_string()),
    }
}

/// A value in place of another one.
fn value() -> impl Strategy<Value = Value> {
    let texts = vec!["receiving", "read", "offload", "receive", "process", "generate", "served", "any", "after-local"];
    prop_oneof![
        4 => select(vec![0, 1, 2, 3, 4, 5, 8, 20, 1000, 1 << 16, 1 << 32, 1 << 60, u64::MAX]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        2 => select(texts).prop_map(Value::from),
        1 => (0..9u64).prop_map(|left| json!({ "skip": left })),
        1 => (0..9u64).prop_map(|left| json!({ "skipping": left })),
        1 => select(vec!["served", "finished"]).prop_map(|reason| json!({ "close": reason })),
        1 => select(vec!["receive", "process", "offload", "generate"]).prop_map(|then| json!({ "replying": then })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_state_is_refused_or_served_to_its_end(
        (name, input) in any_conversation(),
        reads in io_results(),
        writes in io_results(),
        setting in setting(),
        steps in 1..40usize,
        changes in vec((any::<usize>(), value()), 0..4),
        byte in option::of((any::<usize>(), any::<u8>())),
        expires: bool,
    ) {
        let budget = || Arc::new(Budget::new(setting.budget));
        let mut before = context(setting.message, &budget(), setting.seed);
        let mut driver = Driver::new(name, ScriptedStream::new(&input, &reads, &writes));
        for _ in 0..steps {
            if driver.step(&mut before).is_some() {
                return Ok(());
            }
        }
        driver.recall(&mut before);
        let (saved, mut bytes) = write_down(&driver.connection);
        let mut saved: Value = serde_json::from_str(&saved).expect("JSON");
        for (at, to) in changes {
            let mut paths = Vec::new();
            leaves(&saved, "", &mut paths);
            *saved.pointer_mut(&paths[at % paths.len()]).expect("a leaf") = to;
        }
        if let Some((at, to)) = byte.filter(|_| !bytes[0].is_empty()) {
            let at = at % bytes[0].len();
            bytes[0][at] = to;
        }
        let budget = budget();
        let mut after = context(setting.message, &budget, setting.seed);
        let second = time_limit(1000);
        (after.limits.idle, after.limits.request, after.limits.write) = (second, second, second);
        if let Ok(connection) = restore(name, &saved.to_string(), bytes, &after) {
            let mut driver = Driver::restored(name, connection, driver.stream, &mut after);
            if expires {
                driver.expire(&mut after);
            }
            driver.run(&mut after, 1 << 20);
        }
        prop_assert_eq!(budget.used(), 0, "memory was not given back");
    }
}
