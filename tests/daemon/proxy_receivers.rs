//! Receivers of the PROXY protocol as people write them: a correct one, and many with one bug each.
//!
//! They use none of the daemon's or the client's code, so that `retort check --only proxy` is tested with foreign ones.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use crate::buggy_servers::{self, for_each_client};

/// What is served behind the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Frame,
    Echo,
    Who,
    Daytime,
}

impl Service {
    /// The name of its protocol.
    pub fn protocol(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Echo => "echo",
            Self::Who => "who",
            Self::Daytime => "daytime",
        }
    }
}

/// The bug of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// No bug.
    None,
    /// Clients of Unix sockets are turned away, which is allowed.
    NoUnix,
    /// No receiver: the service without a header.
    NoReceiver,
    /// A connection without a header is served.
    Guesses,
    /// LF alone ends a line.
    LineFeed,
    /// Fields are separated by any white space.
    WhiteSpace,
    /// Numbers may have leading zeros.
    LeadingZeros,
    /// Only 16 bits of a port are used.
    PortWraps,
    /// A line may have any length.
    LongLine,
    /// UNKNOWN is not known.
    NoUnknown,
    /// The dotted form of IPv6 addresses is not known.
    NoDotted,
    /// LOCAL closes the connection.
    NoLocal,
    /// LOCAL announces a client, if it has addresses.
    LocalAnnounces,
    /// Addresses are read, whatever the length is.
    IgnoresLength,
    /// The length is not compared with that of the addresses.
    ShortLength,
    /// Checksums are not verified.
    NoChecksum,
    /// Any version is taken for 2.
    AnyVersion,
    /// Any command is taken for PROXY.
    AnyCommand,
    /// A connection with a bad header stays open.
    KeepsOpen,
    /// A part of a header closes the connection, which is allowed.
    DropsParts,
    /// `recv` is called once, and the connection stays open if that returned a part.
    OneRecv,
    /// A part of a header is taken for a request.
    ServesParts,
    /// Version 1 is not known.
    OnlyV2,
    /// What was read behind the header is discarded.
    ForgetsTheRest,
    /// Headers are read until none follows.
    AllHeaders,
    /// The announced client is ignored.
    RealPeer,
}

/// What the bytes that have arrived are.
enum Seen {
    Part,
    Bad,
    /// A header of this length, and the client that it announces.
    Header(usize, Option<SocketAddr>),
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Starts a receiver and returns its address.
pub fn start(service: Service, bug: Bug) -> SocketAddr {
    for_each_client(move |stream| drop(receive(stream, service, bug)))
}

fn receive(mut stream: TcpStream, service: Service, bug: Bug) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut bytes, mut client) = (Vec::new(), Some(stream.peer_addr()?));
    if bug == Bug::NoReceiver {
        return serve(stream, service, bytes, client);
    }
    loop {
        let mut buffer = [0; 4096];
        let n = stream.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..n]);
        match seen(&bytes, bug) {
            Seen::Part if n > 0 && bug == Bug::ServesParts => stream.write_all(b"?")?,
            Seen::Part if n > 0 && bug == Bug::OneRecv => while stream.read(&mut buffer)? > 0 {},
            Seen::Part if n > 0 && bug != Bug::DropsParts => {}
            Seen::Bad if bug == Bug::Guesses && bytes[0] != b'P' && bytes[0] != b'\r' => {
                return serve(stream, service, bytes, client);
            }
            Seen::Bad if bug == Bug::KeepsOpen => while stream.read(&mut buffer)? > 0 {},
            Seen::Part | Seen::Bad => return Ok(()),
            Seen::Header(length, announced) => {
                bytes.drain(..length);
                while let (Bug::AllHeaders, Seen::Header(length, _)) = (bug, seen(&bytes, bug)) {
                    bytes.drain(..length);
                }
                if bug == Bug::ForgetsTheRest {
                    bytes.clear();
                }
                client = announced.filter(|_| bug != Bug::RealPeer).or(client);
                return serve(stream, service, bytes, client);
            }
        }
    }
}

fn serve(mut stream: TcpStream, service: Service, ahead: Vec<u8>, client: Option<SocketAddr>) -> io::Result<()> {
    match service {
        Service::Frame => buggy_servers::serve(stream, ahead),
        Service::Echo => {
            stream.write_all(&ahead)?;
            io::copy(&mut stream.try_clone()?, &mut stream).map(drop)
        }
        Service::Who => {
            let peer = client.map(|client| client.to_string()).unwrap_or_default();
            writeln!(stream, "{{\"host\":\"test\",\"protocol\":\"who\",\"peer\":\"{peer}\"}}")?;
            finish(stream)
        }
        Service::Daytime => {
            stream.write_all(b"Thursday, November 26, 2026 17:00:00-UTC\r\n")?;
            finish(stream)
        }
    }
}

/// Closes the connection without a reset: the input is read to its end.
fn finish(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown(std::net::Shutdown::Write)?;
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

fn seen(bytes: &[u8], bug: Bug) -> Seen {
    if SIGNATURE.starts_with(&bytes[..bytes.len().min(SIGNATURE.len())]) {
        return if bytes.len() < 16 { early(bytes, bug) } else { binary(bytes, bug) };
    }
    let start = &bytes[..bytes.len().min(6)];
    if b"PROXY ".starts_with(start) && bug != Bug::OnlyV2 { line(bytes, bug) } else { Seen::Bad }
}

/// The first bytes of version 2: refused as soon as they cannot be right.
fn early(bytes: &[u8], bug: Bug) -> Seen {
    match bytes.get(12) {
        Some(byte) if byte >> 4 != 2 && bug != Bug::AnyVersion => Seen::Bad,
        _ => Seen::Part,
    }
}

fn line(bytes: &[u8], bug: Bug) -> Seen {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() >= 107 && bug != Bug::LongLine { Seen::Bad } else { Seen::Part };
    };
    if end >= 107 && bug != Bug::LongLine {
        return Seen::Bad;
    }
    let line = &bytes[..end];
    let line = match line.strip_suffix(b"\r") {
        None if bug != Bug::LineFeed => return Seen::Bad,
        line_before => line_before.unwrap_or(line),
    };
    let Ok(line) = std::str::from_utf8(line) else { return Seen::Bad };
    let fields: Vec<&str> = match bug {
        Bug::WhiteSpace => line.split_ascii_whitespace().collect(),
        _ => line.split(' ').collect(),
    };
    match fields[1..] {
        ["UNKNOWN", ..] if bug != Bug::NoUnknown => Seen::Header(end + 1, None),
        [family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            let is_right = |address: IpAddr| address.is_ipv4() == (family == "TCP4");
            let addresses = [from, to].map(|text| address(text, bug).filter(|address| is_right(*address)));
            match (addresses, [from_port, to_port].map(|text| port(text, bug))) {
                ([Some(from), Some(_)], [Some(port), Some(_)]) => {
                    Seen::Header(end + 1, Some(SocketAddr::new(from.to_canonical(), port)))
                }
                _ => Seen::Bad,
            }
        }
        _ => Seen::Bad,
    }
}

fn address(text: &str, bug: Bug) -> Option<IpAddr> {
    if bug == Bug::NoDotted && text.contains(':') && text.contains('.') {
        return None;
    }
    if bug == Bug::LeadingZeros && !text.contains(':') {
        let octets: Vec<u8> = text.split('.').map(|octet| octet.parse().ok()).collect::<Option<_>>()?;
        return <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    }
    text.parse().ok()
}

fn port(text: &str, bug: Bug) -> Option<u16> {
    let is_canonical = text == "0" || (text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0'));
    let number: u32 = text.parse().ok().filter(|_| is_canonical)?;
    if bug == Bug::PortWraps { Some(number as u16) } else { u16::try_from(number).ok() }
}

/// Version 2, with at least the 16 bytes before the addresses.
fn binary(bytes: &[u8], bug: Bug) -> Seen {
    let (version, mut command, family) = (bytes[12] >> 4, bytes[12] & 15, bytes[13]);
    let needed = match family {
        0x11 => 12,
        0x21 => 36,
        0x31 | 0x32 => 216,
        _ => 0,
    };
    let mut length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    match bug {
        Bug::IgnoresLength if command == 0 => length = 0,
        Bug::IgnoresLength => length = needed,
        Bug::ShortLength => length = length.max(needed),
        Bug::AnyCommand => command = command.min(1),
        Bug::LocalAnnounces if command == 0 && length > 0 => command = 1,
        _ => {}
    }
    let is_wrong_version = version != 2 && bug != Bug::AnyVersion;
    if is_wrong_version || command > 1 || (command == 1 && length < needed) || (command == 0 && bug == Bug::NoLocal) {
        return Seen::Bad;
    }
    if bug == Bug::NoUnix && family >> 4 == 3 {
        return Seen::Bad;
    }
    let Some(block) = bytes[16..].get(..length) else { return Seen::Part };
    let end = 16 + length;
    if command == 0 || needed == 0 || needed == 216 {
        return Seen::Header(end, None);
    }
    if bug != Bug::NoChecksum && !checksum_is_right(&bytes[..end], needed) {
        return Seen::Bad;
    }
    let (from, port): (IpAddr, _) = match needed {
        12 => (<[u8; 4]>::try_from(&block[..4]).expect("4 bytes").into(), &block[8..10]),
        _ => (<[u8; 16]>::try_from(&block[..16]).expect("16 bytes").into(), &block[32..34]),
    };
    Seen::Header(end, Some(SocketAddr::new(from.to_canonical(), u16::from_be_bytes([port[0], port[1]]))))
}

/// Walks the TLVs behind the addresses, which take `needed` bytes.
fn checksum_is_right(header: &[u8], needed: usize) -> bool {
    let mut at = 16 + needed;
    while let Some([kind, high, low]) = header.get(at..at + 3) {
        let (value, length) = (at + 3, usize::from(u16::from_be_bytes([*high, *low])));
        if *kind == 3 {
            let mut zeroed = header.to_vec();
            zeroed[value..value + 4].fill(0);
            return header[value..value + 4] == crc32c(&zeroed).to_be_bytes();
        }
        at = value + length;
    }
    at == header.len()
}

/// CRC32C bit by bit: the polynomial of Castagnoli, reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
