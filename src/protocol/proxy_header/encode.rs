//! Headers to send.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::error::Error;
use std::fmt::{self, Display, Formatter};

use super::header::ProxyHeader;
use super::v1::PREFIX;
use super::v2::{CHECKSUM, CHECKSUM_LENGTH, LOCAL, PROXY, SIGNATURE, TCP4, TCP6, checksum_of};

/// Why a header of version 2 cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// Addresses and TLVs are longer than the length field can express.
    TooLong,
    /// A checksum is to be computed, and a TLV has its type.
    TwoChecksums,
}

impl Display for EncodeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a header has at most {} bytes of addresses and TLVs", u16::MAX),
            Self::TwoChecksums => write!(f, "a TLV of type {CHECKSUM} is a checksum, and one is already computed"),
        }
    }
}

impl Error for EncodeError {}

/// The line of version 1: `UNKNOWN` where no client is announced.
///
/// Addresses of two families are both sent as IPv6, as haproxy does it.
#[must_use]
pub fn encode_v1(header: &ProxyHeader) -> Vec<u8> {
    let fields = match header {
        ProxyHeader::Local => "UNKNOWN".to_string(),
        ProxyHeader::Proxied { source, destination } => {
            let (protocol, from, to) = match (source.ip(), destination.ip()) {
                (from @ IpAddr::V4(_), to @ IpAddr::V4(_)) => ("TCP4", from, to),
                (from, to) => ("TCP6", ipv6(from).into(), ipv6(to).into()),
            };
            format!("{protocol} {from} {to} {} {}", source.port(), destination.port())
        }
    };
    [PREFIX, fields.as_bytes(), b"\r\n"].concat()
}

/// The header of version 2 with these TLVs (type, value): `LOCAL` where no client is announced. With `checksum`, a
/// CRC32C is added behind them.
///
/// Addresses of two families are both sent as IPv6.
///
/// # Errors
///
/// [`EncodeError`] if it is too long, or would have two checksums.
pub fn encode_v2(header: &ProxyHeader, tlvs: &[(u8, Vec<u8>)], checksum: bool) -> Result<Vec<u8>, EncodeError> {
    if checksum && tlvs.iter().any(|(kind, _)| *kind == CHECKSUM) {
        return Err(EncodeError::TwoChecksums);
    }
    let (kind, mut block) = addresses(header);
    for (kind, value) in tlvs {
        add_tlv(&mut block, *kind, value)?;
    }
    if checksum {
        add_tlv(&mut block, CHECKSUM, &[0; CHECKSUM_LENGTH])?;
    }
    let length = length_field(block.len())?;
    let mut bytes = [SIGNATURE, &kind, &length, &block].concat();
    if checksum {
        let at = bytes.len() - CHECKSUM_LENGTH;
        let value = checksum_of(&bytes, at);
        bytes[at..].copy_from_slice(&value.to_be_bytes());
    }
    Ok(bytes)
}

/// The two bytes behind the signature, and the addresses.
fn addresses(header: &ProxyHeader) -> ([u8; 2], Vec<u8>) {
    let ProxyHeader::Proxied { source, destination } = header else { return ([LOCAL, 0], Vec::new()) };
    let (kind, addresses) = match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (TCP4, [from.octets(), to.octets()].concat()),
        (from, to) => (TCP6, [ipv6(from).octets(), ipv6(to).octets()].concat()),
    };
    let ports = [source, destination].map(SocketAddr::port).map(u16::to_be_bytes);
    ([PROXY, kind], [addresses, ports.concat()].concat())
}

fn ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn add_tlv(block: &mut Vec<u8>, kind: u8, value: &[u8]) -> Result<(), EncodeError> {
    block.push(kind);
    block.extend(length_field(value.len())?);
    block.extend(value);
    Ok(())
}

fn length_field(length: usize) -> Result<[u8; 2], EncodeError> {
    u16::try_from(length).map(u16::to_be_bytes).map_err(|_| EncodeError::TooLong)
}
