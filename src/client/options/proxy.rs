//! The options of the PROXY header that `retort` sends.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use clap::{Args, ValueEnum};

/// Whether, and with which header of the PROXY protocol, each connection begins.
#[derive(Args, Clone, Debug, Default)]
pub struct ProxyOptions {
    /// Begin each connection with a header of the PROXY protocol, as a load balancer does
    #[arg(long, value_enum, value_name = "FORM", help_heading = "PROXY header")]
    pub proxy: Option<HeaderForm>,
    /// The client to announce: an IPv4 address, or an IPv6 address in brackets [default: this end of the connection]
    #[arg(long, value_name = "ADDRESS[:PORT]", requires = "proxy", help_heading = "PROXY header")]
    pub proxy_source: Option<AnnouncedSource>,
    /// A TLV for the header of version 2, such as 0xE0=00ff, or crc32c for a checksum; may be repeated
    #[arg(long, value_name = "TYPE=HEX", requires = "proxy", help_heading = "PROXY header")]
    pub proxy_tlv: Vec<HeaderTlv>,
}

/// The form of a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HeaderForm {
    /// A line of text
    V1,
    /// Binary
    V2,
    /// Binary, and announces no client (LOCAL), as health checks do
    Local,
}

/// The address of a client that is announced; without a port, that of the connection is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncedSource {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: Option<u16>,
}

/// A TLV to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderTlv {
    /// This type, with this value.
    Value(u8, Vec<u8>),
    /// A CRC32C of the header, which is computed.
    Checksum,
}

impl FromStr for AnnouncedSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { address: address.ip(), port: Some(address.port()) });
        }
        let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let address = address.parse().map_err(|_| {
            "not an IP address, with or without a port: write 192.0.2.1, \
            192.0.2.1:5000 or [2001:db8::1]:5000"
        })?;
        Ok(Self { address, port: None })
    }
}

impl FromStr for HeaderTlv {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "crc32c" {
            return Ok(Self::Checksum);
        }
        let (kind, value) = text.split_once('=').ok_or("no '=': write TYPE=HEX, or crc32c")?;
        let kind = match kind.strip_prefix("0x") {
            Some(digits) if !digits.starts_with('+') => u8::from_str_radix(digits, 16).ok(),
            None if !kind.starts_with('+') => kind.parse().ok(),
            _ => None,
        };
        let kind = kind.ok_or("the type is not a number from 0 to 255, or 0x00 to 0xff")?;
        let value = bytes(value).ok_or("the value is not pairs of hexadecimal digits")?;
        Ok(Self::Value(kind, value))
    }
}

/// The bytes that pairs of hexadecimal digits encode.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| match *pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    };
    digits.as_bytes().chunks(2).map(pair).collect()
}

fn digit(character: u8) -> Option<u32> {
    char::from(character).to_digit(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_address_with_or_without_a_port() {
        for (text, address, port) in [
            ("192.0.2.1", "192.0.2.1", None),
            ("192.0.2.1:80", "192.0.2.1", Some(80)),
            ("2001:db8::1", "2001:db8::1", None),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("[2001:db8::1]:0", "2001:db8::1", Some(0)),
        ] {
            assert_eq!(text.parse(), Ok(AnnouncedSource { address: address.parse().unwrap(), port }), "{text}");
        }
        for text in ["", "host", "192.0.2.1:", "192.0.2.1:65536", "[2001:db8::1", "192.0.2.256"] {
            assert!(text.parse::<AnnouncedSource>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_tlv_is_a_type_and_hexadecimal_digits() {
        for (text, kind, value) in
            [("224=00fF", 224, b"\0\xff".as_slice()), ("0xE0=00ff", 224, b"\0\xff"), ("3=", 3, b"")]
        {
            assert_eq!(text.parse(), Ok(HeaderTlv::Value(kind, value.to_vec())), "{text}");
        }
        assert_eq!("crc32c".parse(), Ok(HeaderTlv::Checksum));
        for text in ["", "3", "256=00", "0x100=00", "-1=00", "3=0", "3=0g", "3=\u{e9}\u{e9}", "+5=00", "0x+5=00"] {
            assert!(text.parse::<HeaderTlv>().is_err(), "{text}");
        }
    }
}
