//! The header of the PROXY protocol: what a proxy sends first on a connection, to announce the client behind it.
//!
//! Both versions, as in the specification (doc/proxy-protocol.txt of haproxy, revision 2026/04/27). [`parse`] is called
//! with all bytes since the start of the connection, again whenever more have arrived. It refuses a header at the first
//! byte that makes it impossible, except for the TLVs of version 2: those are checked once, when the header is complete.
//!
//! No crate has all of this (names of test vectors in parentheses): `ppp` 2.3.0 refuses a line that arrives byte by byte
//! (`v1-tcp4`), `proxy-protocol` 0.5.0 every header that does (`v2-tcp4`); `proxy-header` 0.1.3 waits for more behind a
//! lone LF (`v1-lf-alone`); none of the three verifies the checksum (`v2-crc32c-wrong`); `proxyproto` 0.2.1 accepts two
//! spaces (`v1-two-spaces`).

mod encode;
mod error;
mod header;
#[cfg(test)]
mod proptests;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use encode::{EncodeError, encode_v1, encode_v2};
pub use error::HeaderError;
pub use header::{MAX_HEADER, Parsed, ProxyHeader, Version};

/// The start of a line of version 1 for a TCP connection. `PROXY ` alone does not suffice: a request of a text protocol
/// may begin with it.
const PROXY_TCP: &[u8] = b"PROXY TCP";

/// Reads the header at the start of `bytes`, which are all that has arrived on the connection.
///
/// # Errors
///
/// [`HeaderError`] if no further bytes can make it a header.
pub fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    if bytes.starts_with(v1::PREFIX) {
        v1::parse(bytes)
    } else if bytes.starts_with(v2::SIGNATURE) {
        v2::parse(bytes)
    } else if v1::PREFIX.starts_with(bytes) || v2::SIGNATURE.starts_with(bytes) {
        Ok(Parsed::Incomplete)
    } else {
        Err(HeaderError::Start)
    }
}

/// Whether bytes that were sent to another protocol are probably a header: they begin with the signature of version 2
/// or with `PROXY TCP`.
#[must_use]
pub fn begins_like_header(bytes: &[u8]) -> bool {
    // the first byte decides about almost every other input
    match bytes.first() {
        Some(b'\r') => bytes.starts_with(v2::SIGNATURE),
        Some(b'P') => bytes.starts_with(PROXY_TCP),
        _ => false,
    }
}
