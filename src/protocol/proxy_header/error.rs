//! Why bytes are no header.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

use super::header::{MAX_HEADER, MAX_LINE};

/// What is wrong with a header. Its text contains no byte of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Neither version begins like this.
    Start,
    /// Version 1: another word than `TCP4`, `TCP6` and `UNKNOWN`.
    Protocol,
    /// Version 1: not an IPv4 address.
    Ipv4Address,
    /// Version 1: not an IPv6 address.
    Ipv6Address,
    /// Version 1: not a port.
    Port,
    /// Version 1: an address or a port is missing.
    MissingField,
    /// Version 1: something follows the ports.
    ExtraField,
    /// Version 1: CR or LF alone.
    LineEnd,
    /// Version 1: no CRLF within the longest line.
    LongLine,
    /// Version 2: another version behind the signature.
    Version,
    /// Version 2: another command than `LOCAL` and `PROXY`.
    Command,
    /// Version 2: an unassigned address family.
    Family,
    /// Version 2: an unassigned transport protocol.
    Transport,
    /// Version 2: longer than [`MAX_HEADER`].
    TooLong,
    /// Version 2: the length does not include the addresses.
    TooShort,
    /// Version 2: the TLVs do not add up to the length.
    Tlv,
    /// Version 2: the TLV of the checksum does not have 4 bytes.
    ChecksumLength,
    /// Version 2: two checksums.
    TwoChecksums,
    /// Version 2: the checksum is wrong.
    Checksum,
}

impl Display for HeaderError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Start => "no PROXY header begins with these bytes",
            Self::Protocol => "the protocol is not TCP4, TCP6 or UNKNOWN",
            Self::Ipv4Address => "an address of TCP4 is not four decimal numbers from 0 to 255 without leading zeros",
            Self::Ipv6Address => "an address of TCP6 is not an IPv6 address",
            Self::Port => "a port is not a decimal number from 0 to 65535 without leading zeros",
            Self::MissingField => "the line ends before the second port",
            Self::ExtraField => "the line does not end behind the second port",
            Self::LineEnd => "the line does not end with CRLF",
            Self::LongLine => return write!(f, "the line is longer than {MAX_LINE} bytes"),
            Self::Version => "the version behind the signature is not 2",
            Self::Command => "the command is neither LOCAL nor PROXY",
            Self::Family => "the address family is unassigned",
            Self::Transport => "the transport protocol is unassigned",
            Self::TooLong => return write!(f, "the header is longer than {MAX_HEADER} bytes"),
            Self::TooShort => "the length is too small for the addresses",
            Self::Tlv => "the lengths of the TLVs do not add up to the length of the header",
            Self::ChecksumLength => "the checksum does not have 4 bytes",
            Self::TwoChecksums => "the header has two checksums",
            Self::Checksum => "the checksum is wrong",
        };
        f.write_str(text)
    }
}

impl Error for HeaderError {}
