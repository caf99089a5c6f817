//! The quotes that qotd chooses from: a file, or the few that are built in.

use std::path::Path;
use std::sync::Arc;

use crate::daemon::config::files;
use crate::daemon::exit_status::Failure;
use crate::protocol::services::qotd;

/// Loads them.
///
/// # Errors
/// What [`files::read`] says; 78: a line of the file cannot be used.
pub fn load(file: Option<&Path>) -> Result<Arc<[String]>, Failure> {
    let Some(file) = file else { return Ok(qotd::built_in().into()) };
    let text = String::from_utf8(files::read(file)?)
        .map_err(|_| Failure::configuration(format!("cannot use {}: it is not UTF-8", file.display())))?;
    let quotes = qotd::parse_quotes(&text)
        .map_err(|error| Failure::configuration(format!("cannot use {}: {error}", file.display())))?;
    Ok(quotes.into())
}
