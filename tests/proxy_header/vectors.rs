//! Headers of the PROXY protocol, and what they mean. Shared by the unit tests and the generator of the fuzzing corpus.

use retortd::protocol::proxy_header::HeaderError as Error;

/// What a receiver does with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client has this address.
    Client(&'static str),
    /// The header is valid and announces no client.
    Local,
    /// The header is refused.
    Refused(Error),
}

use Outcome::{Client, Local, Refused};
use headers::{LOCAL, TCP4, TCP4_BINARY};

#[path = "headers.rs"]
pub mod headers;

/// Name, bytes up to the end of the header, and outcome.
pub type Vector = (&'static str, &'static [u8], Outcome);

/// The bytes of these headers without those of the client. Their names begin with the version.
pub const VECTORS: &[Vector] = &[
    ("v1-tcp4", TCP4, Client("192.0.2.10:56324")),
    ("v1-tcp4-longest", b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Client("255.255.255.255:65535")),
    ("v1-tcp4-shortest", b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", Client("0.0.0.0:0")),
    ("v1-tcp6", b"PROXY TCP6 2001:db8::10 2001:db8::1 56324 8083\r\n", Client("[2001:db8::10]:56324")),
    ("v1-tcp6-upper-case", b"PROXY TCP6 2001:DB8::A ::1 56324 8083\r\n", Client("[2001:db8::a]:56324")),
    (
        "v1-tcp6-longest",
        b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
          ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        Client("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
    ),
    (
        // haproxy 2.6 and nginx 1.22 send this for an IPv4 client of a socket that accepts both families
        "v1-tcp6-mapped-dotted",
        b"PROXY TCP6 ::ffff:192.0.2.10 ::ffff:198.51.100.1 56324 8083\r\n",
        Client("192.0.2.10:56324"),
    ),
    ("v1-tcp6-mapped-hex", b"PROXY TCP6 ::FFFF:c000:20a ::ffff:c633:6401 56324 8083\r\n", Client("192.0.2.10:56324")),
    ("v1-unknown-short", b"PROXY UNKNOWN\r\n", Local),
    (
        "v1-unknown-longest",
        b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
          ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        Local,
    ),
    ("v1-unknown-rubbish", b"PROXY UNKNOWN  \0\xff \r \n x\r\r\n", Local),
    ("v1-unknown-longer-word", b"PROXY UNKNOWNS\r\n", Refused(Error::Protocol)),
    ("v1-unknown-cr-alone", b"PROXY UNKNOWN\rx\r\n", Refused(Error::LineEnd)),
    ("v1-lf-alone", b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 8083\n", Refused(Error::LineEnd)),
    ("v1-cr-alone", b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 8083\r8\r\n", Refused(Error::LineEnd)),
    ("v1-two-spaces", b"PROXY TCP4  192.0.2.10 198.51.100.1 56324 8083\r\n", Refused(Error::Ipv4Address)),
    ("v1-space-at-end", b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 8083 \r\n", Refused(Error::ExtraField)),
    ("v1-tab", b"PROXY TCP4\t192.0.2.10 198.51.100.1 56324 8083\r\n", Refused(Error::Protocol)),
    ("v1-lower-case", b"proxy TCP4 192.0.2.10 198.51.100.1 56324 8083\r\n", Refused(Error::Start)),
    ("v1-udp4", b"PROXY UDP4 192.0.2.10 198.51.100.1 56324 8083\r\n", Refused(Error::Protocol)),
    ("v1-no-protocol", b"PROXY \r\n", Refused(Error::Protocol)),
    ("v1-no-ports", b"PROXY TCP4 192.0.2.10 198.51.100.1\r\n", Refused(Error::MissingField)),
    ("v1-octet-leading-zero", b"PROXY TCP4 192.0.2.010 198.51.100.1 56324 8083\r\n", Refused(Error::Ipv4Address)),
    ("v1-octet-256", b"PROXY TCP4 192.0.2.256 198.51.100.1 56324 8083\r\n", Refused(Error::Ipv4Address)),
    ("v1-three-octets", b"PROXY TCP4 192.0.2 198.51.100.1 56324 8083\r\n", Refused(Error::Ipv4Address)),
    ("v1-bad-destination", b"PROXY TCP4 192.0.2.10 198.51.100 56324 8083\r\n", Refused(Error::Ipv4Address)),
    ("v1-tcp4-with-ipv6", b"PROXY TCP4 2001:db8::10 2001:db8::1 56324 8083\r\n", Refused(Error::Ipv4Address)),
    ("v1-tcp6-with-ipv4", b"PROXY TCP6 192.0.2.10 198.51.100.1 56324 8083\r\n", Refused(Error::Ipv6Address)),
    ("v1-tcp6-scope", b"PROXY TCP6 fe80::1%eth0 ::1 56324 8083\r\n", Refused(Error::Ipv6Address)),
    ("v1-tcp6-brackets", b"PROXY TCP6 [::1] ::1 56324 8083\r\n", Refused(Error::Ipv6Address)),
    ("v1-tcp6-dotted-not-mapped", b"PROXY TCP6 64:ff9b::192.0.2.10 ::1 56324 8083\r\n", Refused(Error::Ipv6Address)),
    ("v1-tcp6-dotted-shifted", b"PROXY TCP6 ::ffff:0:192.0.2.10 ::1 56324 8083\r\n", Refused(Error::Ipv6Address)),
    ("v1-tcp6-two-gaps", b"PROXY TCP6 2001::db8::1 ::1 56324 8083\r\n", Refused(Error::Ipv6Address)),
    ("v1-port-65536", b"PROXY TCP4 192.0.2.10 198.51.100.1 65536 8083\r\n", Refused(Error::Port)),
    ("v1-port-leading-zero", b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 08083\r\n", Refused(Error::Port)),
    ("v1-port-20-digits", b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 18446744073709551616\r\n", Refused(Error::Port)),
    ("v1-port-sign", b"PROXY TCP4 192.0.2.10 198.51.100.1 +56324 8083\r\n", Refused(Error::Port)),
    ("v1-port-empty", b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 \r\n", Refused(Error::Port)),
    (
        "v1-108-bytes",
        b"PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
          xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
        Refused(Error::LongLine),
    ),
    ("v2-tcp4", TCP4_BINARY, Client("192.0.2.10:56324")),
    (
        "v2-tcp6",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\
          \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xdc\x04\x1f\x93",
        Client("[2001:db8::10]:56324"),
    ),
    (
        "v2-tcp6-mapped",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\
          \0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x0a\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x01\xdc\x04\x1f\x93",
        Client("192.0.2.10:56324"),
    ),
    ("v2-local", LOCAL, Local),
    (
        "v2-local-with-addresses",
        b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x0c\
          \xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93",
        Local,
    ),
    ("v2-local-unassigned-family", b"\r\n\r\n\0\r\nQUIT\n\x20\xff\0\x02xy", Local),
    ("v2-local-wrong-checksum", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\x07\x03\0\x04wxyz", Local),
    ("v2-proxy-unspecified", b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0", Local),
    ("v2-proxy-unspecified-with-bytes", b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\x02xy", Local),
    ("v2-unspecified-transport", b"\r\n\r\n\0\r\nQUIT\n\x21\x10\0\x04\xc0\0\x02\x0a", Local),
    ("v2-udp4", b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93", Local),
    (
        "v2-unix",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8/run/a.sock\0\
          \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
          \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
          /run/b.sock\0\
          \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
          \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        Local,
    ),
    ("v2-unix-short", b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd7", Refused(Error::TooShort)),
    (
        // NOOP without a value, AUTHORITY, UNIQUE_ID, and one of a public cloud
        "v2-tlvs",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x47\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93\
          \x04\0\0\x02\0\x0bexample.com\x05\0\x0d7F00000B:DED7\xea\0\x17\x01vpce-08d2bf15fac5001c9",
        Client("192.0.2.10:56324"),
    ),
    (
        "v2-tlv-beyond-the-end",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93\x04\0\x02x",
        Refused(Error::Tlv),
    ),
    (
        "v2-tlv-without-length",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0e\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93\x04\0",
        Refused(Error::Tlv),
    ),
    (
        "v2-udp4-tlv-beyond-the-end",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x10\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93\x04\0\x02x",
        Refused(Error::Tlv),
    ),
    (
        "v2-crc32c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93\x03\0\x04\x58\x7e\xbe\x94",
        Client("192.0.2.10:56324"),
    ),
    (
        "v2-crc32c-wrong",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93\x03\0\x04\x58\x7e\xbe\x95",
        Refused(Error::Checksum),
    ),
    (
        "v2-crc32c-of-3-bytes",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93\x03\0\x03\x58\x7e\xbe",
        Refused(Error::ChecksumLength),
    ),
    (
        "v2-two-crc32c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x1a\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93\
          \x03\0\x04\x58\x7e\xbe\x94\x03\0\x04\x58\x7e\xbe\x94",
        Refused(Error::TwoChecksums),
    ),
    (
        "v2-version-1",
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93",
        Refused(Error::Version),
    ),
    (
        "v2-command-2",
        b"\r\n\r\n\0\r\nQUIT\n\x22\x11\0\x0c\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93",
        Refused(Error::Command),
    ),
    ("v2-family-4", b"\r\n\r\n\0\r\nQUIT\n\x21\x41\0\0", Refused(Error::Family)),
    ("v2-transport-3", b"\r\n\r\n\0\r\nQUIT\n\x21\x13\0\0", Refused(Error::Transport)),
    ("v2-tcp4-short", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x08\xc0\0\x02\x0a\xc6\x33\x64\x01", Refused(Error::TooShort)),
    (
        "v2-tcp6-with-ipv4",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x0c\
          \xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93",
        Refused(Error::TooShort),
    ),
    ("v2-4097-bytes", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\xf1", Refused(Error::TooLong)),
    ("v2-local-65551-bytes", b"\r\n\r\n\0\r\nQUIT\n\x20\0\xff\xff", Refused(Error::TooLong)),
    ("v2-signature-of-another", b"\r\n\r\n\0\r\nQUIT\r\x20\0\0\0", Refused(Error::Start)),
    ("http", b"GET / HTTP/1.1\r\n", Refused(Error::Start)),
];
