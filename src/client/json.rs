//! JSON values, for `--json`.

pub use serde_json::{Value, json};

/// An object.
pub type Map = serde_json::Map<String, Value>;
