//! Replies as text that is safe to show on a terminal.
//!
//! A reply can have control characters, which a terminal would execute: colours, cursor movements, a new window title.
//! They are shown as escapes, as are bytes that are not UTF-8; printable characters are unchanged.

use std::fmt::Write as _;

/// The control characters that a terminal gets unescaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unescaped {
    /// None: the text is one line.
    Nothing,
    /// Tabs and the ends of lines (`\n`, `\r\n`): the text is a document.
    Layout,
}

/// Escapes a text that arrives in portions.
#[derive(Debug)]
pub struct Escaper {
    unescaped: Unescaped,
    /// The end of the last portion, which depends on what follows: a part of a character, or `\r`.
    rest: Vec<u8>,
}

impl Escaper {
    /// An escaper at the beginning of a text.
    pub fn new(unescaped: Unescaped) -> Self {
        Self { unescaped, rest: Vec::new() }
    }

    /// The next portion, escaped.
    pub fn portion(&mut self, portion: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(portion);
        let complete = bytes.len() - open_end(&bytes);
        self.rest = bytes.split_off(complete);
        self.escape(&bytes)
    }

    /// What was kept of the last portion, escaped.
    pub fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.rest);
        self.escape(&rest)
    }

    fn escape(&self, bytes: &[u8]) -> String {
        let mut escaped = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            let mut characters = chunk.valid().chars().peekable();
            while let Some(character) = characters.next() {
                if self.is_shown(character, characters.peek()) {
                    escaped.push(character);
                } else if character.is_ascii() {
                    escaped.extend(std::ascii::escape_default(character as u8).map(char::from));
                } else {
                    escaped.extend(character.escape_unicode());
                }
            }
            for byte in chunk.invalid() {
                // writing to a String does not fail
                let _ = write!(escaped, "\\x{byte:02x}");
            }
        }
        escaped
    }

    fn is_shown(&self, character: char, next: Option<&char>) -> bool {
        match character {
            '\n' | '\t' => self.unescaped == Unescaped::Layout,
            '\r' => self.unescaped == Unescaped::Layout && next == Some(&'\n'),
            _ => !character.is_control(),
        }
    }
}

/// The number of bytes at the end that may belong together with bytes that follow.
fn open_end(bytes: &[u8]) -> usize {
    if bytes.last() == Some(&b'\r') {
        return 1;
    }
    match bytes.utf8_chunks().last() {
        Some(chunk) if std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none()) => {
            chunk.invalid().len()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(unescaped: Unescaped, text: &[u8]) -> String {
        let mut escaper = Escaper::new(unescaped);
        escaper.portion(text) + &escaper.finish()
    }

    #[test]
    fn control_characters_and_invalid_bytes_are_escaped() {
        let (line, layout) = (Unescaped::Nothing, Unescaped::Layout);
        for (text, in_line, in_document) in [
            (b"h\xc3\xa9llo \\".as_slice(), "h\u{e9}llo \\", "h\u{e9}llo \\"),
            (b"\x1b[2J\x07\x7f", r"\x1b[2J\x07\x7f", r"\x1b[2J\x07\x7f"),
            (b"\xc2\x9b2J", r"\u{9b}2J", r"\u{9b}2J"),
            (b"a\xff\xc3", r"a\xff\xc3", r"a\xff\xc3"),
            (b"a\tb\n", r"a\tb\n", "a\tb\n"),
            (b"a\r\nb\rc\r", r"a\r\nb\rc\r", "a\r\nb\\rc\\r"),
        ] {
            assert_eq!(whole(line, text), in_line);
            assert_eq!(whole(layout, text), in_document);
        }
    }

    #[test]
    fn portions_do_not_change_the_text() {
        let text = b"\xe2\x82\xac\r\n\xf0\x9f\x98\x80 \xe2\x82 \r\r\n\xf0\x9f\x98".as_slice();
        let expected = whole(Unescaped::Layout, text);
        assert_eq!(expected, "\u{20ac}\r\n\u{1f600} \\xe2\\x82 \\r\r\n\\xf0\\x9f\\x98");
        for size in 1..text.len() {
            let mut escaper = Escaper::new(Unescaped::Layout);
            let mut escaped: String = text.chunks(size).map(|portion| escaper.portion(portion)).collect();
            escaped.push_str(&escaper.finish());
            assert_eq!(escaped, expected, "{size}");
        }
    }
}
