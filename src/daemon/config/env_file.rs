//! The file of `RETORTD_` variables that `--settings` names, in the form that systemd.exec(5) gives `EnvironmentFile=`.
//!
//! A file is read exactly as systemd reads it (since version 254), including what the manual page does not say:
//!
//! * lines end with LF or CR; spaces around names and values are dropped;
//! * a comment begins with `#` or `;` where a name could begin, and nowhere else;
//! * a line without `=` is ignored, with a warning;
//! * a backslash before the end of a line joins the next line to a value, but not to a comment;
//! * before any other character a backslash means that character; in double quotes only before `"`, `\`, `` ` `` and
//!   `$`; in single quotes never;
//! * a value may consist of several quoted parts; characters behind them are taken literally, `#` and quotes included;
//! * of several values of a name the last one is used. An empty value means that the variable is not set.

use crate::daemon::config::files;
use crate::daemon::config::settings_file::SettingsFile;
use crate::daemon::exit_status::Failure;

/// How many characters of an unknown name the error repeats. Chosen: more than the name of any setting has.
const MAX_NAME: usize = 60;

/// A variable of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The line on which it begins, counted from 1.
    pub line: usize,
    /// The name.
    pub name: String,
    /// The value, without quotes.
    pub value: String,
    /// A quote is not closed, so that the value extends to the end of the file.
    pub open_quote: bool,
}

/// The lines that are ignored because they contain no `=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The first of them, counted from 1.
    pub first_line: usize,
    /// The number of them.
    pub count: usize,
}

/// The content of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The variables, each name once.
    pub variables: Vec<Variable>,
    /// Lines without `=`, if there are any.
    pub ignored: Option<Ignored>,
}

/// Reads a file; `None` if it is missing and may be. Only names for which `is_setting` holds are allowed.
///
/// # Errors
/// Those of [`files::read`]; 78 for a line that cannot be used.
pub fn read(file: &SettingsFile, is_setting: impl Fn(&str) -> bool) -> Result<Option<Content>, Failure> {
    let bytes = if file.may_be_missing { files::read_if_exists(&file.path)? } else { Some(files::read(&file.path)?) };
    let content = bytes.map(|bytes| parse(&bytes, is_setting)).transpose();
    content.map_err(|LineError { line, why }| Failure::configuration(format!("{file}:{line}: {why}")))
}

/// Why a line cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct LineError {
    /// Counted from 1.
    pub line: usize,
    /// The reason.
    pub why: String,
}

/// Parses a file, up to the first name that is not a setting: a file of the wrong kind costs neither time nor memory.
///
/// # Errors
/// The first line that cannot be used.
pub fn parse(bytes: &[u8], is_setting: impl Fn(&str) -> bool) -> Result<Content, LineError> {
    let mut text = Text { bytes, at: 0, line: 1 };
    let mut content = Content::default();
    while let Some(first) = text.find_name() {
        let line = text.line;
        let utf8 = |bytes| String::from_utf8(bytes).map_err(|_| LineError { line, why: "not UTF-8".into() });
        let Some(name) = text.name(first) else {
            content.ignored.get_or_insert(Ignored { first_line: line, count: 0 }).count += 1;
            continue;
        };
        let name = utf8(name)?;
        if !is_setting(&name) {
            return Err(LineError { line, why: no_setting(&name) });
        }
        let RawValue { bytes, open_quote } = text.value();
        content.variables.retain(|earlier| earlier.name != name);
        content.variables.push(Variable { line, name, value: utf8(bytes)?, open_quote });
    }
    if text.at < bytes.len() {
        return Err(LineError { line: text.line, why: "a byte is NUL".into() });
    }
    content.variables.retain(|variable| !variable.value.is_empty());
    Ok(content)
}

fn no_setting(name: &str) -> String {
    if name.starts_with('\u{feff}') {
        return "a byte order mark is not part of a name".into();
    }
    if name == "RETORTD_SETTINGS" {
        return format!("{name}: a settings file cannot name another one");
    }
    format!("there is no setting {}", name.chars().take(MAX_NAME).collect::<String>().escape_debug())
}

/// The value of a variable.
struct RawValue {
    /// The value without quotes.
    bytes: Vec<u8>,
    /// A quote in it is not closed.
    open_quote: bool,
}

/// The part of a file that is not parsed yet. A NUL ends it, and makes the file unusable.
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

    /// Skips to the first byte of the next name, and consumes it.
    fn find_name(&mut self) -> Option<u8> {
        loop {
            match self.next()? {
                b'#' | b';' => while self.next().is_some_and(|byte| !is_newline(byte)) {},
                byte if is_space(byte) => {}
                byte => return Some(byte),
            }
        }
    }

    /// The name that begins with `first`, up to the `=`; `None` for a line without `=`.
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

    /// The value behind the `=`.
    fn value(&mut self) -> RawValue {
        let mut value = Vec::new();
        loop {
            match self.next() {
                Some(b'\'') if self.single_quoted(&mut value) => {}
                Some(b'"') if self.double_quoted(&mut value) => {}
                Some(b'\'' | b'"') => return RawValue { bytes: value, open_quote: true },
                Some(byte) if is_newline(byte) => break,
                Some(byte) if is_space(byte) => {}
                Some(byte) => {
                    self.plain(byte, &mut value);
                    break;
                }
                None => break,
            }
        }
        RawValue { bytes: value, open_quote: false }
    }

    /// Appends the text behind an opening `'`; false if the quote is not closed.
    fn single_quoted(&mut self, value: &mut Vec<u8>) -> bool {
        while let Some(byte) = self.next() {
            if byte == b'\'' {
                return true;
            }
            value.push(byte);
        }
        false
    }

    /// Appends the text behind an opening `"`; false if the quote is not closed.
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

    /// Appends unquoted text that begins with `first`, up to the end of the line, without trailing spaces.
    fn plain(&mut self, first: u8, value: &mut Vec<u8>) {
        let mut next = Some(first);
        // the end of the value if only spaces follow
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

    /// Name and value of each variable.
    fn pairs(text: &str) -> Vec<(String, String)> {
        let content = parse(text.as_bytes(), |_| true).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
        content.variables.into_iter().map(|variable| (variable.name, variable.value)).collect()
    }

    /// Each text was also given to systemd's own parser, with these results.
    #[test]
    fn files_are_read_as_systemd_reads_them() {
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
            // text behind quotes, and quotes behind text
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
            // the last value of a name is used; an empty one means not set
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
        assert_eq!(ignored("A=1\nnonsense\n\nagain"), Some(Ignored { first_line: 2, count: 2 }));
        assert_eq!(ignored("A=1\n# nothing\n \n"), None);
    }

    #[test]
    fn errors_name_the_line() {
        let wrong = |bytes: &[u8]| {
            let LineError { line, why } = parse(bytes, |name| name == "A").expect_err("wrong");
            (line, why)
        };
        assert_eq!(wrong(b"A=1\nB=2\n"), (2, "there is no setting B".into()));
        assert_eq!(wrong(b"A=1\nexport A=2\n"), (2, "there is no setting export A".into()));
        assert_eq!(wrong(b"B\x1b=2\n"), (1, "there is no setting B\\u{1b}".into()));
        assert_eq!(wrong(b"\xef\xbb\xbfA=1\n"), (1, "a byte order mark is not part of a name".into()));
        assert_eq!(wrong(b"A=1\nA=\xff\n"), (2, "not UTF-8".into()));
        assert_eq!(wrong(b"\xff=1\n"), (1, "not UTF-8".into()));
        assert_eq!(wrong(b"A=1\n# \0\nA=2\n"), (2, "a byte is NUL".into()));
        let long = wrong(format!("{}=1", "x".repeat(100_000)).as_bytes()).1;
        assert!(long.len() < 100, "{long}");
        // systemd does not check the text of a comment
        assert!(parse(b"# \xff\nA=1\n", |_| true).is_ok());
    }

    #[test]
    fn open_quotes_are_detected() {
        for (text, open) in [("A='1'\n", false), ("A='1\n", true), ("A=\"1\\\"\n", true), ("A=1'\n", false)] {
            let content = parse(text.as_bytes(), |_| true).expect(text);
            assert_eq!(content.variables[0].open_quote, open, "{text:?}");
        }
    }
}
