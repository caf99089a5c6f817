//! Every vector, however it is cut; the first byte at which a header is refused; and what is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::*;
use vectors::Outcome;
pub use vectors::VECTORS;

#[path = "../../../tests/proxy_header/vectors.rs"]
mod vectors;

/// A request of `frame`, as the client's bytes behind a header.
const REQUEST: &[u8] = b"\x08\0\0\x02hi";

/// The first result that is not `Incomplete`, if the bytes arrive in parts that end at `ends`.
pub fn arrive(bytes: &[u8], ends: impl IntoIterator<Item = usize>) -> Result<Parsed, HeaderError> {
    let mut results = ends.into_iter().map(|end| parse(&bytes[..end]));
    results.find(|result| *result != Ok(Parsed::Incomplete)).unwrap_or(Ok(Parsed::Incomplete))
}

/// The result that an outcome means, apart from the destination, which vectors do not name.
fn check(name: &str, header_length: usize, outcome: Outcome, result: Result<Parsed, HeaderError>) {
    let header = match (outcome, result) {
        (Outcome::Refused(error), result) => return assert_eq!(result, Err(error), "{name}"),
        (_, Ok(Parsed::Complete { header, length, .. })) if length == header_length => header,
        (_, result) => panic!("{name}: {result:?}"),
    };
    match (outcome, header) {
        (Outcome::Client(expected), ProxyHeader::Proxied { source, .. }) => {
            assert_eq!(source, expected.parse::<SocketAddr>().unwrap(), "{name}");
        }
        (outcome, header) => assert_eq!((outcome, header), (Outcome::Local, ProxyHeader::Local), "{name}"),
    }
}

#[test]
fn every_vector_has_its_outcome_however_it_is_cut() {
    for (name, header, outcome) in VECTORS {
        for requests in 0..3 {
            let bytes = [*header, &REQUEST.repeat(requests)].concat();
            let length = bytes.len();
            let check = |result| check(name, header.len(), *outcome, result);
            check(parse(&bytes));
            check(arrive(&bytes, 0..=length));
            let cuts = (0..length).step_by(if cfg!(miri) { 23 } else { 1 });
            cuts.for_each(|cut| check(arrive(&bytes, [cut, length])));
        }
    }
}

#[test]
fn every_truncated_header_is_incomplete() {
    for (name, header, _) in VECTORS.iter().filter(|(_, _, outcome)| !matches!(outcome, Outcome::Refused(_))) {
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Ok(Parsed::Incomplete), "{name}, {end} bytes");
        }
    }
}

#[test]
fn both_addresses_are_read() {
    let client = "192.0.2.10:56324".parse().unwrap();
    let expected = ProxyHeader::proxied(client, "198.51.100.1:8083".parse().unwrap());
    for name in ["v1-tcp4", "v1-tcp6-mapped-dotted", "v1-tcp6-mapped-hex", "v2-tcp4", "v2-tcp6-mapped", "v2-crc32c"] {
        let bytes = vector(name);
        let version = if name.starts_with("v1") { Version::V1 } else { Version::V2 };
        let complete = Parsed::Complete { header: expected, version, length: bytes.len() };
        assert_eq!(parse(bytes), Ok(complete), "{name}");
    }
}

/// The bytes up to the one that cannot be part of a header.
#[test]
fn a_header_is_refused_at_the_first_impossible_byte() {
    let cases: &[&[u8]] = &[
        b"G",
        b"PROXy",
        b"PROXY  ",
        b"PROXY TCP5",
        b"PROXY UNKNOWNx",
        b"PROXY UNKNOWN\rx",
        b"PROXY TCP4 a",
        b"PROXY TCP4 256",
        b"PROXY TCP4 01",
        b"PROXY TCP4 1..",
        b"PROXY TCP4 1.2.3.4.",
        b"PROXY TCP4 1.2.3 ",
        b"PROXY TCP4 1.2.3.4\n",
        b"PROXY TCP4 1.2.3.4\xc3",
        b"PROXY TCP6 12345",
        b"PROXY TCP6 :::",
        b"PROXY TCP6 1::2::",
        b"PROXY TCP6 1:2:3:4:5:6:7:8:",
        b"PROXY TCP6 1::2:3:4:5:6:7:",
        b"PROXY TCP6 ::ffff:1.2.3.4.",
        b"PROXY TCP6 ::fffe:1.",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 65536",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 00",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 ",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rx",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"\r\n\r\n\0\r\nQUIT\n\x1f",
        b"\r\n\r\n\0\r\nQUIT\n\x22",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x41",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x13",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0b",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\x0f\xf1",
    ];
    for bytes in cases {
        let before = bytes.len() - 1;
        assert_eq!(parse(&bytes[..before]), Ok(Parsed::Incomplete), "{}", bytes.escape_ascii());
        assert!(parse(bytes).is_err(), "{}", bytes.escape_ascii());
    }
    let line = format!("PROXY UNKNOWN {}", "x".repeat(92));
    assert_eq!(parse(&line.as_bytes()[..105]), Ok(Parsed::Incomplete));
    assert_eq!(parse(line.as_bytes()), Err(HeaderError::LongLine), "no room for CR and LF");
}

/// A caller may call for each byte: if each call read the TLVs that have arrived, a header would cost its length squared.
#[test]
fn tlvs_are_read_once_when_the_header_is_complete() {
    let addresses = b"\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93";
    let two_checksums = b"\x03\0\x04abcd\x03\0\x04abcd";
    let bytes = [v2::SIGNATURE, b"\x21\x11\x0f\xf0", addresses, two_checksums, &[0; 4054]].concat();
    assert_eq!(bytes.len(), MAX_HEADER);
    assert_eq!(arrive(&bytes, 0..MAX_HEADER), Ok(Parsed::Incomplete));
    assert_eq!(parse(&bytes), Err(HeaderError::TwoChecksums));
}

#[test]
fn the_longest_header_is_accepted() {
    let noop = vec![(4, vec![0; MAX_HEADER - 16 - 3])];
    let bytes = encode_v2(&ProxyHeader::Local, &noop, false).unwrap();
    assert_eq!(parse(&bytes), Ok(Parsed::Complete { header: ProxyHeader::Local, version: Version::V2, length: 4096 }));
}

#[test]
fn headers_in_other_protocols_are_recognized() {
    for (name, bytes, outcome) in VECTORS.iter().filter(|(_, _, outcome)| !matches!(outcome, Outcome::Refused(_))) {
        let is_tcp = bytes.starts_with(b"PROXY T") || name.starts_with("v2");
        assert_eq!(begins_like_header(bytes), is_tcp, "{name} {outcome:?}");
    }
    for bytes in [&b""[..], b"PROXY", b"PROXY TC", b"PROXY me", b"\r\n\r\n\0\r\nQUIT", b"\r\n\r\n"] {
        assert!(!begins_like_header(bytes), "{}", bytes.escape_ascii());
    }
}

#[test]
fn each_error_has_a_text_of_its_own() {
    let errors = VECTORS.iter().filter_map(|(_, _, outcome)| match outcome {
        Outcome::Refused(error) => Some((format!("{error:?}"), error.to_string())),
        _ => None,
    });
    let texts: BTreeMap<String, String> = errors.collect();
    let distinct: BTreeSet<&String> = texts.values().collect();
    assert_eq!((texts.len(), distinct.len()), (19, 19), "{texts:?}");
    assert_eq!(texts["LongLine"], "the line is longer than 107 bytes");
    assert_eq!(texts["TooLong"], "the header is longer than 4096 bytes");
}

fn vector(name: &str) -> &'static [u8] {
    let (_, bytes, _) = VECTORS.iter().find(|(each, ..)| *each == name).unwrap();
    bytes
}

#[test]
fn headers_are_encoded_as_proxies_send_them() {
    let proxied = |source: &str, destination: &str| ProxyHeader::Proxied {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    };
    let ipv4 = proxied("192.0.2.10:56324", "198.51.100.1:8083");
    let ipv6 = proxied("[2001:db8::10]:56324", "[2001:db8::1]:8083");
    assert_eq!(encode_v1(&ipv4), vector("v1-tcp4"));
    assert_eq!(encode_v1(&ipv6), vector("v1-tcp6"));
    assert_eq!(encode_v1(&ProxyHeader::Local), vector("v1-unknown-short"));
    let v2 = |header, tlvs: &[_], checksum| encode_v2(header, tlvs, checksum).unwrap();
    assert_eq!(v2(&ipv4, &[], false), vector("v2-tcp4"));
    assert_eq!(v2(&ipv6, &[], false), vector("v2-tcp6"));
    assert_eq!(v2(&ProxyHeader::Local, &[], false), vector("v2-local"));
    assert_eq!(v2(&ipv4, &[], true), vector("v2-crc32c"));
    let tlvs = [(4, &b""[..]), (2, b"example.com"), (5, b"7F00000B:DED7"), (0xea, b"\x01vpce-08d2bf15fac5001c9")];
    assert_eq!(v2(&ipv4, &tlvs.map(|(kind, value)| (kind, value.to_vec())), false), vector("v2-tlvs"));
}

#[test]
fn addresses_of_two_families_are_encoded_as_ipv6() {
    let header = ProxyHeader::proxied("192.0.2.10:1".parse().unwrap(), "[::1]:2".parse().unwrap());
    assert_eq!(encode_v1(&header), b"PROXY TCP6 ::ffff:192.0.2.10 ::1 1 2\r\n");
    let bytes = encode_v2(&header, &[], false).unwrap();
    assert_eq!(parse(&bytes), Ok(Parsed::Complete { header, version: Version::V2, length: 16 + 36 }));
}

#[test]
fn a_header_that_cannot_be_encoded_is_an_error() {
    let encode = |tlvs: &[(u8, usize)], checksum| {
        let tlvs: Vec<_> = tlvs.iter().map(|(kind, length)| (*kind, vec![0; *length])).collect();
        encode_v2(&ProxyHeader::Local, &tlvs, checksum).map(|bytes| bytes.len())
    };
    assert_eq!(encode(&[(4, 0xffff - 3)], false), Ok(16 + 0xffff));
    assert_eq!(encode(&[(4, 0xffff - 2)], false), Err(EncodeError::TooLong));
    assert_eq!(encode(&[(4, 0xffff + 1)], false), Err(EncodeError::TooLong));
    assert_eq!(encode(&[(4, 0xffff - 3)], true), Err(EncodeError::TooLong), "no room for the checksum");
    assert_eq!(encode(&[(3, 4)], false), Ok(16 + 7), "a checksum of the caller");
    assert_eq!(encode(&[(3, 4)], true), Err(EncodeError::TwoChecksums));
}
