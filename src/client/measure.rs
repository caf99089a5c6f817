//! How long an answer says that it is. Pure: looks at bytes and keeps nothing.

use super::client_protocol::ReplyFraming;

/// What the beginning of an answer says about its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The answer has `length` bytes, and the first of them is byte `start`.
    Known {
        /// How many bytes tell the length.
        start: usize,
        /// How many bytes follow.
        length: usize,
    },
    /// The bytes that tell the length have not all come.
    Unknown,
    /// These bytes are not a length.
    Nonsense,
}

/// The most digits of a decimal length: those of the largest number that 32 bits hold. More digits are no length of a
/// message.
const MOST_DIGITS: usize = 10;

/// The length of the answer that begins with these bytes, in a protocol whose answers tell it.
#[must_use]
pub fn measure(bytes: &[u8], framing: ReplyFraming) -> Measure {
    match framing {
        ReplyFraming::Fixed(length) => Measure::Known { start: 0, length },
        ReplyFraming::CloseDelimited => Measure::Nonsense,
        ReplyFraming::Length32 => match bytes.first_chunk::<4>() {
            Some(&header) => Measure::Known { start: 4, length: u32::from_be_bytes(header) as usize },
            None => Measure::Unknown,
        },
        ReplyFraming::DecimalLength => decimal(bytes),
    }
}

fn decimal(bytes: &[u8]) -> Measure {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match bytes.get(digits) {
        Some(b' ') if (1..=MOST_DIGITS).contains(&digits) => {
            let length = bytes[..digits].iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0'));
            Measure::Known { start: digits + 1, length }
        }
        None if digits <= MOST_DIGITS => Measure::Unknown,
        _ => Measure::Nonsense,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_in_four_bytes_or_in_digits() {
        assert_eq!(measure(b"\0\0\x01\x02a", ReplyFraming::Length32), Measure::Known { start: 4, length: 258 });
        assert_eq!(measure(b"\0\0\x01", ReplyFraming::Length32), Measure::Unknown);
        assert_eq!(measure(b"258 a", ReplyFraming::DecimalLength), Measure::Known { start: 4, length: 258 });
        for unknown in ["", "2", "1234567890"] {
            assert_eq!(measure(unknown.as_bytes(), ReplyFraming::DecimalLength), Measure::Unknown, "{unknown}");
        }
        for nonsense in [" 2", "a", "2a", "12345678901", "12345678901 "] {
            assert_eq!(measure(nonsense.as_bytes(), ReplyFraming::DecimalLength), Measure::Nonsense, "{nonsense}");
        }
        assert_eq!(measure(b"", ReplyFraming::Fixed(5)), Measure::Known { start: 0, length: 5 });
        assert_eq!(measure(b"a", ReplyFraming::CloseDelimited), Measure::Nonsense);
    }
}
