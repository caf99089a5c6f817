//! Lines out of input that arrives in portions.

use std::io::{self, Read};

/// Bytes to read at once. Chosen without tuning: more than the buffer of `std::io::Stdin`, which is bypassed then.
const READ_SIZE: usize = 64 << 10;

/// The input that has been read and not been returned as lines.
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Where to search on for its end.
    searched: usize,
    ended: bool,
    max_line: usize,
}

impl LineBuffer {
    /// An empty buffer for lines of at most `max_line` bytes.
    pub fn new(max_line: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, searched: 0, ended: false, max_line }
    }

    /// Reads once.
    pub fn fill(&mut self, input: &mut impl Read) -> io::Result<()> {
        self.bytes.drain(..self.start);
        (self.start, self.searched) = (0, self.searched - self.start);
        let length = self.bytes.len();
        self.bytes.resize(length + READ_SIZE, 0);
        let read = input.read(&mut self.bytes[length..]);
        self.bytes.truncate(length + read.as_ref().map_or(0, |n| *n));
        self.ended = read? == 0;
        Ok(())
    }

    /// The next line without its newline, if it is complete; the last one may lack its newline.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, String> {
        let start = self.start;
        let newline = self.bytes[self.searched..].iter().position(|&byte| byte == b'\n');
        let end = newline.map_or(self.bytes.len(), |offset| self.searched + offset);
        if end - start > self.max_line {
            return Err(format!("a line has more than {} bytes, the longest request", self.max_line));
        }
        self.searched = end + usize::from(newline.is_some());
        if newline.is_none() && (!self.ended || start == end) {
            return Ok(None);
        }
        self.start = self.searched;
        Ok(Some(&self.bytes[start..end]))
    }

    /// Whether the input has ended, and its last line has been returned.
    pub fn is_complete(&self) -> bool {
        self.ended && self.start == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(input: &[u8], portion: usize) -> Vec<Vec<u8>> {
        let mut buffer = LineBuffer::new(9);
        let mut lines = Vec::new();
        let mut portions = input.chunks(portion);
        while !buffer.is_complete() {
            buffer.fill(&mut portions.next().unwrap_or_default()).unwrap();
            while let Some(line) = buffer.next_line().unwrap() {
                lines.push(line.to_vec());
            }
        }
        lines
    }

    #[test]
    fn last_line_may_lack_its_newline() {
        for portion in 1..5 {
            assert_eq!(lines_of(b"a\n\nbc", portion), [b"a".to_vec(), vec![], b"bc".to_vec()]);
            assert_eq!(lines_of(b"a\n", portion), [b"a".to_vec()]);
        }
    }

    #[test]
    fn a_line_without_end_is_an_error() {
        let mut buffer = LineBuffer::new(9);
        buffer.fill(&mut b"0123456789".as_slice()).unwrap();
        assert!(buffer.next_line().unwrap_err().contains("more than 9 bytes"));
    }
}
