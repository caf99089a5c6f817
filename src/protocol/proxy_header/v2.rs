//! Version 2: a signature, four bytes of type and length, the addresses, and TLVs.

use core::net::{IpAddr, SocketAddr};

use crc::{CRC_32_ISCSI, Crc};

use super::error::HeaderError;
use super::header::{MAX_HEADER, Parsed, ProxyHeader, Version};

/// How every header begins.
pub const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2 and the command `LOCAL`.
pub const LOCAL: u8 = 0x20;
/// Version 2 and the command `PROXY`.
pub const PROXY: u8 = 0x21;
/// TCP over IPv4.
pub const TCP4: u8 = 0x11;
/// TCP over IPv6.
pub const TCP6: u8 = 0x21;
/// The type of the TLV with the checksum.
pub const CHECKSUM: u8 = 0x03;
/// The length of the checksum, in bytes.
pub const CHECKSUM_LENGTH: usize = 4;

/// CRC32C, the checksum of RFC 4960, Appendix B.
static CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Bytes before the addresses.
const FIXED: usize = 16;

/// Reads the header at the start of `bytes`, which begin with [`SIGNATURE`]. A call reads no more than the 16 bytes
/// before the addresses while the header is incomplete.
///
/// # Errors
/// The version, command, family, transport or length is not accepted; or the header is complete, and its TLVs or its
/// checksum are wrong.
pub fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let Some(layout) = layout(&bytes[SIGNATURE.len()..])? else { return Ok(Parsed::Incomplete) };
    let Some(&[high, low]) = bytes.get(FIXED - 2..FIXED).and_then(<[u8]>::first_chunk) else {
        return Ok(Parsed::Incomplete);
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_HEADER {
        return Err(HeaderError::TooLong);
    }
    if length < FIXED + layout.addresses() {
        return Err(HeaderError::TooShort);
    }
    let Some(header) = bytes.get(..length) else { return Ok(Parsed::Incomplete) };
    Ok(Parsed::Complete { header: read(header, layout)?, version: Version::V2, length })
}

/// What follows the 16 bytes.
#[derive(Clone, Copy)]
enum Layout {
    /// Bytes without a meaning: with `LOCAL` the specification has the receiver discard them, whatever the family is,
    /// and the addresses of an unspecified family have no length. So nothing is known about TLVs, or about a checksum.
    Unspecified,
    /// Addresses of a client of TCP over IPv4.
    Tcp4,
    /// Addresses of a client of TCP over IPv6.
    Tcp6,
    /// This many bytes of addresses of a client that has no TCP address: datagrams and Unix sockets.
    Other(usize),
}

impl Layout {
    /// The length of the addresses, in bytes.
    fn addresses(self) -> usize {
        match self {
            Self::Unspecified => 0,
            Self::Tcp4 => IPV4,
            Self::Tcp6 => IPV6,
            Self::Other(length) => length,
        }
    }
}

/// Two IPv4 addresses and two ports, in bytes.
const IPV4: usize = 2 * 4 + 2 * 2;
/// Two IPv6 addresses and two ports, in bytes.
const IPV6: usize = 2 * 16 + 2 * 2;
/// Two paths of Unix sockets, in bytes.
const UNIX: usize = 2 * 108;

/// Reads version, command, family and transport protocol, which follow the signature. `None` while they have not
/// arrived.
fn layout(bytes: &[u8]) -> Result<Option<Layout>, HeaderError> {
    let [version_and_command, rest @ ..] = bytes else { return Ok(None) };
    if version_and_command >> 4 != LOCAL >> 4 {
        return Err(HeaderError::Version);
    }
    match (*version_and_command, rest) {
        (LOCAL, _) => Ok(Some(Layout::Unspecified)),
        (PROXY, []) => Ok(None),
        (PROXY, [family_and_transport, ..]) => announced(*family_and_transport).map(Some),
        _ => Err(HeaderError::Command),
    }
}

fn announced(family_and_transport: u8) -> Result<Layout, HeaderError> {
    match (family_and_transport >> 4, family_and_transport & 0x0f) {
        (4.., _) => Err(HeaderError::Family),
        (_, 3..) => Err(HeaderError::Transport),
        (0, _) | (_, 0) => Ok(Layout::Unspecified),
        (1, 1) => Ok(Layout::Tcp4),
        (2, 1) => Ok(Layout::Tcp6),
        (1, _) => Ok(Layout::Other(IPV4)),
        (2, _) => Ok(Layout::Other(IPV6)),
        (_, _) => Ok(Layout::Other(UNIX)),
    }
}

/// Reads a complete header.
fn read(header: &[u8], layout: Layout) -> Result<ProxyHeader, HeaderError> {
    if matches!(layout, Layout::Unspecified) {
        return Ok(ProxyHeader::Local);
    }
    check_tlvs(header, FIXED + layout.addresses())?;
    let announced = match layout {
        Layout::Tcp4 => client::<4>(&header[FIXED..]),
        Layout::Tcp6 => client::<16>(&header[FIXED..]),
        Layout::Unspecified | Layout::Other(_) => Some(ProxyHeader::Local),
    };
    announced.ok_or(HeaderError::TooShort)
}

/// Two addresses of `N` bytes and their ports. `None` if there are fewer bytes.
fn client<const N: usize>(bytes: &[u8]) -> Option<ProxyHeader>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = bytes.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (source_port, rest) = rest.split_first_chunk()?;
    let destination_port = rest.first_chunk()?;
    Some(ProxyHeader::proxied(
        SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes(*source_port)),
        SocketAddr::new(IpAddr::from(*destination), u16::from_be_bytes(*destination_port)),
    ))
}

/// Checks that the TLVs from `start` add up to the end of the header, and the checksum if there is one. Their values
/// are not used.
fn check_tlvs(header: &[u8], start: usize) -> Result<(), HeaderError> {
    let mut checksum = None;
    let mut at = start;
    while at < header.len() {
        let [kind, high, low] = *header[at..].first_chunk().ok_or(HeaderError::Tlv)?;
        let value = at + 3;
        at = value + usize::from(u16::from_be_bytes([high, low]));
        if at > header.len() {
            return Err(HeaderError::Tlv);
        }
        if kind == CHECKSUM && checksum.replace(value..at).is_some() {
            return Err(HeaderError::TwoChecksums);
        }
    }
    let Some(place) = checksum else { return Ok(()) };
    let announced = header[place.clone()].try_into().map_err(|_| HeaderError::ChecksumLength)?;
    let is_right = checksum_of(header, place.start) == u32::from_be_bytes(announced);
    if is_right { Ok(()) } else { Err(HeaderError::Checksum) }
}

/// The checksum of a header that has its checksum at index `at`: computed with zeros there.
pub fn checksum_of(header: &[u8], at: usize) -> u32 {
    let mut digest = CRC32C.digest();
    digest.update(&header[..at]);
    digest.update(&[0; CHECKSUM_LENGTH]);
    digest.update(&header[at + CHECKSUM_LENGTH..]);
    digest.finalize()
}
