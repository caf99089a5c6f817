//! A second implementation of the header, for complete input only and with other means: the grammar field by field, and
//! a checksum bit by bit. Shared by the unit tests and the fuzz target.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use retortd::protocol::proxy_header::ProxyHeader;

/// The valid header at the start of the bytes, and its length.
pub fn header(bytes: &[u8]) -> Option<(ProxyHeader, usize)> {
    line(bytes).or_else(|| binary(bytes))
}

fn line(bytes: &[u8]) -> Option<(ProxyHeader, usize)> {
    let end = (0..106).find(|at| bytes.get(*at..at + 2) == Some(b"\r\n"))?;
    let rest = bytes[..end].strip_prefix(b"PROXY ")?;
    if rest == b"UNKNOWN" || rest.starts_with(b"UNKNOWN ") {
        return Some((ProxyHeader::Local, end + 2));
    }
    let fields: Vec<&str> = std::str::from_utf8(rest).ok()?.split(' ').collect();
    let [protocol, source, destination, source_port, destination_port] = fields[..] else { return None };
    let address = match protocol {
        "TCP4" => |field| ipv4(field).map(IpAddr::V4),
        "TCP6" => |field| ipv6(field).map(IpAddr::V6),
        _ => return None,
    };
    let source = SocketAddr::new(address(source)?, number(source_port, 65535)?);
    let destination = SocketAddr::new(address(destination)?, number(destination_port, 65535)?);
    Some((ProxyHeader::proxied(source, destination), end + 2))
}

/// A decimal number without leading zeros.
fn number(field: &str, max: u16) -> Option<u16> {
    let is_decimal = (1..=5).contains(&field.len()) && field.chars().all(|c| c.is_ascii_digit());
    let has_zeros = field.len() > 1 && field.starts_with('0');
    if !is_decimal || has_zeros {
        return None;
    }
    let value = field.chars().filter_map(|c| c.to_digit(10)).fold(0, |value, digit| value * 10 + digit);
    u16::try_from(value).ok().filter(|value| *value <= max)
}

fn ipv4(field: &str) -> Option<Ipv4Addr> {
    let octets: Vec<u8> = field.split('.').map(|part| number(part, 255)?.try_into().ok()).collect::<Option<_>>()?;
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?))
}

fn ipv6(field: &str) -> Option<Ipv6Addr> {
    let field = field.to_ascii_lowercase();
    if let Some(address) = field.strip_prefix("::ffff:").and_then(ipv4) {
        return Some(address.to_ipv6_mapped());
    }
    let halves: Vec<Vec<u16>> = field.split("::").map(groups).collect::<Option<_>>()?;
    let all = match &halves[..] {
        [all] => all.clone(),
        [front, back] if front.len() + back.len() < 8 => {
            let zeros = vec![0; 8 - front.len() - back.len()];
            [&front[..], &zeros, back].concat()
        }
        _ => return None,
    };
    Some(Ipv6Addr::from(<[u16; 8]>::try_from(all).ok()?))
}

fn groups(half: &str) -> Option<Vec<u16>> {
    if half.is_empty() {
        return Some(Vec::new());
    }
    let group = |part: &str| {
        let is_hex = (1..=4).contains(&part.len()) && part.chars().all(|c| c.is_ascii_hexdigit());
        u16::from_str_radix(part, 16).ok().filter(|_| is_hex)
    };
    half.split(':').map(group).collect()
}

fn binary(bytes: &[u8]) -> Option<(ProxyHeader, usize)> {
    let [command, kind, high, low, rest @ ..] = bytes.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n")? else { return None };
    let length = usize::from(*high) * 256 + usize::from(*low);
    let block = rest.get(..length).filter(|_| length <= 4096 - 16)?;
    let local = Some((ProxyHeader::Local, 16 + length));
    let addresses = match (command, kind) {
        (0x20, _) | (0x21, 0x00..=0x02 | 0x10 | 0x20 | 0x30) => return local,
        (0x21, 0x11 | 0x12) => 12,
        (0x21, 0x21 | 0x22) => 36,
        (0x21, 0x31 | 0x32) => 216,
        _ => return None,
    };
    let checksums = checksums(block.get(addresses..)?)?;
    let is_right = match checksums[..] {
        [] => true,
        [value] => value.try_into().ok().map(u32::from_be_bytes) == Some(crc32c(&bytes[..16 + length], value)),
        _ => false,
    };
    let part = |start: usize, end: usize| block[start..end].to_vec();
    let port = |start: usize| u16::from_be_bytes([block[start], block[start + 1]]);
    let (source, destination) = match kind {
        0x11 => (ip4(&part(0, 4)), ip4(&part(4, 8))),
        0x21 => (ip6(&part(0, 16)), ip6(&part(16, 32))),
        _ => return local.filter(|_| is_right),
    };
    let source = SocketAddr::new(source, port(addresses - 4));
    let destination = SocketAddr::new(destination, port(addresses - 2));
    Some((ProxyHeader::proxied(source, destination), 16 + length)).filter(|_| is_right)
}

fn ip4(bytes: &[u8]) -> IpAddr {
    Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()
}

fn ip6(bytes: &[u8]) -> IpAddr {
    Ipv6Addr::from(bytes.iter().fold(0_u128, |value, byte| value << 8 | u128::from(*byte))).into()
}

/// The values of all checksums among the TLVs; `None` if the TLVs do not add up.
fn checksums(tlvs: &[u8]) -> Option<Vec<&[u8]>> {
    let [kind, high, low, rest @ ..] = tlvs else { return tlvs.is_empty().then(Vec::new) };
    let (value, rest) = rest.split_at_checked(usize::from(*high) * 256 + usize::from(*low))?;
    let mut all = checksums(rest)?;
    all.extend((*kind == 3).then_some(value));
    Some(all)
}

/// The checksum of a header, with zeros in place of `value`, which is a part of it.
fn crc32c(header: &[u8], value: &[u8]) -> u32 {
    let start = value.as_ptr() as usize - header.as_ptr() as usize;
    let bytes = header.iter().enumerate().map(|(at, byte)| if (start..start + 4).contains(&at) { 0 } else { *byte });
    let bits = bytes.flat_map(|byte| (0..8).map(move |bit| u32::from(byte >> bit & 1)));
    !bits.fold(!0_u32, |crc, bit| if (crc ^ bit) & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
}
