//! JSON values: reports with `--json`, and the strings of TAP.

pub use serde_json::{Value, json};

/// A JSON object.
pub type Map = serde_json::Map<String, Value>;
