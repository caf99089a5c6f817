//! The length field in front of a reply.

use crate::client::client_protocol::ReplyFraming;

/// The length of a reply, as far as its first bytes determine it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthField {
    /// The length field has arrived.
    Complete {
        /// Size of the field, in bytes; 0 in protocols without one.
        size: usize,
        /// Length of the body behind it, in bytes; `None` where the body ends with the connection.
        body: Option<usize>,
    },
    /// The field has not arrived in full.
    Incomplete,
    /// These bytes are not a length.
    Invalid,
}

/// The most digits of a decimal length. Derived: 4,294,967,295, the largest 32-bit number, has ten.
const MAX_DIGITS: usize = 10;

/// The longest length field, in bytes: ten digits and a space. That many bytes are never [`LengthField::Incomplete`].
pub const MAX_SIZE: usize = MAX_DIGITS + 1;

/// Parses the length field at the beginning of `bytes`.
#[must_use]
#[inline]
pub fn parse(bytes: &[u8], framing: ReplyFraming) -> LengthField {
    match framing {
        ReplyFraming::Fixed(length) => LengthField::Complete { size: 0, body: Some(length) },
        ReplyFraming::CloseDelimited => LengthField::Complete { size: 0, body: None },
        ReplyFraming::Length32 => match bytes.first_chunk::<4>() {
            Some(&field) => LengthField::Complete { size: 4, body: Some(u32::from_be_bytes(field) as usize) },
            None => LengthField::Incomplete,
        },
        ReplyFraming::DecimalLength => parse_decimal(bytes),
    }
}

fn parse_decimal(bytes: &[u8]) -> LengthField {
    let bytes = &bytes[..bytes.len().min(MAX_SIZE)];
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match bytes.get(digits) {
        Some(b' ') if (1..=MAX_DIGITS).contains(&digits) => {
            let length = bytes[..digits].iter().fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
            LengthField::Complete { size: digits + 1, body: Some(length) }
        }
        None if digits <= MAX_DIGITS => LengthField::Incomplete,
        _ => LengthField::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(size: usize, body: Option<usize>) -> LengthField {
        LengthField::Complete { size, body }
    }

    #[test]
    fn binary_length_is_four_bytes_big_endian() {
        assert_eq!(parse(b"\0\0\x01\x02a", ReplyFraming::Length32), complete(4, Some(258)));
        assert_eq!(parse(b"\0\0\x01", ReplyFraming::Length32), LengthField::Incomplete);
    }

    #[test]
    fn decimal_length_is_one_to_ten_digits_and_a_space() {
        assert_eq!(parse(b"258 a", ReplyFraming::DecimalLength), complete(4, Some(258)));
        assert_eq!(parse(b"9999999999 ", ReplyFraming::DecimalLength), complete(MAX_SIZE, Some(9_999_999_999)));
        for incomplete in ["", "2", "1234567890"] {
            assert_eq!(
                parse(incomplete.as_bytes(), ReplyFraming::DecimalLength),
                LengthField::Incomplete,
                "{incomplete}"
            );
        }
        for invalid in [" 2", "a", "2a", "12345678901", "12345678901 "] {
            assert_eq!(parse(invalid.as_bytes(), ReplyFraming::DecimalLength), LengthField::Invalid, "{invalid}");
        }
    }

    #[test]
    fn framings_without_a_length_field_are_complete_at_once() {
        assert_eq!(parse(b"", ReplyFraming::Fixed(5)), complete(0, Some(5)));
        assert_eq!(parse(b"", ReplyFraming::CloseDelimited), complete(0, None));
    }
}
