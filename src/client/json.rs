//! JSON values, for `--json`.

pub use serde_json::{Value, json};
