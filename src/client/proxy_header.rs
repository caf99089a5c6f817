//! The PROXY header that begins each connection, if the command line asks for one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::failure::Failure;
use super::options::proxy::{AnnouncedSource, HeaderForm, HeaderTlv, ProxyOptions};
use crate::protocol::proxy_header::{ProxyHeader, encode_v1, encode_v2};
use crate::sys::{SocketAddress, StreamSocket};

/// The bytes of the longest header that is sent. Derived: the default buffer of haproxy, and the least that a new
/// connection takes without waiting for the server (`net.ipv4.tcp_wmem`).
const MAX_SENT: usize = 16 << 10;

/// What the headers of all connections have in common.
#[derive(Clone, Debug)]
pub struct HeaderTemplate {
    form: HeaderForm,
    source: Option<AnnouncedSource>,
    tlvs: Vec<(u8, Vec<u8>)>,
    checksum: bool,
}

impl HeaderTemplate {
    /// The header that the options describe, or none.
    ///
    /// # Errors
    /// The options contradict one another, or the header would be too long.
    pub fn new(options: &ProxyOptions) -> Result<Option<Self>, Failure> {
        let Some(form) = options.proxy else { return Ok(None) };
        if form == HeaderForm::Local && options.proxy_source.is_some() {
            return Err(Failure::cannot_run("--proxy local announces no client: leave out --proxy-source"));
        }
        if form != HeaderForm::V2 && !options.proxy_tlv.is_empty() {
            return Err(Failure::cannot_run("--proxy-tlv needs --proxy v2: no other header has TLVs here"));
        }
        let value = |tlv: &HeaderTlv| match tlv {
            HeaderTlv::Value(kind, value) => Some((*kind, value.clone())),
            HeaderTlv::Checksum => None,
        };
        let tlvs: Vec<_> = options.proxy_tlv.iter().filter_map(value).collect();
        let checksum = options.proxy_tlv.contains(&HeaderTlv::Checksum);
        let template = Self { form, source: options.proxy_source, tlvs, checksum };
        // the addresses of IPv6 are the longest
        let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        let longest = template.encode(&ProxyHeader::proxied(any, any));
        let longest = longest.map_err(|error| Failure::cannot_run(format!("--proxy-tlv: {error}")))?;
        if longest.len() > MAX_SENT {
            return Err(Failure::cannot_run(format!("--proxy-tlv: the header would be longer than {MAX_SENT} bytes")));
        }
        Ok(Some(template))
    }

    /// The header for a connection to `server`, made or in progress.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn bytes(&self, connection: &StreamSocket, server: &SocketAddress) -> io::Result<Vec<u8>> {
        let header = match (self.form, server, self.source) {
            // neither end of a Unix or vsock socket has an address of TCP
            (HeaderForm::Local, ..) | (_, SocketAddress::Unix(_) | SocketAddress::Vsock(_), None) => ProxyHeader::Local,
            (_, SocketAddress::Internet(server), source) => {
                let local = local_address(connection)?;
                let announced =
                    |source: AnnouncedSource| SocketAddr::new(source.address, source.port.unwrap_or(local.port()));
                ProxyHeader::proxied(source.map_or(local, announced), *server)
            }
            (_, SocketAddress::Unix(_) | SocketAddress::Vsock(_), Some(AnnouncedSource { address, port })) => {
                let source = SocketAddr::new(address, port.unwrap_or(0));
                ProxyHeader::proxied(source, SocketAddr::new(unspecified(address), 0))
            }
        };
        self.encode(&header)
    }

    fn encode(&self, header: &ProxyHeader) -> io::Result<Vec<u8>> {
        match self.form {
            HeaderForm::V1 => Ok(encode_v1(header)),
            HeaderForm::V2 | HeaderForm::Local => {
                encode_v2(header, &self.tlvs, self.checksum).map_err(io::Error::other)
            }
        }
    }
}

/// The unspecified address of the same version of IP.
fn unspecified(address: IpAddr) -> IpAddr {
    if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

fn local_address(connection: &StreamSocket) -> io::Result<SocketAddr> {
    match connection.local_address()? {
        SocketAddress::Internet(address) => Ok(address),
        other => Err(io::Error::other(format!("{other} is not an address of TCP"))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn options(form: HeaderForm, source: Option<&str>, tlvs: &[&str]) -> ProxyOptions {
        let proxy_source = source.map(|text| text.parse().expect(text));
        let proxy_tlv = tlvs.iter().map(|text| text.parse().expect(text)).collect();
        ProxyOptions { proxy: Some(form), proxy_source, proxy_tlv }
    }

    fn template(form: HeaderForm, source: Option<&str>, tlvs: &[&str]) -> HeaderTemplate {
        HeaderTemplate::new(&options(form, source, tlvs)).expect("a header").expect("a header")
    }

    /// The header for a connection over the loopback interface of IPv4, and its addresses.
    fn over_tcp(template: &HeaderTemplate) -> (Vec<u8>, SocketAddr, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let server = listener.local_addr().expect("an address");
        let client = TcpStream::connect(server).expect("connect");
        let local = client.local_addr().expect("an address");
        (template.bytes(&client.into(), &SocketAddress::Internet(server)).expect("a header"), local, server)
    }

    fn over_unix(template: &HeaderTemplate) -> Vec<u8> {
        let (client, _server) = UnixStream::pair().expect("a pair of sockets");
        let server = SocketAddress::parse_local("unix:@server").expect("a prefix").expect("an address");
        let client = OwnedFd::from(client).try_into().expect("a socket");
        template.bytes(&client, &server).expect("a header")
    }

    #[test]
    fn a_connection_announces_its_own_addresses_or_a_source() {
        let (header, local, server) = over_tcp(&template(HeaderForm::V1, None, &[]));
        let ports = format!("{} {}\r\n", local.port(), server.port());
        assert_eq!(header, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {ports}").as_bytes());
        let (header, local, server) = over_tcp(&template(HeaderForm::V1, Some("192.0.2.1"), &[]));
        let ports = format!("{} {}\r\n", local.port(), server.port());
        assert_eq!(header, format!("PROXY TCP4 192.0.2.1 127.0.0.1 {ports}").as_bytes());
        let (header, _, server) = over_tcp(&template(HeaderForm::V1, Some("[2001:db8::1]:5"), &[]));
        let expected = format!("PROXY TCP6 2001:db8::1 ::ffff:127.0.0.1 5 {}\r\n", server.port());
        assert_eq!(header, expected.as_bytes(), "addresses of two families are both sent as IPv6");
    }

    #[test]
    fn local_sockets_announce_nothing_or_a_source() {
        assert_eq!(over_unix(&template(HeaderForm::V1, None, &[])), b"PROXY UNKNOWN\r\n");
        assert_eq!(over_unix(&template(HeaderForm::V2, None, &[])), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
        let source = template(HeaderForm::V1, Some("192.0.2.1:5"), &[]);
        assert_eq!(over_unix(&source), b"PROXY TCP4 192.0.2.1 0.0.0.0 5 0\r\n");
        let source = template(HeaderForm::V1, Some("2001:db8::1"), &[]);
        assert_eq!(over_unix(&source), b"PROXY TCP6 2001:db8::1 :: 0 0\r\n");
    }

    #[test]
    fn version_2_has_tlvs_and_a_checksum() {
        let template = template(HeaderForm::V2, Some("192.0.2.1:5"), &["0xE0=00ff", "crc32c"]);
        let header = over_unix(&template);
        let (before, checksum) = header.split_at(header.len() - 4);
        let expected = b"\x21\x11\0\x18\xc0\0\x02\x01\0\0\0\0\0\x05\0\0\xe0\0\x02\0\xff\x03\0\x04";
        assert_eq!((&before[12..], checksum.len()), (expected.as_slice(), 4));
        assert_ne!(checksum, [0; 4]);
    }

    #[test]
    fn options_that_contradict_one_another_are_errors() {
        let long = format!("4={}", "00".repeat(MAX_SENT));
        for (options, words) in [
            (options(HeaderForm::Local, Some("192.0.2.1"), &[]), "announces no client"),
            (options(HeaderForm::V1, None, &["3=00"]), "needs --proxy v2"),
            (options(HeaderForm::Local, None, &["3=00"]), "needs --proxy v2"),
            (options(HeaderForm::V2, None, &["3=00000000", "crc32c"]), "checksum"),
            (options(HeaderForm::V2, None, &[&long]), "longer than 16384 bytes"),
        ] {
            let failure = HeaderTemplate::new(&options).expect_err(words).to_string();
            assert!(failure.contains(words), "{failure}");
        }
        assert!(HeaderTemplate::new(&ProxyOptions::default()).expect("no error").is_none());
    }
}
