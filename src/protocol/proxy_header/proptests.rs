//! Properties of every input: neither the header nor its error depends on how the bytes arrive, a second implementation
//! has the same result, and what is encoded is read.

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::tests::{VECTORS, arrive};
use super::*;

#[path = "../../../tests/proxy_header/reference.rs"]
mod reference;

fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        vec(prop_oneof![2 => Just(0), 1 => any::<u16>()], 8)
            .prop_map(|groups| IpAddr::from(<[u16; 8]>::try_from(groups).unwrap())),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn header() -> impl Strategy<Value = ProxyHeader> {
    let proxied = (address(), address()).prop_map(|(source, destination)| ProxyHeader::proxied(source, destination));
    prop_oneof![1 => Just(ProxyHeader::Local), 9 => proxied]
}

/// TLVs of all types but that of the checksum.
fn tlvs() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    vec((prop_oneof![0..3_u8, 4..=255_u8], vec(any::<u8>(), 0..40)), 0..4)
}

/// A header, and its bytes in one of the versions.
fn encoded() -> impl Strategy<Value = (ProxyHeader, Vec<u8>)> {
    (header(), tlvs(), any::<bool>(), any::<bool>()).prop_map(|(header, tlvs, is_v1, checksum)| {
        let bytes = if is_v1 { encode_v1(&header) } else { encode_v2(&header, &tlvs, checksum).unwrap() };
        (header, bytes)
    })
}

/// Bytes of a header with some of them replaced, mostly by bytes that have a meaning, and some bytes behind it.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![select(&b" \r\n.:019afPTU\0\x03\x11\x20\x21"[..]), any::<u8>()];
    let changes = vec((any::<Index>(), byte), 0..4);
    (encoded(), changes, vec(any::<u8>(), 0..120)).prop_map(|((_, mut bytes), changes, behind)| {
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        [bytes, behind].concat()
    })
}

/// What the second implementation says: it does not tell an incomplete header from a refused one.
fn complete(result: Result<Parsed, HeaderError>) -> Option<(ProxyHeader, usize)> {
    match result {
        Ok(Parsed::Complete { header, length, .. }) => Some((header, length)),
        _ => None,
    }
}

fn check_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    let whole = parse(bytes);
    prop_assert_eq!(whole, arrive(bytes, 0..=bytes.len()), "byte by byte");
    prop_assert_eq!(complete(whole), reference::header(bytes));
    prop_assert!(complete(whole).is_none_or(|(_, length)| length <= bytes.len()));
    Ok(())
}

proptest! {
    #[test]
    fn what_is_encoded_is_read((header, bytes) in encoded(), behind in vec(any::<u8>(), 0..20)) {
        let length = bytes.len();
        for end in 0..length {
            prop_assert_eq!(parse(&bytes[..end]), Ok(Parsed::Incomplete));
        }
        let result = parse(&[bytes, behind].concat());
        prop_assert_eq!(complete(result), Some((header, length)));
    }

    #[test]
    fn fragments_do_not_change_the_result(bytes in damaged(), cuts in vec(any::<Index>(), 0..6)) {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        ends.sort_unstable();
        ends.push(bytes.len());
        prop_assert_eq!(arrive(&bytes, ends), parse(&bytes));
        check_all(&bytes)?;
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(
        start in select(vec![&b""[..], v1::PREFIX, v2::SIGNATURE]),
        bytes in vec(any::<u8>(), 0..300),
    ) {
        check_all(&[start, &bytes].concat())?;
    }
}

#[test]
fn the_second_implementation_has_the_result_of_every_vector() {
    for (name, bytes, _) in VECTORS {
        assert_eq!(complete(parse(bytes)), reference::header(bytes), "{name}");
    }
}

/// Every line that differs in one byte from one of these.
#[test]
fn every_change_of_one_byte_has_the_result_of_the_second_implementation() {
    let lines: [&[u8]; 6] = [
        b"PROXY TCP4 192.0.2.10 98.51.100.1 56324 80\r\n",
        b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n",
        b"PROXY TCP6 2001:db8::10 ::1 65530 9\r\n",
        b"PROXY TCP6 1:2:3:4:5:6:7:8 :: 1 10\r\n",
        b"PROXY TCP6 ::ffff:192.0.2.10 1::ffff:1 1 10\r\n",
        b"PROXY UNKNOWN x\r\n",
    ];
    let step = if cfg!(miri) { 41 } else { 1 };
    for line in lines {
        for at in (0..line.len()).step_by(step) {
            for byte in (0..=u8::MAX).step_by(step) {
                let mut bytes = [line, &[b'x'; 107]].concat();
                bytes[at] = byte;
                let result = parse(&bytes);
                assert_ne!(result, Ok(Parsed::Incomplete), "{}", bytes.escape_ascii());
                assert_eq!(complete(result), reference::header(&bytes), "{}", bytes.escape_ascii());
            }
        }
    }
}
