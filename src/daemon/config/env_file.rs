//! The file of `RETORTD_` variables that `--settings` names, in the form that systemd.exec(5) gives `EnvironmentFile=`.
//!
//! Every file means here what it means to systemd (since version 254), down to what the manual page does not say:
//!
//! * lines end with LF or CR; spaces around names and values do not count;
//! * a comment begins with `#` or `;` where a name could begin, and nowhere else;
//! * a line without `=` is ignored, for which there is a remark;
//! * a backslash before the end of a line joins the next line to a value, but not to a comment;
//! * before anything else a backslash stands for that character; in double quotes only before `"`, `\`, `` ` `` and
//!   `$`; in single quotes never;
//! * a value may consist of several quoted parts; behind them come characters as they are, `#` and quotes included;
//! * the last value of a name counts. An empty one counts as not set.

use std::path::Path;

use crate::daemon::config::files;
use crate::daemon::exit_status::Failure;

/// How many characters of a wrong name are repeated in the error. Chosen: more than any setting has.
const LONGEST_NAME: usize = 60;

/// A variable of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The line on which it begins, counted from 1.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Its value, without quotes.
    pub value: String,
    /// A quote is not closed: what follows in the file is part of the value.
    pub open_quote: bool,
}

/// What is in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The variables, each name once.
    pub variables: Vec<Variable>,
    /// The lines that are ignored because they have no `=`: the first, and how many there are.
    pub ignored: Option<(usize, usize)>,
}

/// Reads a file, in which only names are allowed that are a setting.
///
/// # Errors
/// What [`files::read`] says, or which line is wrong.
pub fn read(file: &Path, is_setting: impl Fn(&str) -> bool) -> Result<Content, Failure> {
    parse(&files::read(file)?, is_setting)
        .map_err(|(line, why)| Failure::configuration(format!("{}:{line}: {why}", file.display())))
}

/// The first name that is no setting ends it, so that a file of the wrong kind costs neither time nor memory.
fn parse(bytes: &[u8], is_setting: impl Fn(&str) -> bool) -> Result<Content, (usize, String)> {
    let mut text = Text { bytes, at: 0, line: 1 };
    let mut content = Content::default();
    while let Some(first) = text.find_name() {
        let line = text.line;
        let utf8 = |bytes| String::from_utf8(bytes).map_err(|_| (line, "not UTF-8".to_string()));
        let Some(name) = text.name(first) else {
            let (first, count) = content.ignored.unwrap_or((line, 0));
            content.ignored = Some((first, count + 1));
            continue;
        };
        let name = utf8(name)?;
        if !is_setting(&name) {
            return Err((line, no_setting(&name)));
        }
        let (value, open_quote) = text.value();
        content.variables.retain(|earlier| earlier.name != name);
        content.variables.push(Variable { line, name, value: utf8(value)?, open_quote });
    }
    if text.at < bytes.len() {
        return Err((text.line, "a byte is NUL".into()));
    }
    content.variables.retain(|variable| !variable.value.is_empty());
    Ok(content)
}

fn no_setting(name: &str) -> String {
    if name.starts_with('\u{feff}') {
        return "a byte order mark is no part of a name".into();
    }
    if name == "RETORTD_SETTINGS" {
        return format!("{name}: a settings file cannot name another one");
    }
    format!("there is no setting {}", name.chars().take(LONGEST_NAME).collect::<String>().escape_debug())
}

/// A file while it is read; it ends at a NUL, which makes it unusable.
struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Text<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at).filter(|byte| **byte != 0)?;
        self.at += 1;
        // CR and LF together end one line
        let ends_line = byte == b'\n' || (byte == b'\r' && self.bytes.get(self.at) != Some(&b'\n'));
        self.line += usize::from(ends_line);
        Some(byte)
    }

    /// Goes to the byte with which the next name begins, and over it.
    fn find_name(&mut self) -> Option<u8> {
        loop {
            match self.next()? {
                b'#' | b';' => while self.next().is_some_and(|byte| !is_newline(byte)) {},
                byte if is_space(byte) => {}
                byte => return Some(byte),
            }
        }
    }

    /// The name that begins with `first`, up to the `=`; `None` for a line without one.
    fn name(&mut self, first: u8) -> Option<Vec<u8>> {
        let mut name = vec![first];
        loop {
            match self.next()? {
                b'=' => break,
                byte if is_newline(byte) => return None,
                byte => name.push(byte),
            }
        }
        let end = name.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
        name.truncate(end);
        Some(name)
    }

    /// The value behind the `=`, and whether it ends within quotes.
    fn value(&mut self) -> (Vec<u8>, bool) {
        let mut value = Vec::new();
        loop {
            match self.next() {
                Some(b'\'') if self.single_quoted(&mut value) => {}
                Some(b'"') if self.double_quoted(&mut value) => {}
                Some(b'\'' | b'"') => return (value, true),
                Some(byte) if is_newline(byte) => break,
                Some(byte) if is_space(byte) => {}
                Some(byte) => {
                    self.plain(byte, &mut value);
                    break;
                }
                None => break,
            }
        }
        (value, false)
    }

    /// What is behind the opening quote; false if it is not closed.
    fn single_quoted(&mut self, value: &mut Vec<u8>) -> bool {
        while let Some(byte) = self.next() {
            if byte == b'\'' {
                return true;
            }
            value.push(byte);
        }
        false
    }

    /// What is behind the opening quote; false if it is not closed.
    fn double_quoted(&mut self, value: &mut Vec<u8>) -> bool {
        while let Some(byte) = self.next() {
            match byte {
                b'"' => return true,
                b'\\' => match self.next() {
                    Some(b'\n') | None => {}
                    Some(special @ (b'"' | b'\\' | b'`' | b'$')) => value.push(special),
                    Some(other) => value.extend([b'\\', other]),
                },
                byte => value.push(byte),
            }
        }
        false
    }

    /// What begins with `first` and is not quoted, to the end of the line and without the spaces before that.
    fn plain(&mut self, first: u8, value: &mut Vec<u8>) {
        let mut next = Some(first);
        // where the value ends if nothing but spaces follows
        let mut end = value.len();
        while let Some(byte) = next.filter(|byte| !is_newline(*byte)) {
            if byte == b'\\' {
                value.extend(self.next().filter(|byte| !is_newline(*byte)));
            } else {
                value.push(byte);
            }
            if byte == b'\\' || !is_space(byte) {
                end = value.len();
            }
            next = self.next();
        }
        value.truncate(end);
    }
}

fn is_newline(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and value of all variables.
    fn pairs(text: &str) -> Vec<(String, String)> {
        let content = parse(text.as_bytes(), |_| true).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
        content.variables.into_iter().map(|variable| (variable.name, variable.value)).collect()
    }

    /// What systemd makes of a text; the first column was compared with its own parser.
    #[test]
    fn reads_what_systemd_reads() {
        let table: &[(&str, &[(&str, &str)])] = &[
            // lines and spaces
            ("", &[]),
            ("A=1", &[("A", "1")]),
            ("A=1\n\nB=2\n", &[("A", "1"), ("B", "2")]),
            ("A=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")]),
            ("A=1\rB=2", &[("A", "1"), ("B", "2")]),
            (" \tA \t= \t1 2 \t\nB=2", &[("A", "1 2"), ("B", "2")]),
            ("A=b=c\n", &[("A", "b=c")]),
            ("=A=1\n", &[("=A", "1")]),
            ("export A=1\n", &[("export A", "1")]),
            // comments, and lines without "="
            ("# A=1\n; B=2\n  # C=3\nD=4\n", &[("D", "4")]),
            ("# C=1 \\\nA=1\n", &[("A", "1")]),
            ("A=1 # one\nB=a;b\n", &[("A", "1 # one"), ("B", "a;b")]),
            ("nonsense\nA=1\nA", &[("A", "1")]),
            // continued lines
            ("A=\\\n1\n", &[("A", "1")]),
            ("A=1\\\n2\\\n3\nB=4\n", &[("A", "123"), ("B", "4")]),
            ("A=1 \\\n 2\n", &[("A", "1  2")]),
            ("A=\\\n  1\n", &[("A", "  1")]),
            ("A=1\\\r\nB=2\n", &[("A", "1"), ("B", "2")]),
            ("A=1\\", &[("A", "1")]),
            ("A=1 \\", &[("A", "1 ")]),
            // backslashes
            ("A=\\a\\ \\\\\n", &[("A", "a \\")]),
            ("A=1\\ \n", &[("A", "1 ")]),
            ("A=\\\"1\n", &[("A", "\"1")]),
            ("A\\=1\n", &[("A\\", "1")]),
            // single quotes
            ("A='1'\n", &[("A", "1")]),
            ("A=' 1 '\n", &[("A", " 1 ")]),
            ("A='\\n\\'\n", &[("A", "\\n\\")]),
            ("A='1\n2'\nB=3\n", &[("A", "1\n2"), ("B", "3")]),
            // double quotes
            ("A=\"1\"\n", &[("A", "1")]),
            ("A=\"# ;\"\n", &[("A", "# ;")]),
            ("A=\"\\\"\\\\\\`\\$\\n\"\n", &[("A", "\"\\`$\\n")]),
            ("A=\"1\\\n2\"\n", &[("A", "12")]),
            ("A=\"1\\\r\n2\"\n", &[("A", "1\\\r\n2")]),
            ("A=\"1\n2\"\nB=3\n", &[("A", "1\n2"), ("B", "3")]),
            // what is behind quotes, and quotes behind something
            ("A=\"1\"'2' \"3\"\n", &[("A", "123")]),
            ("A=\"1\" # one\n", &[("A", "1# one")]),
            ("A='1 '  \n", &[("A", "1 ")]),
            ("A='1 ' x \n", &[("A", "1 x")]),
            ("A='1'\\\n2\n", &[("A", "12")]),
            ("A=1\"2\"\n", &[("A", "1\"2\"")]),
            ("A=it's\n", &[("A", "it's")]),
            // a quote that is not closed
            ("A=\"1", &[("A", "1")]),
            ("A='1\nB=2\n", &[("A", "1\nB=2\n")]),
            ("A=\"1\\", &[("A", "1")]),
            // the last value of a name counts; here an empty one is none
            ("A=1\nB=2\nA=3\n", &[("B", "2"), ("A", "3")]),
            ("A=1\nA=\n", &[]),
            ("A=\nB=''\nC=\"\"\n", &[]),
        ];
        for (text, expected) in table {
            let expected: Vec<_> = expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            assert_eq!(pairs(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        for text in ["\n\nA=1\n", "B=1\\\n2\nA=1\n", "B='\n'\nA=1", "\r\n\r\nA=1\r\n", "\r\rA=1", "# \\\n#\nA=1"] {
            let content = parse(text.as_bytes(), |_| true).expect(text);
            assert_eq!(content.variables.last().map(|variable| variable.line), Some(3), "{text:?}");
        }
        let ignored = |text: &str| parse(text.as_bytes(), |_| true).expect(text).ignored;
        assert_eq!(ignored("A=1\nnonsense\n\nagain"), Some((2, 2)));
        assert_eq!(ignored("A=1\n# nothing\n \n"), None);
    }

    #[test]
    fn says_which_line_is_wrong() {
        let wrong = |bytes: &[u8]| parse(bytes, |name| name == "A").expect_err("wrong");
        assert_eq!(wrong(b"A=1\nB=2\n"), (2, "there is no setting B".into()));
        assert_eq!(wrong(b"A=1\nexport A=2\n"), (2, "there is no setting export A".into()));
        assert_eq!(wrong(b"B\x1b=2\n"), (1, "there is no setting B\\u{1b}".into()));
        assert_eq!(wrong(b"\xef\xbb\xbfA=1\n"), (1, "a byte order mark is no part of a name".into()));
        assert_eq!(wrong(b"A=1\nA=\xff\n"), (2, "not UTF-8".into()));
        assert_eq!(wrong(b"\xff=1\n"), (1, "not UTF-8".into()));
        assert_eq!(wrong(b"A=1\n# \0\nA=2\n"), (2, "a byte is NUL".into()));
        let long = wrong(format!("{}=1", "x".repeat(100_000)).as_bytes()).1;
        assert!(long.len() < 100, "{long}");
        // systemd does not look at what is in a comment
        assert!(parse(b"# \xff\nA=1\n", |_| true).is_ok());
    }

    #[test]
    fn an_open_quote_is_known() {
        for (text, open) in [("A='1'\n", false), ("A='1\n", true), ("A=\"1\\\"\n", true), ("A=1'\n", false)] {
            let content = parse(text.as_bytes(), |_| true).expect(text);
            assert_eq!(content.variables[0].open_quote, open, "{text:?}");
        }
    }
}
