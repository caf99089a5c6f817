//! The file of `RETORTD_` variables that `--settings` names, in the form that systemd.exec(5) gives `EnvironmentFile=`:
//! `NAME=VALUE` lines, comments with `#` or `;`, values with or without quotes.

use std::path::Path;

use super::failure::Failure;
use super::files;

/// Line number, name and value.
pub type Variable = (usize, String, String);

/// Reads a file: line number, name and value of each variable. Empty values count as not set.
///
/// # Errors
/// What [`files::read`] says, or which line is wrong.
pub fn read(file: &Path) -> Result<Vec<Variable>, Failure> {
    let unusable = |why: &str| Failure::configuration(format!("{}{why}", file.display()));
    let text = String::from_utf8(files::read(file)?).map_err(|_| unusable(": not UTF-8"))?;
    parse(&text).map_err(|(line, why)| unusable(&format!(":{line}: {why}")))
}

fn parse(text: &str) -> Result<Vec<Variable>, (usize, String)> {
    let mut variables = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or_else(|| (number, "not NAME=VALUE".to_string()))?;
        let value = unquote(value.trim()).ok_or_else(|| (number, "a quote is not closed".to_string()))?;
        if !value.is_empty() {
            variables.push((number, name.trim().to_string(), value.to_string()));
        }
    }
    Ok(variables)
}

fn unquote(value: &str) -> Option<&str> {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote) {
            return inner.strip_suffix(quote);
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_what_systemd_reads() {
        let text = "# comment\n; too\n\nRETORTD_PORT=8083\nRETORTD_LISTEN=\"echo=7 time=37\"\nRETORTD_SEED='1'\nRETORTD_LOG=\n";
        let expected = [(4, "RETORTD_PORT", "8083"), (5, "RETORTD_LISTEN", "echo=7 time=37"), (6, "RETORTD_SEED", "1")];
        let expected = expected.iter().map(|(line, name, value)| (*line, name.to_string(), value.to_string()));
        assert_eq!(parse(text), Ok(expected.collect()));
    }

    #[test]
    fn says_which_line_is_wrong() {
        assert_eq!(parse("A=1\nnonsense\n"), Err((2, "not NAME=VALUE".into())));
        assert_eq!(parse("A=\"1\n"), Err((1, "a quote is not closed".into())));
    }
}
