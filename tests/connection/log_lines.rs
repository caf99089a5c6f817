//! The lines of the log that a connection begins and ends with.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Once};

use log::kv::{Error, Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use retortd::connection::{Budget, CloseReason, Connection, Millis};

use crate::scripted::{IoResult, ScriptedStream, context, protocol};
use crate::session::{Session, UPPERCASE, frame_request};
use crate::vectors::headers::{LOCAL, TCP4};

/// A line, and its key-value pairs.
#[derive(Debug, PartialEq)]
struct Line {
    text: String,
    pairs: BTreeMap<String, String>,
}

thread_local! {
    /// What this thread has logged.
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Keeps the lines of each thread.
struct Keeper;

struct Pairs(BTreeMap<String, String>);

impl<'kvs> VisitSource<'kvs> for Pairs {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.insert(key.to_string(), value.to_string());
        Ok(())
    }
}

impl Log for Keeper {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        let mut pairs = Pairs(BTreeMap::new());
        record.key_values().visit(&mut pairs).expect("pairs");
        LINES.with_borrow_mut(|lines| lines.push(Line { text: record.args().to_string(), pairs: pairs.0 }));
    }

    fn flush(&self) {}
}

/// Keeps lines of the level of `-v`, for this whole process; another thread has lines of its own.
fn keep_lines() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Keeper).expect("the only logger");
        log::set_max_level(LevelFilter::Info);
    });
}

/// What a connection to `name` logs, after whose `calls` it is closed for `reason` at the time 1234.
fn lines(name: &str, stream: ScriptedStream, reason: CloseReason, calls: impl FnOnce(&mut Session)) -> Vec<Line> {
    keep_lines();
    let connection = Connection::new(protocol(name), Some(format!("{name} 192.0.2.1:5").into()), Millis::ZERO);
    log_of(connection, stream, reason, calls)
}

/// As [`lines`], of a connection that begins with a PROXY header.
fn lines_behind_header(stream: ScriptedStream, reason: CloseReason) -> Vec<Line> {
    keep_lines();
    let label = Some("frame 192.0.2.1:5".into());
    let connection = Connection::awaiting_header(label, Millis::ZERO, Millis::NEVER);
    log_of(connection, stream, reason, |session| drop(session.readable()))
}

fn log_of(
    connection: Connection,
    stream: ScriptedStream,
    reason: CloseReason,
    calls: impl FnOnce(&mut Session),
) -> Vec<Line> {
    LINES.take();
    let context = context(1 << 20, &Arc::new(Budget::new(1 << 20)), 1);
    let mut session = Session { connection, stream, context };
    session.connection.open(&mut session.stream, &mut session.context);
    calls(&mut session);
    session.connection.log_closed(reason, Millis::new(1234));
    LINES.take()
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn closing_line_has_reason_duration_requests_and_traffic_as_text_and_as_pairs() {
    let input = [frame_request(UPPERCASE, b"hi"), frame_request(UPPERCASE, b"there")].concat();
    let stream = ScriptedStream::new(&input, &[IoResult::AtMost(3)], &[]);
    let lines = lines("frame", stream, CloseReason::Finished, |session| {
        session.readable();
        session.readable();
    });
    let expected = [
        "frame 192.0.2.1:5: accepted",
        "frame 192.0.2.1:5: closed: finished after 1.234s, 2 requests, 15 bytes in, 15 bytes out",
    ];
    assert_eq!(texts(&lines), expected);
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect();
    let client = [("listener", "frame"), ("peer", "192.0.2.1:5")];
    assert_eq!(lines[0].pairs, pairs(&client));
    let closed = [("reason", "finished"), ("duration", "1.234"), ("requests", "2"), ("bytes_in", "15")];
    assert_eq!(lines[1].pairs, pairs(&[&client[..], &closed, &[("bytes_out", "15")]].concat()));
}

#[test]
fn probe_is_not_logged() {
    for reason in [CloseReason::Finished, CloseReason::Reset] {
        let stream = ScriptedStream::new(b"", &[], &[]);
        assert_eq!(lines("frame", stream, reason, |_| {}), []);
        for header in [&b""[..], LOCAL, TCP4] {
            assert_eq!(lines_behind_header(ScriptedStream::new(header, &[], &[]), reason), []);
        }
    }
}

#[test]
fn connection_that_carries_nothing_and_is_closed_for_another_reason_has_both_lines() {
    for reason in [CloseReason::IdleTimeout, CloseReason::Stopped, CloseReason::Denied] {
        let lines = lines("frame", ScriptedStream::new(b"", &[], &[]), reason, |_| {});
        let closed = format!("frame 192.0.2.1:5: closed: {} after 1.234s, 0 requests, 0 bytes in, ", reason.name());
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].text.ends_with(": accepted") && lines[1].text.starts_with(&closed), "{lines:?}");
    }
}

#[test]
fn client_that_only_listens_is_no_probe() {
    let lines = lines("daytime", ScriptedStream::new(b"", &[], &[]), CloseReason::Finished, |_| {});
    assert_eq!((lines.len(), lines[0].text.as_str()), (2, "daytime 192.0.2.1:5: accepted"));
    assert!(lines[1].text.contains(", 0 bytes in, ") && !lines[1].text.contains(", 0 bytes out"), "{lines:?}");
}

/// The line of the peer comes before that of the client; what has arrived of a header is traffic.
#[test]
fn header_that_is_no_probe_is_logged_when_it_arrives() {
    for (input, reason) in [
        (&[TCP4, b"\x08"].concat()[..], CloseReason::Finished),
        (TCP4, CloseReason::Denied),
        (&[LOCAL, b"\x08"].concat(), CloseReason::Truncated),
        (b"PROXY ", CloseReason::Reset),
    ] {
        let lines = lines_behind_header(ScriptedStream::new(input, &[], &[]), reason);
        let traffic = format!(", 0 requests, {} bytes in, 0 bytes out", input.len());
        assert_eq!((lines.len(), lines[0].text.as_str()), (2, "frame 192.0.2.1:5: accepted"), "{lines:?}");
        assert!(lines[1].text.ends_with(&traffic), "{lines:?}");
    }
    let lines = lines_behind_header(ScriptedStream::new(b"GET / HTTP/1.1", &[], &[]), CloseReason::ProxyHeader);
    let [accepted, invalid, closed] = &texts(&lines)[..] else { panic!("{lines:?}") };
    assert!(accepted.ends_with(": accepted") && invalid.contains(": invalid PROXY header: "), "{lines:?}");
    assert!(closed.contains(": closed: proxy-header after "), "{lines:?}");
}
