//! The group of checks `proxy`: headers of the PROXY protocol, and what a receiver does after each.
//!
//! The specification is doc/proxy-protocol.txt of haproxy, revision 2026/04/27. The hints name what real servers do
//! wrong; haproxy 2.6 and nginx 1.22 were tried. The specification allows a receiver to close the connection if a header
//! does not arrive in one piece: only the checks whose names end with `-fragments` send a whole one in parts, and
//! `proxy-silent` sends a part of one.

use super::checks::proxy::{self, HEADER, HEADER_V2, Receives};
use super::definition::AppliesTo::{Only, WithReply};
use super::definition::{Check, PROXY};
use Receives::{Client, Nothing, Sender, SenderOrNothing};

/// The client of most headers.
const IPV4: Receives = Client(proxy::CLIENT);
const IPV6: Receives = Client("[2001:db8::10]:56324");

const V1: &str = "the line is `PROXY TCP4 SOURCE DESTINATION PORT PORT` with CRLF: take exactly its bytes, and those behind \
    it for the client's first";
const V2: &str = "the header is the signature, a byte 0x21, a byte for the family, the length in 16 bits, and as many bytes \
    as that says: those behind it are the client's first";
const FRAGMENTS: &str = "recv may return any part of a header: keep what has arrived and wait for the rest (recommended), or \
    close the connection (allowed); do neither parse nor answer a part";
const CLOSE: &str = "close the connection at the first byte that makes the header impossible, and send nothing";
const EXACT: &str = "the line has exactly one space between two fields, and ends with CRLF: splitting at white space, or at \
    LF, accepts more than the specification allows; close the connection";
const NUMBERS: &str = "an octet is 0 to 255 and a port 0 to 65535, in decimal without leading zeros: haproxy 2.6 and nginx \
    1.22 accept some others, which may be another address for the next program; close the connection";

#[rustfmt::skip]
pub const CHECKS: &[Check] = &[
    Check { group: PROXY, name: "proxy-silent", applies_to: WithReply, run: proxy::silent_before_header,
        about: "nothing is sent before the header is complete",
        hint: "send nothing before the whole header has arrived, also in a protocol in which the server speaks first" },
    Check { group: PROXY, name: "proxy-required", applies_to: WithReply, run: proxy::no_header,
        about: "a connection without a header is closed",
        hint: CLOSE },
    Check { group: PROXY, name: "proxy-second-header", applies_to: Only("echo"), run: proxy::second_header,
        about: "a second header is data",
        hint: "read one header for each connection: a second one is from the client, which could claim any address with it" },

    Check { group: PROXY, name: "proxy-v1-tcp4", applies_to: WithReply,
        run: |context| proxy::receives(context, HEADER, IPV4),
        about: "version 1, IPv4",
        hint: V1 },
    Check { group: PROXY, name: "proxy-v1-tcp4-longest", applies_to: WithReply,
        run: |context| proxy::receives(context, b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            Client("255.255.255.255:65535")),
        about: "version 1, IPv4, the longest line of 56 bytes",
        hint: V1 },
    Check { group: PROXY, name: "proxy-v1-tcp6", applies_to: WithReply,
        run: |context| proxy::receives(context, b"PROXY TCP6 2001:db8::10 2001:db8::1 56324 8083\r\n", IPV6),
        about: "version 1, IPv6",
        hint: "the line is `PROXY TCP6 SOURCE DESTINATION PORT PORT` with CRLF, and the addresses may be abbreviated with `::`" },
    Check { group: PROXY, name: "proxy-v1-tcp6-mapped-dotted", applies_to: WithReply,
        run: |context| proxy::receives(context, b"PROXY TCP6 ::ffff:192.0.2.10 ::ffff:198.51.100.1 56324 8083\r\n", IPV4),
        about: "version 1, an IPv4 address as an IPv6 address in the dotted form",
        hint: "haproxy and nginx send this form for IPv4 clients of a listener for both families: accept it, and take it for the IPv4 address" },
    Check { group: PROXY, name: "proxy-v1-unknown-short", applies_to: WithReply,
        run: |context| proxy::receives(context, b"PROXY UNKNOWN\r\n", Sender),
        about: "version 1, UNKNOWN without addresses",
        hint: "haproxy sends UNKNOWN for clients on Unix sockets: serve them, with the real peer as the client" },
    Check { group: PROXY, name: "proxy-v1-two-requests-behind", applies_to: WithReply,
        run: |context| proxy::receives_with_requests(context, HEADER, IPV4, 2),
        about: "version 1, with two requests behind it in one piece",
        hint: "the bytes that recv returned beyond the header are the client's: process all of them" },
    Check { group: PROXY, name: "proxy-v1-fragments", applies_to: WithReply,
        run: |context| proxy::fragments(context, HEADER),
        about: "version 1, byte by byte",
        hint: FRAGMENTS },
    Check { group: PROXY, name: "proxy-v1-lf-alone", applies_to: WithReply,
        run: |context| proxy::receives(context, b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 8083\n", Nothing),
        about: "version 1, LF without CR",
        hint: EXACT },
    Check { group: PROXY, name: "proxy-v1-two-spaces", applies_to: WithReply,
        run: |context| proxy::receives(context, b"PROXY TCP4  192.0.2.10 198.51.100.1 56324 8083\r\n", Nothing),
        about: "version 1, two spaces between two fields",
        hint: EXACT },
    Check { group: PROXY, name: "proxy-v1-octet-leading-zero", applies_to: WithReply,
        run: |context| proxy::receives(context, b"PROXY TCP4 192.0.2.010 198.51.100.1 56324 8083\r\n", Nothing),
        about: "version 1, a leading zero in an address",
        hint: NUMBERS },
    Check { group: PROXY, name: "proxy-v1-port-65536", applies_to: WithReply,
        run: |context| proxy::receives(context, b"PROXY TCP4 192.0.2.10 198.51.100.1 65536 8083\r\n", Nothing),
        about: "version 1, a port above 65535",
        hint: NUMBERS },
    Check { group: PROXY, name: "proxy-v1-108-bytes", applies_to: WithReply,
        run: |context| proxy::receives(context, b"PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n", Nothing),
        about: "version 1, a line of 108 bytes",
        hint: "the longest line has 107 bytes with CRLF: without CRLF in them, close the connection" },

    Check { group: PROXY, name: "proxy-v2-tcp4", applies_to: WithReply,
        run: |context| proxy::receives(context, HEADER_V2, IPV4),
        about: "version 2, IPv4",
        hint: V2 },
    Check { group: PROXY, name: "proxy-v2-fragments", applies_to: WithReply,
        run: |context| proxy::fragments(context, HEADER_V2),
        about: "version 2, byte by byte",
        hint: FRAGMENTS },
    Check { group: PROXY, name: "proxy-v2-tcp6", applies_to: WithReply,
        run: |context| proxy::receives(context, b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\
            \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xdc\x04\x1f\x93", IPV6),
        about: "version 2, IPv6",
        hint: V2 },
    Check { group: PROXY, name: "proxy-v2-local", applies_to: WithReply,
        run: |context| proxy::receives(context, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", Sender),
        about: "version 2, LOCAL",
        hint: "health checks of haproxy, and its clients on Unix sockets, are LOCAL (0x20): serve them, with the real peer as the client" },
    Check { group: PROXY, name: "proxy-v2-local-with-addresses", applies_to: WithReply,
        run: |context| proxy::receives(context, b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x0c\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93", Sender),
        about: "version 2, LOCAL with addresses",
        hint: "with LOCAL skip as many bytes as the length says, and ignore the addresses: the client is the real peer" },
    Check { group: PROXY, name: "proxy-v2-unix", applies_to: WithReply,
        run: |context| proxy::receives(context, &unix_header(), SenderOrNothing),
        about: "version 2, addresses of Unix sockets",
        hint: "skip as many bytes as the length says (216), and serve the real peer, or close the connection" },
    Check { group: PROXY, name: "proxy-v2-tlvs", applies_to: WithReply,
        run: |context| proxy::receives(context, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x47\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93\
            \x04\0\0\x02\0\x0bexample.com\x05\0\x0d7F000001:DED7\xea\0\x17\x01vpce-08d2bf15fac5001c9", IPV4),
        about: "version 2, with TLVs that a receiver need not know",
        hint: "the length includes the TLVs behind the addresses: skip those that are not known" },
    Check { group: PROXY, name: "proxy-v2-crc32c", applies_to: WithReply,
        run: |context| proxy::receives(context, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93\
            \x03\0\x04\x58\x7e\xbe\x94", IPV4),
        about: "version 2, with its checksum",
        hint: "the checksum is the CRC32C (Castagnoli) of the whole header, with zeros in place of the checksum, in network byte order" },
    Check { group: PROXY, name: "proxy-v2-crc32c-wrong", applies_to: WithReply,
        run: |context| proxy::receives(context, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93\
            \x03\0\x04\x58\x7e\xbe\x95", Nothing),
        about: "version 2, with a wrong checksum",
        hint: "a receiver that supports checksums must close the connection if one is wrong; nginx 1.22 does not verify them" },
    Check { group: PROXY, name: "proxy-v2-version-1", applies_to: WithReply,
        run: |context| proxy::receives(context, b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93", Nothing),
        about: "version 2, with another version behind the signature",
        hint: CLOSE },
    Check { group: PROXY, name: "proxy-v2-command-2", applies_to: WithReply,
        run: |context| proxy::receives(context, b"\r\n\r\n\0\r\nQUIT\n\x22\x11\0\x0c\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93", Nothing),
        about: "version 2, an unassigned command",
        hint: "a command that is neither LOCAL (0) nor PROXY (1) must end the connection; nginx 1.22 serves it" },
    Check { group: PROXY, name: "proxy-v2-tcp4-short", applies_to: WithReply,
        run: |context| proxy::receives(context, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x08\xc0\0\x02\x0a\xc6\x33\x64\x01", Nothing),
        about: "version 2, a length that does not include the ports",
        hint: "IPv4 takes 12 bytes and IPv6 36: a length below that must end the connection, and must not take bytes of the client for addresses" },
];

/// The header of a client on a Unix socket: two paths of 108 bytes.
fn unix_header() -> Vec<u8> {
    let mut paths = [[0; 108]; 2];
    paths[0][..11].copy_from_slice(b"/run/a.sock");
    paths[1][..11].copy_from_slice(b"/run/b.sock");
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8".as_slice(), &paths.concat()].concat()
}
