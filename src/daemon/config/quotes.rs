//! The quotes that qotd chooses from: a file, or the built-in ones.
//!
//! The file has the form that fortune(6) reads: a quote ends at a line that is a single `%`, or with the file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::daemon::config::files;
use crate::daemon::exit_status::Failure;

/// The longest quote, in characters (RFC 865).
const MAX_CHARACTERS: usize = 512;

/// Reads the quotes of `file`; `None` loads the built-in ones.
///
/// # Errors
/// Those of `files::read`; exit status 78 if the file is not UTF-8 or a quote is too long.
pub fn load(file: Option<&Path>) -> Result<Arc<[String]>, Failure> {
    let Some(file) = file else { return Ok(built_in().into()) };
    let text = String::from_utf8(files::read(file)?)
        .map_err(|_| Failure::configuration(format!("cannot use {}: it is not UTF-8", file.display())))?;
    let quotes = parse_quotes(&text)
        .map_err(|error| Failure::configuration(format!("cannot use {}: {error}", file.display())))?;
    Ok(quotes.into())
}

/// A quote that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct QuoteError {
    /// The line on which the quote begins, counted from 1.
    line: usize,
    /// Its length, in characters.
    characters: usize,
}

impl fmt::Display for QuoteError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, characters } = self;
        write!(
            to,
            "line {line}: the quote that begins here has {characters} characters, {MAX_CHARACTERS} at most are allowed"
        )
    }
}

impl std::error::Error for QuoteError {}

/// The quotes in the text of a file, in its order, without empty ones.
fn parse_quotes(text: &str) -> Result<Vec<String>, QuoteError> {
    let lines: Vec<&str> = text.lines().collect();
    let mut quotes = Vec::new();
    let mut line = 1;
    for block in lines.split(|line| *line == "%") {
        let blank = block.iter().take_while(|line| line.trim().is_empty()).count();
        if blank < block.len() {
            quotes.push(quote(&block[blank..], line + blank)?);
        }
        line += block.len() + 1;
    }
    Ok(quotes)
}

/// Joins the lines of a quote, the first of which is `line` of the file. A newline ends it, unless that would make it
/// too long.
fn quote(lines: &[&str], line: usize) -> Result<String, QuoteError> {
    let mut quote = lines.join("\n");
    quote.truncate(quote.trim_end().len());
    let characters = quote.chars().count();
    if characters > MAX_CHARACTERS {
        return Err(QuoteError { line, characters });
    }
    if characters < MAX_CHARACTERS {
        quote.push('\n');
    }
    Ok(quote)
}

/// The quotes without a file. All are out of copyright.
fn built_in() -> Vec<String> {
    parse_quotes(BUILT_IN).unwrap_or_default()
}

const BUILT_IN: &str = "\
Brevity is the soul of wit.
    William Shakespeare, Hamlet
%
Knowledge is power.
    Francis Bacon, Meditationes Sacrae
%
If I have seen further it is by standing on the shoulders of giants.
    Isaac Newton, letter to Robert Hooke
%
A little learning is a dangerous thing.
    Alexander Pope, An Essay on Criticism
%
It is a capital mistake to theorize before one has data.
    Arthur Conan Doyle, A Scandal in Bohemia
%
A foolish consistency is the hobgoblin of little minds.
    Ralph Waldo Emerson, Self-Reliance
%
Begin at the beginning, and go on till you come to the end: then stop.
    Lewis Carroll, Alice's Adventures in Wonderland
%
I have made this longer than usual, only because I have not had the time
to make it shorter.
    Blaise Pascal, Lettres provinciales
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_end_at_a_single_percent_sign() {
        let text = "one\n  two\n%\n\n\nthree %\n%%\n\n%\n%\n \n%\r\nfour\r\nfive\r\n";
        assert_eq!(parse_quotes(text).unwrap(), ["one\n  two\n", "three %\n%%\n", "four\nfive\n"]);
        assert_eq!(parse_quotes("").unwrap(), [""; 0]);
    }

    #[test]
    fn long_quotes_are_refused_by_line_and_counted_in_characters() {
        let fits = "é".repeat(MAX_CHARACTERS);
        assert_eq!(parse_quotes(&format!("{fits}\n%\n")).unwrap(), [fits.as_str()]);
        let error = parse_quotes(&format!("a\n%\n%\n\n\n{fits}é\nb\n%\nc\n")).unwrap_err();
        assert_eq!(error, QuoteError { line: 6, characters: MAX_CHARACTERS + 3 });
        assert!(error.to_string().starts_with("line 6: "));
    }

    #[test]
    fn built_in_quotes_are_short_lines() {
        let quotes = built_in();
        assert!(quotes.len() > 5);
        assert!(quotes.iter().all(|quote| quote.is_ascii() && quote.len() <= MAX_CHARACTERS && quote.ends_with('\n')));
    }
}
