//! Bytes as people can read them: escaped, and cut.

use std::fmt::Write as _;

/// The beginning of a long series of bytes, and their number.
#[derive(Clone, Debug, Default)]
pub struct Excerpt {
    /// The first bytes, at most 4096.
    pub head: Vec<u8>,
    /// The number of all bytes.
    pub total: usize,
}

/// Bytes that an excerpt keeps. Chosen: far more than are shown or than a diagnosis looks at, and little memory.
const KEPT: usize = 4096;

/// Bytes that are shown. Chosen: escaped as `\x00` they fill two lines of a terminal.
pub const SHOWN: usize = 40;

impl Excerpt {
    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.total += bytes.len();
    }

    /// The excerpt for people.
    #[must_use]
    pub fn shown(&self) -> String {
        escaped(&self.head, self.total, 0)
    }
}

/// [`SHOWN`] of the bytes from `start` on, escaped. `bytes` may be the beginning of `total` bytes.
#[must_use]
pub fn escaped(bytes: &[u8], total: usize, start: usize) -> String {
    let end = bytes.len().min(start + SHOWN);
    let mut text = String::new();
    if start > 0 {
        let _ = write!(text, "... from byte {start}: ");
    }
    for (index, byte) in bytes[start.min(end)..end].iter().enumerate() {
        match byte {
            // The first byte is often a header's, and a leading space would not be seen.
            b' ' if index == 0 => text.push_str("\\x20"),
            b' '..=b'~' if *byte != b'\\' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    if end < total || start > 0 {
        let _ = write!(text, "... ({total} bytes)");
    }
    if total == 0 { String::from("nothing") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_escaped_and_cut() {
        assert_eq!(escaped(b"\0\x1b[2J\\a\n", 8, 0), "\\x00\\x1b[2J\\x5ca\\x0a");
        assert_eq!(escaped(b" \0\0\x03a b", 7, 0), "\\x20\\x00\\x00\\x03a b");
        let long = vec![b'a'; 100];
        assert_eq!(escaped(&long, 5000, 0), format!("{}... (5000 bytes)", "a".repeat(SHOWN)));
        assert_eq!(escaped(b"", 0, 0), "nothing");
    }

    #[test]
    fn excerpt_keeps_its_head_and_counts_the_rest() {
        let mut excerpt = Excerpt::default();
        for _ in 0..3 {
            excerpt.push(&[b'x'; 3000]);
        }
        assert_eq!((excerpt.head.len(), excerpt.total), (KEPT, 9000));
    }
}
