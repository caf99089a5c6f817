//! Version 1: one line of text.
//!
//! Exactly the grammar of the specification, and one form more: a mapped IPv4 address with dots (`::ffff:192.0.2.1`),
//! which haproxy and nginx send for IPv4 clients of a socket that accepts both families.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::error::HeaderError;
use super::header::{MAX_LINE, Parsed, ProxyHeader, Version};

/// How every line begins.
pub const PREFIX: &[u8] = b"PROXY ";

const UNKNOWN: &[u8] = b"UNKNOWN";
const MAPPED: &str = "::ffff:";

/// Reads the line at the start of `bytes`, which begin with [`PREFIX`]. Each call reads the whole line: at most
/// [`MAX_LINE`] bytes.
///
/// # Errors
/// The line breaks the grammar, or no valid line begins with these bytes.
pub fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let line = &bytes[..bytes.len().min(MAX_LINE)];
    let fields = &line[PREFIX.len()..];
    if fields.starts_with(UNKNOWN) {
        return unknown(line);
    }
    if UNKNOWN.starts_with(fields) {
        return Ok(Parsed::Incomplete);
    }
    let end = fields.iter().position(|byte| [b'\r', b'\n'].contains(byte));
    let text = &fields[..end.unwrap_or(fields.len())];
    let header = addresses(Fields { rest: Some(text), ended: end.is_some() })?;
    let Some((header, end)) = header.zip(end) else { return Ok(Parsed::Incomplete) };
    match &fields[end..] {
        [b'\r'] => Ok(Parsed::Incomplete),
        [b'\r', b'\n', ..] => Ok(Parsed::Complete { header, version: Version::V1, length: PREFIX.len() + end + 2 }),
        _ => Err(HeaderError::LineEnd),
    }
}

/// A line for a client whose address is unknown: everything up to CRLF is ignored.
fn unknown(line: &[u8]) -> Result<Parsed, HeaderError> {
    let start = PREFIX.len() + UNKNOWN.len();
    match &line[start..] {
        [] | [b' ' | b'\r'] | [b' ', ..] | [b'\r', b'\n', ..] => {}
        [b'\r', ..] => return Err(HeaderError::LineEnd),
        _ => return Err(HeaderError::Protocol),
    }
    if let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") {
        return Ok(Parsed::Complete { header: ProxyHeader::Local, version: Version::V1, length: end + 2 });
    }
    let room = MAX_LINE - line.len();
    let is_possible = room >= 2 || (room == 1 && line.ends_with(b"\r"));
    if is_possible { Ok(Parsed::Incomplete) } else { Err(HeaderError::LongLine) }
}

/// Protocol, addresses and ports. `None` while their end has not arrived.
fn addresses(mut fields: Fields) -> Result<Option<ProxyHeader>, HeaderError> {
    let Some(family) = fields.next(family, &["TCP4"])? else { return Ok(None) };
    let Some(source) = fields.next(family, ADDRESSES)? else { return Ok(None) };
    let Some(destination) = fields.next(family, ADDRESSES)? else { return Ok(None) };
    let Some(source_port) = fields.next(port, &["0"])? else { return Ok(None) };
    let Some(destination_port) = fields.next(port, &["0"])? else { return Ok(None) };
    if fields.rest.is_some() {
        return Err(HeaderError::ExtraField);
    }
    let source = SocketAddr::new(source, source_port);
    Ok(Some(ProxyHeader::proxied(source, SocketAddr::new(destination, destination_port))))
}

/// What is left of the line, without CRLF.
struct Fields<'a> {
    /// `None` behind the last field.
    rest: Option<&'a [u8]>,
    /// Whether the end of the line has arrived.
    ended: bool,
}

impl Fields<'_> {
    /// Reads the next field. `None` if its end has not arrived, but its beginning can become such a field.
    ///
    /// Whether it can is tried, with every end of every sample; the samples are chosen so that one of them fits.
    fn next<T>(&mut self, read: Read<T>, samples: &[&str]) -> Result<Option<T>, HeaderError> {
        let rest = self.rest.ok_or(HeaderError::MissingField)?;
        let space = rest.iter().position(|byte| *byte == b' ');
        let field = String::from_utf8_lossy(&rest[..space.unwrap_or(rest.len())]);
        self.rest = space.map(|space| &rest[space + 1..]);
        let is_open = space.is_none() && !self.ended;
        let mut ends = samples.iter().flat_map(|sample| (0..=sample.len()).map(|start| &sample[start..]));
        if is_open && ends.any(|end| read(&format!("{field}{end}")).is_ok()) {
            return Ok(None);
        }
        // an open field is an error here: the empty end has been tried too
        read(&field).map(Some)
    }
}

/// Reads a whole field.
type Read<T> = fn(&str) -> Result<T, HeaderError>;

/// Addresses with whose ends every beginning of an address can be completed: zeros behind a number or a dot, and `::`
/// behind a group of an IPv6 address.
const ADDRESSES: &[&str] = &["0.0.0.0", "::"];

/// The function that reads an address of the family.
fn family(field: &str) -> Result<Read<IpAddr>, HeaderError> {
    match field {
        "TCP4" => Ok(ipv4),
        "TCP6" => Ok(ipv6),
        _ => Err(HeaderError::Protocol),
    }
}

fn ipv4(field: &str) -> Result<IpAddr, HeaderError> {
    field.parse().map(Ipv4Addr::into).map_err(|_| HeaderError::Ipv4Address)
}

fn ipv6(field: &str) -> Result<IpAddr, HeaderError> {
    let mapped = field.split_at_checked(MAPPED.len()).filter(|(start, _)| start.eq_ignore_ascii_case(MAPPED));
    if let Some(Ok(address)) = mapped.map(|(_, dotted)| dotted.parse::<Ipv4Addr>()) {
        return Ok(address.into());
    }
    // the parser of the standard library accepts dots behind any groups
    let address = field.parse().map(Ipv6Addr::into).ok().filter(|_| !field.contains('.'));
    address.ok_or(HeaderError::Ipv6Address)
}

/// A decimal number: the parser of the standard library also accepts a sign and leading zeros.
fn port(field: &str) -> Result<u16, HeaderError> {
    let port = field.parse().ok().filter(|port: &u16| port.to_string() == field);
    port.ok_or(HeaderError::Port)
}
