//! A line as a JSON object: `time`, `level`, `msg`, and its key-value pairs.
//!
//! The object is at most [`MAX_LINE`] bytes long: a message that does not fit is cut before it is encoded, so that the
//! object is valid at all times.

use std::borrow::Cow;
use std::io::Write;

use crate::daemon::logging::line::{Line, time_stamp};
use crate::daemon::logging::message::{MAX_LINE, Value};

/// Behind a message that was cut.
const ELLIPSIS: &str = "...";

/// A line as one JSON object, without a line feed.
#[must_use]
pub fn object(line: &Line) -> String {
    let pairs = pairs(line);
    let mut out = Vec::with_capacity(MAX_LINE);
    let (time, level) = (time_stamp(line.time), line.severity.name());
    write!(out, r#"{{"time":"{time}","level":"{level}","msg":"#).expect("writing to a Vec does not fail");
    // the quotes of the message, and the end of the object
    let room = MAX_LINE.saturating_sub(out.len() + pairs.len() + r#"""}"#.len());
    push_string(&mut out, &fitting(line.message.text(), room));
    out.extend(pairs);
    out.push(b'}');
    String::from_utf8(out).expect("JSON of text is text")
}

/// The pairs of a line, each with a comma in front.
fn pairs(line: &Line) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in line.message.pairs() {
        out.push(b',');
        push_string(&mut out, key);
        out.push(b':');
        match value {
            Value::Text(text) => push_string(&mut out, text),
            Value::Literal(literal) => out.extend(literal.bytes()),
        }
    }
    out
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing to a Vec does not fail");
}

/// The beginning of a message, with an ellipsis if it is not all, that is encoded in at most `room` bytes.
fn fitting(message: &str, room: usize) -> Cow<'_, str> {
    let (mut length, mut cut) = (0, 0);
    for (start, character) in message.char_indices() {
        length += encoded_length(character);
        if length > room {
            return format!("{}{ELLIPSIS}", &message[..cut]).into();
        }
        if length + ELLIPSIS.len() <= room {
            cut = start + character.len_utf8();
        }
    }
    message.into()
}

/// The length of a character in a JSON string, in bytes. A message has no control characters.
fn encoded_length(character: char) -> usize {
    if matches!(character, '"' | '\\') { 2 } else { character.len_utf8() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    use log::kv::{ToValue, Value as Captured};
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use crate::daemon::logging::line::Severity;
    use crate::daemon::logging::message::Message;

    fn line(text: &str, pairs: &[(&str, Captured<'_>)]) -> Line {
        let message = Message::with_pairs(text, &pairs);
        Line { time: SystemTime::UNIX_EPOCH + Duration::from_millis(1), severity: Severity::Info, message }
    }

    fn parsed(line: &Line) -> Json {
        let object = object(line);
        assert!(object.len() <= MAX_LINE && !object.contains(|c: char| c.is_control()), "{object}");
        serde_json::from_str(&object).expect("JSON")
    }

    #[test]
    fn object_has_the_message_and_flat_pairs() {
        let pairs = [
            ("listener", "frame".to_value()),
            ("peer", "[::1]:7".to_value()),
            ("bytes_in", 120_u64.to_value()),
            ("duration", 1.25.to_value()),
            ("label", None::<&str>.to_value()),
        ];
        let expect = r#"{"time":"1970-01-01T00:00:00.001Z","level":"info","msg":"frame [::1]:7: \"closed\"",\
            "listener":"frame","peer":"[::1]:7","bytes_in":120,"duration":1.25}"#;
        let expect: String = expect.split("\\\n").map(str::trim_start).collect();
        assert_eq!(object(&line("frame [::1]:7: \"closed\"", &pairs)), expect);
    }

    #[test]
    fn levels_have_the_names_of_their_severity() {
        let levels = [Severity::Error, Severity::Warning, Severity::Info, Severity::Debug].map(|severity| {
            let line = Line { severity, ..line("", &[]) };
            parsed(&line)["level"].clone()
        });
        assert_eq!(levels, ["error", "warning", "info", "debug"].map(|name| json!(name)));
    }

    #[test]
    fn message_is_cut_so_that_the_object_fits() {
        let pairs = [("peer", "p".repeat(100))];
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (*key, value.to_value())).collect();
        for text in ["x".repeat(2000), "\"".repeat(2000), "\u{1}".repeat(2000), "é".repeat(2000), "€\\".repeat(500)]
        {
            let object = object(&line(&text, &pairs));
            let parsed = parsed(&line(&text, &pairs));
            assert!((MAX_LINE - 8..=MAX_LINE).contains(&object.len()), "{} bytes", object.len());
            assert!(parsed["msg"].as_str().is_some_and(|text| text.ends_with("...")), "{parsed}");
            assert_eq!(parsed["peer"], "p".repeat(100));
        }
    }

    proptest! {
        /// Whatever a message or a value is, the object is valid, is one line, and has what the line has.
        #[test]
        fn object_parses_to_what_was_encoded(
            text in any::<String>(),
            pairs in prop::collection::vec(("[a-z_]{2,12}", any::<String>(), any::<f64>(), any::<u64>()), 0..20),
        ) {
            let pairs: Vec<(&str, Captured<'_>)> = pairs
                .iter()
                .enumerate()
                .map(|(n, (key, text, float, number))| match n % 3 {
                    0 => (&key[..], text.to_value()),
                    1 => (&key[..], float.to_value()),
                    _ => (&key[..], number.to_value()),
                })
                .collect();
            let line = line(&text, &pairs);
            let parsed = parsed(&line);
            let message = parsed["msg"].as_str().expect("a text");
            prop_assert!(line.message.text().starts_with(message.trim_end_matches("...")));
            for (key, value) in line.message.pairs() {
                // the last one of several with the same key counts
                let last = line.message.pairs().filter(|(other, _)| *other == key).last().expect("a pair").1;
                let expect = match last {
                    Value::Text(text) => json!(text),
                    Value::Literal(literal) => serde_json::from_str(literal).expect("a literal"),
                };
                prop_assert_eq!(&parsed[key], &expect, "{}", value.as_str());
            }
        }
    }
}
