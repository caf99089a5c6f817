//! A line as the fields of the journal: the datagram of its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>).
//!
//! Each field is `NAME=value` and a line feed. The protocol has a second form for values that contain a line feed;
//! none of ours does, because a [`Message`](crate::daemon::logging::message::Message) is free of control characters.

use std::fmt::Write;

use crate::daemon::logging::line::{Line, NAME};

/// In front of the name of a pair.
const PREFIX: &str = "RETORTD_";
/// `LOG_DAEMON` in syslog(3): the facility that the journal gives to the standard error of a service, too.
const FACILITY: u8 = 3;

/// The fields of a line, of which this is the message.
#[must_use]
pub fn fields(line: &Line, message: &str) -> String {
    let mut out = format!(
        "PRIORITY={}\nSYSLOG_FACILITY={FACILITY}\nSYSLOG_IDENTIFIER={NAME}\nMESSAGE={message}\n",
        line.severity as u8
    );
    for (key, value) in line.message.pairs() {
        // writing to a String cannot fail
        let _ = writeln!(out, "{PREFIX}{}={}", key.to_ascii_uppercase(), value.as_str());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    use log::kv::{ToValue, Value};
    use proptest::prelude::*;

    use crate::daemon::logging::line::Severity;
    use crate::daemon::logging::message::Message;

    fn line(text: &str, pairs: &[(&str, Value<'_>)]) -> Line {
        let message = Message::with_pairs(text, &pairs);
        Line { time: SystemTime::UNIX_EPOCH, severity: Severity::Warning, message }
    }

    #[test]
    fn pairs_are_fields_in_upper_case() {
        let pairs =
            [("listener", "frame".to_value()), ("bytes_in", 5_u64.to_value()), ("reason", None::<&str>.to_value())];
        let line = line("frame x: closed", &pairs);
        let expect = "PRIORITY=4\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=retortd\nMESSAGE=frame x: closed\n\
            RETORTD_LISTENER=frame\nRETORTD_BYTES_IN=5\n";
        assert_eq!(fields(&line, line.message.text()), expect);
    }

    proptest! {
        /// Whatever a message or a value is, journald finds the fields of the line, and no other.
        #[test]
        fn fields_parse_to_what_was_encoded(
            text in any::<String>(),
            pairs in prop::collection::btree_map("[a-z_]{2,12}", any::<String>(), 0..10),
        ) {
            let captured: Vec<_> = pairs.iter().map(|(key, value)| (&key[..], value.to_value())).collect();
            let line = line(&text, &captured);
            let fields = fields(&line, line.message.text());
            prop_assert!(fields.ends_with('\n'));
            let parsed: BTreeMap<&str, &str> =
                fields.trim_end_matches('\n').split('\n').map(|field| field.split_once('=').expect("a field")).collect();
            prop_assert_eq!(parsed["MESSAGE"], line.message.text());
            prop_assert_eq!(parsed["PRIORITY"], "4");
            prop_assert_eq!(parsed.len(), 4 + line.message.pairs().count());
            for (key, value) in line.message.pairs() {
                prop_assert_eq!(parsed[&format!("RETORTD_{}", key.to_uppercase())[..]], value.as_str());
            }
        }
    }
}
