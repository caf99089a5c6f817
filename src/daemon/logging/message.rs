//! What a line of the log says: a text, and key-value pairs with the same facts for programs. Both are free of control
//! characters, so that no input of a client can forge a line, a pair, or an escape sequence of a terminal.
//!
//! Text and pairs are in one string, so that a line needs one allocation: behind the text each pair is [`PAIR`], its
//! key, [`TEXT`] or [`LITERAL`], and its value. These characters cannot occur in the text, in a key or in a value.

use std::fmt::{self, Display, Write};

use log::kv::{self, Key, Source, VisitSource, VisitValue};

/// The maximum length of the text of a message, and of a JSON object, in bytes. Derived: RFC 3164 section 4.1 allows
/// 1024 with the header of the system log.
pub const MAX_LINE: usize = 900;
/// The maximum length of a text in a pair, in bytes. Chosen: more than the longest client, two IPv6 addresses with
/// their ports (`[…]:65535 via […]:65535`: 98 bytes).
const MAX_VALUE: usize = 128;
/// The maximum length of all pairs, in bytes; those that do not fit are left out. Chosen: more than a line about a
/// connection ever needs (290), and so little that a JSON object has room for them if each byte is escaped by another
/// one.
const MAX_PAIRS: usize = 400;
/// The capacity of the string in which a message is written, in bytes. Chosen: fits most lines about a request, without
/// pairs.
const INITIAL_CAPACITY: usize = 96;

/// Begins a pair.
const PAIR: char = '\n';
/// Between a key and its text.
const TEXT: char = '\t';
/// Between a key and its literal.
const LITERAL: char = '\r';

/// The message of a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Message(Box<str>);

/// The value of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A finite number or a truth value, as JSON writes it.
    Literal(&'a str),
}

impl Message {
    /// A message without pairs: control characters are escaped, and what exceeds [`MAX_LINE`] is cut.
    #[must_use]
    pub fn new(text: impl Display) -> Self {
        Self(clean(text).into())
    }

    /// A message with pairs, as far as there is room for them ([`MAX_PAIRS`]). A pair without a value is left out.
    #[must_use]
    pub fn with_pairs(text: impl Display, pairs: &dyn Source) -> Self {
        let mut message = clean(text);
        let end = message.len() + MAX_PAIRS;
        // the collector reports no error
        let _ = pairs.visit(&mut Collector { message: &mut message, end });
        Self(message.into())
    }

    /// The text for people.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.split(PAIR).next().unwrap_or_default()
    }

    /// The pairs, in the order in which they were added.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.0.split(PAIR).skip(1).filter_map(|pair| match pair.split_once(TEXT) {
            Some((key, text)) => Some((key, Value::Text(text))),
            None => pair.split_once(LITERAL).map(|(key, literal)| (key, Value::Literal(literal))),
        })
    }

    /// The length of text and pairs, in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.0.len()
    }
}

impl Value<'_> {
    /// The value without its type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(value) | Self::Literal(value) => value,
        }
    }
}

/// A text without control characters, of at most [`MAX_LINE`] bytes and an ellipsis.
fn clean(text: impl Display) -> String {
    let mut message = String::with_capacity(INITIAL_CAPACITY);
    append_clean(&mut message, MAX_LINE, text);
    message
}

/// Appends `text` without control characters; what exceeds `limit` bytes is cut.
fn append_clean(out: &mut String, limit: usize, text: impl Display) {
    let end = out.len() + limit;
    // fails where the text is cut
    let _ = write!(Cleaner { out, end, is_cut: false }, "{text}");
}

/// Escapes control characters, and cuts what follows `end`.
struct Cleaner<'a> {
    out: &'a mut String,
    end: usize,
    is_cut: bool,
}

impl Write for Cleaner<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.is_cut {
                return Err(fmt::Error);
            }
            if self.out.len() >= self.end {
                self.out.push_str("...");
                self.is_cut = true;
            } else if character.is_control() {
                self.out.extend(character.escape_default());
            } else {
                self.out.push(character);
            }
        }
        Ok(())
    }
}

/// Appends pairs to a message, up to `end`.
struct Collector<'a> {
    message: &'a mut String,
    end: usize,
}

impl<'kvs> VisitSource<'kvs> for Collector<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let before = self.message.len();
        self.message.push(PAIR);
        append_clean(self.message, MAX_VALUE, key);
        let mut writer = ValueWriter { out: self.message, has_value: false };
        value.visit(&mut writer)?;
        if !writer.has_value || self.message.len() > self.end {
            self.message.truncate(before);
        }
        Ok(())
    }
}

/// Appends the value of a pair.
struct ValueWriter<'a> {
    out: &'a mut String,
    has_value: bool,
}

impl ValueWriter<'_> {
    fn write(&mut self, kind: char, value: impl Display) {
        self.out.push(kind);
        append_clean(self.out, MAX_VALUE, value);
        self.has_value = true;
    }
}

impl VisitValue<'_> for ValueWriter<'_> {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        self.write(TEXT, value);
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.write(LITERAL, value);
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.write(LITERAL, value);
        Ok(())
    }

    /// JSON has no infinity and no NaN. The form with an exponent, which `{:?}` chooses for very large and very small
    /// numbers, is always short enough.
    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        if value.is_finite() {
            self.write(LITERAL, format_args!("{value:?}"));
        }
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.write(LITERAL, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::kv::ToValue;
    use proptest::prelude::*;

    fn with_pairs(text: &str, pairs: &[(&str, kv::Value<'_>)]) -> Message {
        Message::with_pairs(text, &pairs)
    }

    #[test]
    fn control_characters_are_escaped_and_long_messages_cut() {
        let escaped = Message::new("a\nb\u{1b}[2J\0\r\u{9b}é");
        assert_eq!(escaped.text(), "a\\nb\\u{1b}[2J\\u{0}\\r\\u{9b}é");
        let long = Message::new("é".repeat(10_000));
        assert!(long.text().len() <= MAX_LINE + 5 && long.text().ends_with("..."), "{}", long.text().len());
        assert_eq!(Message::new("x".repeat(MAX_LINE)).text(), "x".repeat(MAX_LINE));
    }

    /// Some implementations of `Display` go on writing after an error.
    #[test]
    fn message_is_cut_once() {
        let mut out = String::new();
        let mut cleaner = Cleaner { out: &mut out, end: 2, is_cut: false };
        assert_eq!(cleaner.write_str("abc"), Ok(()));
        assert_eq!(cleaner.write_str("de"), Err(fmt::Error));
        assert_eq!(out, "ab...");
    }

    #[test]
    fn pairs_keep_their_order_and_type_and_those_without_value_are_left_out() {
        let pairs = [
            ("listener", "frame".to_value()),
            ("none", None::<&str>.to_value()),
            ("bytes_in", u64::MAX.to_value()),
            ("offset", (-1).to_value()),
            ("duration", 0.25.to_value()),
            ("rate", f64::NAN.to_value()),
            ("whole", true.to_value()),
            ("peer", "a\nb".to_value()),
        ];
        let message = with_pairs("text", &pairs);
        let expect = [
            ("listener", Value::Text("frame")),
            ("bytes_in", Value::Literal("18446744073709551615")),
            ("offset", Value::Literal("-1")),
            ("duration", Value::Literal("0.25")),
            ("whole", Value::Literal("true")),
            ("peer", Value::Text("a\\nb")),
        ];
        assert_eq!((message.text(), message.pairs().collect::<Vec<_>>()), ("text", expect.to_vec()));
    }

    #[test]
    fn long_values_are_cut_and_pairs_beyond_the_limit_left_out() {
        let (exact, long) = ("x".repeat(MAX_VALUE), "x".repeat(MAX_VALUE + 1));
        let pairs = [("first", long.to_value()), ("second", exact.to_value()), ("third", exact.to_value())];
        let message = with_pairs("text", &pairs);
        let expect = [("first", format!("{exact}...")), ("second", exact.clone())];
        let pairs: Vec<_> = message.pairs().map(|(key, value)| (key, value.as_str().to_string())).collect();
        assert_eq!(pairs, expect);
        let room = MAX_PAIRS - 2 * (2 + 6 + MAX_VALUE) - 2 - 5;
        let fits = |length: usize| {
            let last = "x".repeat(length);
            let pairs = [("second", exact.to_value()), ("eighth", exact.to_value()), ("third", last.to_value())];
            with_pairs("", &pairs).pairs().count() == 3
        };
        assert!(fits(room) && !fits(room + 1));
    }

    proptest! {
        #[test]
        fn no_text_and_no_value_adds_a_pair(text in any::<String>(), value in any::<String>()) {
            let message = with_pairs(&text, &[("peer", value.to_value()), ("requests", 5.to_value())]);
            prop_assert!(!message.text().contains(char::is_control));
            let pairs: Vec<_> = message.pairs().collect();
            prop_assert_eq!(pairs.len(), 2);
            prop_assert_eq!((pairs[0].0, pairs[1]), ("peer", ("requests", Value::Literal("5"))));
            prop_assert!(matches!(pairs[0].1, Value::Text(value) if !value.contains(char::is_control)));
        }
    }
}
