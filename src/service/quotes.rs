//! The quotes that qotd chooses from: a file, or the few that are built in.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::failure::Failure;
use crate::protocol::qotd;

/// Loads them.
///
/// # Errors
/// 78: the file cannot be read, or a line of it cannot be used.
pub fn load(file: Option<&Path>) -> Result<Arc<[String]>, Failure> {
    let Some(file) = file else { return Ok(qotd::built_in().into()) };
    let bytes = fs::read(file);
    let bytes = bytes.map_err(|error| Failure::configuration(format!("cannot read {}: {error}", file.display())))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::configuration(format!("cannot use {}: it is not UTF-8", file.display())))?;
    let quotes = qotd::parse_quotes(&text)
        .map_err(|error| Failure::configuration(format!("cannot use {}: {error}", file.display())))?;
    Ok(quotes.into())
}
