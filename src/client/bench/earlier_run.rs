//! An earlier run, from the file of its JSON report.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::figures::JSON_VERSION;
use crate::client::failure::Failure;
use crate::client::json::{Value, values};

/// The largest report that is read. Chosen: some hours of printed intervals; a report without these has at most 2 MB.
const MAX_REPORT: u64 = 64 << 20;

/// The report of an earlier run: an object of the type `result`.
#[derive(Debug)]
pub struct EarlierRun {
    /// The path as the user wrote it.
    pub name: String,
    report: Value,
}

impl EarlierRun {
    /// Reads a report: the last result in the file, or the confirming run of a search.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let mut text = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_REPORT + 1).read_to_end(&mut text));
        read.map_err(|error| Failure::cannot(format_args!("read {name}"), &error))?;
        let report = result_in(&text).map_err(|reason| Failure::cannot_run(format!("cannot use {name}: {reason}")))?;
        Ok(Self { name, report })
    }

    /// The whole report.
    pub fn report(&self) -> &Value {
        &self.report
    }
}

fn result_in(text: &[u8]) -> Result<Value, String> {
    if text.len() as u64 > MAX_REPORT {
        return Err(format!("it is longer than {} MiB", MAX_REPORT >> 20));
    }
    let last = values(text).try_fold(None, |_, value| value.map(Some));
    let last = last.map_err(|error| format!("it is not a complete JSON report: {error}"))?.ok_or("it is empty")?;
    let report = match last["type"].as_str() {
        Some("result") => last,
        Some("find-rate") if last["confirmation"].is_object() => last["confirmation"].clone(),
        Some("find-rate") => return Err("the search has confirmed no rate".into()),
        _ => return Err("it is not a report of retort bench --json".into()),
    };
    if report["version"] != JSON_VERSION {
        return Err(format!("its format has the version {}, and this program has {JSON_VERSION}", report["version"]));
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_result_is_used() {
        let lines = br#"{"type":"interval"} {"type":"result","version":1,"size":64}"#;
        assert_eq!(result_in(lines).unwrap()["size"], 64);
        let search = br#"{"type":"find-rate","version":1,"confirmation":{"type":"result","version":1,"size":7}}"#;
        assert_eq!(result_in(search).unwrap()["size"], 7);
    }

    #[test]
    fn other_files_are_errors_that_say_why() {
        for (text, words) in [
            ("", "it is empty"),
            ("text", "it is not a complete JSON report: expected ident"),
            (r#"{"type":"result","version":1"#, "it is not a complete JSON report: EOF"),
            ("[]", "it is not a report of retort bench --json"),
            (r#"{"type":"interval"}"#, "it is not a report of retort bench --json"),
            (r#"{"type":"find-rate","confirmation":null}"#, "the search has confirmed no rate"),
            (r#"{"type":"result","version":2}"#, "its format has the version 2, and this program has 1"),
            (r#"{"type":"result"}"#, "its format has the version null"),
        ] {
            let reason = result_in(text.as_bytes()).unwrap_err();
            assert!(reason.starts_with(words), "{text}: {reason}");
        }
        let long = vec![b' '; usize::try_from(MAX_REPORT).unwrap() + 1];
        assert_eq!(result_in(&long).unwrap_err(), "it is longer than 64 MiB");
    }
}
