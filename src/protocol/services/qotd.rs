//! `qotd`: one quote, chosen at random, then closes (RFC 865).
//!
//! Quotes come from a file in the form that fortune(6) reads: each ends at a line that is a single `%`, or with the
//! file. This module parses the text of such a file; whoever starts the service reads the file.

use crate::protocol::contract::{CallContext, CloseCause, Exchange, Progress, Protocol};
use std::fmt;
use std::sync::Arc;

use crate::protocol::chunk;
use crate::protocol::settings::ProtocolSettings;
use crate::transform::RandomSource;

/// The most characters of a quote.
pub const LONGEST: usize = 512;

/// A connection.
#[derive(Clone, Debug)]
pub struct Qotd {
    quotes: Arc<[String]>,
}

impl Qotd {
    /// Chooses from the quotes in `settings`.
    #[must_use]
    pub fn new(settings: &ProtocolSettings) -> Self {
        Self { quotes: Arc::clone(&settings.quotes) }
    }
}

impl Protocol for Qotd {
    fn open(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        if !self.quotes.is_empty() {
            let chosen = context.random.next_request().below(self.quotes.len());
            exchange.reply(self.quotes[chosen].as_bytes());
            chunk::count(exchange, "qotd", 0);
        }
        Progress::Close(CloseCause::Complete)
    }

    fn process(&mut self, _exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        Progress::Close(CloseCause::Complete)
    }
}

/// A quote that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuoteError {
    /// The line on which it begins, counted from 1.
    pub line: usize,
    /// How many characters it has.
    pub characters: usize,
}

impl fmt::Display for QuoteError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, characters } = self;
        write!(to, "line {line}: the quote that begins here has {characters} characters, {LONGEST} at most are allowed")
    }
}

impl std::error::Error for QuoteError {}

/// The quotes in the text of a file, in its order. Empty ones are left out.
pub fn parse_quotes(text: &str) -> Result<Vec<String>, QuoteError> {
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

/// The quote of these lines, with a newline at its end where that leaves it short enough.
fn quote(lines: &[&str], line: usize) -> Result<String, QuoteError> {
    let mut quote = lines.join("\n");
    quote.truncate(quote.trim_end().len());
    let characters = quote.chars().count();
    if characters > LONGEST {
        return Err(QuoteError { line, characters });
    }
    if characters < LONGEST {
        quote.push('\n');
    }
    Ok(quote)
}

/// The quotes to serve when there is no file: all of them older than any copyright.
#[must_use]
pub fn built_in() -> Vec<String> {
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
        let fits = "é".repeat(LONGEST);
        assert_eq!(parse_quotes(&format!("{fits}\n%\n")).unwrap(), [fits.as_str()]);
        let error = parse_quotes(&format!("a\n%\n%\n\n\n{fits}é\nb\n%\nc\n")).unwrap_err();
        assert_eq!(error, QuoteError { line: 6, characters: LONGEST + 3 });
        assert!(error.to_string().starts_with("line 6: "));
    }

    #[test]
    fn built_in_quotes_are_short_lines() {
        let quotes = built_in();
        assert!(quotes.len() > 5);
        assert!(quotes.iter().all(|quote| quote.is_ascii() && quote.len() <= LONGEST && quote.ends_with('\n')));
    }
}
