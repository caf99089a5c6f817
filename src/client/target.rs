//! The server: `HOST[:PORT]`, or the address of a Unix or vsock socket; resolved and connected to.
//!
//! Guarantees: every address of a name is tried, in the resolver's order, each within the timeout. Sends nothing but
//! the PROXY header, if there is one.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::client_protocol::ClientProtocol;
use super::connector;
use super::failure::{Failure, reason};
use super::options::address_family::AddressFamily;
use super::proxy_header::HeaderTemplate;
use crate::sys::{Errno, SocketAddress, SocketFamily, StreamSocket, VsockAddress};

/// The server that a command line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerName {
    /// A host, with or without a port.
    Host {
        /// A name or an IP address.
        host: String,
        /// The port.
        port: Option<u16>,
    },
    /// A Unix or vsock socket.
    Local(LocalServer),
}

/// The address of a Unix or vsock socket that can be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalServer(SocketAddress);

impl LocalServer {
    fn new(address: SocketAddress) -> Result<Self, String> {
        match address {
            SocketAddress::Vsock(VsockAddress { cid: VsockAddress::ANY, port }) => {
                Err(format!("vsock::{port} is every CID: name one (1: this machine, 2: its host)"))
            }
            address => Ok(Self(address)),
        }
    }
}

impl FromStr for ServerName {
    type Err = String;

    /// Parses `name`, `name:port`, `192.0.2.1:port`, `[2001:db8::1]:port`, `2001:db8::1`, `unix:/path`, `unix:@name`,
    /// `vsock:cid:port`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(['/', '.']) && text.contains('/') {
            return Err("a Unix socket is written with a prefix and an absolute path: unix:/run/x.sock".into());
        }
        if let Some(address) = SocketAddress::parse_local(text) {
            return address.and_then(LocalServer::new).map(Self::Local);
        }
        let (host, port) = split(text)?;
        if host.is_empty() {
            return Err("no host before the port".into());
        }
        let port = port.map(|digits| digits.parse().map_err(|_| format!("not a port: '{digits}'"))).transpose()?;
        if port == Some(0) {
            return Err("port 0 cannot be connected to".into());
        }
        Ok(Self::Host { host: host.to_owned(), port })
    }
}

fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or("an IPv6 address in [ needs its ]")?;
        return match (rest, rest.strip_prefix(':')) {
            ("", _) => Ok((host, None)),
            (_, Some(port)) => Ok((host, Some(port))),
            _ => Err("only :PORT may follow ]".into()),
        };
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, Some(port))),
        // No colon: no port. Several: an IPv6 address without brackets, behind which a port would be ambiguous.
        _ => Ok((text, None)),
    }
}

/// A server with at least one address, and its name in messages.
#[derive(Clone, Debug)]
pub struct Target {
    name: String,
    addresses: Vec<SocketAddress>,
    /// What each connection begins with.
    proxy_header: Option<HeaderTemplate>,
}

impl Target {
    /// Resolves the addresses of the server in this family; for a host without a port, that of the protocol is used.
    ///
    /// # Errors
    /// The host is unknown or has no such address, or there is no port.
    pub fn resolve(server: &ServerName, protocol: ClientProtocol, family: AddressFamily) -> Result<Self, Failure> {
        match server {
            ServerName::Host { host, port } => Self::of_host(host, port.or(protocol.port()), protocol, family),
            ServerName::Local(LocalServer(address)) if family.adjective().is_empty() => {
                Ok(Self { name: address.to_string(), addresses: vec![address.clone()], proxy_header: None })
            }
            ServerName::Local(LocalServer(address)) => {
                let kind = family.adjective();
                Err(Failure::cannot_run(format!("{address} has no {kind}address: leave out -4 and -6")))
            }
        }
    }

    fn of_host(
        host: &str,
        port: Option<u16>,
        protocol: ClientProtocol,
        family: AddressFamily,
    ) -> Result<Self, Failure> {
        let Some(port) = port else {
            let why = format!("{} has no default port: give HOST:PORT", protocol.name());
            return Err(Failure::cannot_run(why));
        };
        let addresses: Vec<_> = (host, port)
            .to_socket_addrs()
            .map_err(|error| Failure::cannot(format_args!("find {host}"), &error))?
            .filter(|resolved| family.allows(resolved))
            .map(SocketAddress::Internet)
            .collect();
        if addresses.is_empty() {
            let kind = family.adjective();
            return Err(Failure::cannot_run(format!("cannot find {host}: it has no {kind}address")));
        }
        Ok(Self { name: display_name(host, port), addresses, proxy_header: None })
    }

    /// The same server, with connections that begin with a PROXY header.
    #[must_use]
    pub fn with_proxy_header(self, proxy_header: Option<HeaderTemplate>) -> Self {
        Self { proxy_header, ..self }
    }

    /// The same server without the header that begins each connection; `None` if there is none.
    #[must_use]
    pub fn without_proxy_header(&self) -> Option<Self> {
        self.proxy_header.as_ref().map(|_| Self { proxy_header: None, ..self.clone() })
    }

    /// The PROXY header that begins a connection to `address`, made or in progress; empty if there is none.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn proxy_header(&self, connection: &StreamSocket, address: &SocketAddress) -> io::Result<Vec<u8>> {
        self.proxy_header.as_ref().map_or(Ok(Vec::new()), |header| header.bytes(connection, address))
    }

    /// Connects to the first address that accepts, with `TCP_NODELAY`, and sends the header, if there is one; each may
    /// take `timeout`.
    ///
    /// # Errors
    /// No address accepts: the errors of all, each with its address; the kind is that of the last one. Or there is no
    /// free descriptor ([`lacks_descriptors`]).
    pub fn connect(&self, timeout: Duration) -> io::Result<StreamSocket> {
        self.connect_before(timeout, None)
    }

    /// Like [`Target::connect`], and all addresses together may take until `deadline`.
    ///
    /// # Errors
    /// As [`Target::connect`].
    pub fn connect_before(&self, timeout: Duration, deadline: Option<Instant>) -> io::Result<StreamSocket> {
        let mut kind = ErrorKind::AddrNotAvailable;
        let mut reasons = Vec::new();
        for address in &self.addresses {
            let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
            match connector::connect(address, timeout.min(left)) {
                Ok(mut stream) => {
                    let header = self.proxy_header(&stream, address)?;
                    // fails if the server has closed the connection: reading will tell
                    let _ = stream.write_all(&header);
                    return Ok(stream);
                }
                // of this process or machine, not of the address
                Err(error) if lacks_descriptors(&error) => return Err(error),
                Err(error) => {
                    kind = error.kind();
                    reasons.push(self.attributed(address, reason(&error)));
                }
            }
        }
        Err(io::Error::new(kind, reasons.join("; ")))
    }

    /// A reason with the address that it is about, unless the target's name is that address.
    fn attributed(&self, address: &SocketAddress, reason: String) -> String {
        if self.name == address.to_string() { reason } else { format!("{address}: {reason}") }
    }

    /// Like [`Target::connect`]; the failure ends the subcommand.
    ///
    /// # Errors
    /// As [`Target::connect`].
    pub fn connect_or_fail(&self, timeout: Duration) -> Result<StreamSocket, Failure> {
        self.connect(timeout).map_err(|error| self.unreachable(&error))
    }

    /// The address that a connection was made to, for further ones.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn address_of(&self, connection: &StreamSocket) -> Result<SocketAddress, Errno> {
        match &self.addresses[..] {
            // a path that the server's socket was bound to need not lead there from here
            [address @ SocketAddress::Unix(_)] => Ok(address.clone()),
            _ => connection.peer_address(),
        }
    }

    /// The failure that there is no connection, with a hint.
    #[must_use]
    pub fn unreachable(&self, error: &io::Error) -> Failure {
        let hint = if lacks_descriptors(error) { "; raise the limit (ulimit -n)" } else { self.hint(error.kind()) };
        Failure::cannot_run(format!("cannot connect to {self}: {}{hint}", reason(error)))
    }

    fn hint(&self, kind: ErrorKind) -> &'static str {
        match (self.family(), kind) {
            (SocketFamily::Internet, ErrorKind::ConnectionRefused)
            | (SocketFamily::Vsock, ErrorKind::ConnectionReset) => "; is the server running, and on this port?",
            (SocketFamily::Internet, ErrorKind::TimedOut) => "; a firewall may be dropping packets",
            (SocketFamily::Unix, ErrorKind::NotFound) => "; is the server running, and is this its path or name?",
            // an abstract name without a socket has this error, too
            (SocketFamily::Unix, ErrorKind::ConnectionRefused) => "; no process listens there: is the server running?",
            (SocketFamily::Unix, ErrorKind::PermissionDenied) => {
                "; this takes write permission on the socket, and search permission on its directories"
            }
            (SocketFamily::Unix, ErrorKind::TimedOut) => "; the server accepts no connections: does it hang?",
            (SocketFamily::Vsock, ErrorKind::Unsupported) => NO_TRANSPORT,
            (SocketFamily::Vsock, ErrorKind::TimedOut) if self.is_this_machine() => NO_TRANSPORT,
            (SocketFamily::Vsock, ErrorKind::TimedOut) => "; is there a machine with this CID?",
            _ => "",
        }
    }

    fn is_this_machine(&self) -> bool {
        let is_local = |address: &SocketAddress| {
            matches!(address, SocketAddress::Vsock(VsockAddress { cid: VsockAddress::LOCAL, .. }))
        };
        self.addresses.iter().all(is_local)
    }

    /// The family of the addresses.
    #[must_use]
    pub fn family(&self) -> SocketFamily {
        self.addresses.first().map_or(SocketFamily::Internet, SocketAddress::family)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Whether a connection has failed because the client can open no more descriptors: EMFILE or ENFILE, socket(2).
#[must_use]
pub fn lacks_descriptors(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|number| matches!(Errno::from_raw(number), Errno::EMFILE | Errno::ENFILE))
}

/// The hint for a vsock address to which the kernel has no way.
const NO_TRANSPORT: &str = "; is the kernel module for it loaded (vsock_loopback for CID 1, vhost_vsock for guests)?";

fn display_name(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(IpAddr::V6(_)) => format!("[{host}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::sys;

    fn protocol(name: &str) -> ClientProtocol {
        ClientProtocol::by_name(name).unwrap()
    }

    fn parsed(text: &str) -> (String, Option<u16>) {
        match text.parse().unwrap() {
            ServerName::Host { host, port } => (host, port),
            ServerName::Local(server) => panic!("{server:?}"),
        }
    }

    #[test]
    fn host_and_port_are_parsed() {
        for (text, host, port) in [
            ("localhost", "localhost", None),
            ("localhost:7", "localhost", Some(7)),
            ("192.0.2.1:8083", "192.0.2.1", Some(8083)),
            ("[::1]:8083", "::1", Some(8083)),
            ("[::1]", "::1", None),
            ("2001:db8::1", "2001:db8::1", None),
        ] {
            assert_eq!(parsed(text), (host.to_owned(), port), "{text}");
        }
    }

    #[test]
    fn invalid_addresses_are_errors() {
        for text in ["", ":80", "[::1", "[::1]x", "host:", "host:http", "host:65536", "host:0", "[]:80"] {
            assert!(text.parse::<ServerName>().is_err(), "{text}");
        }
        assert_eq!("host:".parse::<ServerName>(), Err("not a port: ''".into()));
    }

    #[test]
    fn a_path_without_its_prefix_is_explained() {
        for text in ["/run/x.sock", "./x.sock", "../x.sock"] {
            assert!(text.parse::<ServerName>().unwrap_err().ends_with("unix:/run/x.sock"), "{text}");
        }
    }

    #[test]
    fn ipv6_address_is_displayed_in_brackets() {
        let target = Target::resolve(&"::1".parse().unwrap(), protocol("echo"), AddressFamily::default()).unwrap();
        assert_eq!(target.to_string(), "[::1]:7");
    }

    #[test]
    fn missing_port_error_says_how_to_give_one() {
        let failure =
            Target::resolve(&"localhost".parse().unwrap(), protocol("length-prefix"), AddressFamily::default());
        let failure = failure.unwrap_err().to_string();
        assert_eq!(failure, "length-prefix has no default port: give HOST:PORT");
    }

    #[test]
    fn a_family_excludes_addresses_of_the_other() {
        let (ipv4, ipv6) = (AddressFamily { ipv4: true, ipv6: false }, AddressFamily { ipv4: false, ipv6: true });
        let resolve = |host: &str, family| Target::resolve(&host.parse().unwrap(), protocol("echo"), family);
        assert!(resolve("127.0.0.1", ipv4).is_ok() && resolve("::1", ipv6).is_ok());
        for (host, family, words) in [("::1", ipv4, "no IPv4 address"), ("127.0.0.1", ipv6, "no IPv6 address")] {
            let failure = resolve(host, family).unwrap_err().to_string();
            assert!(failure.ends_with(words), "{failure}");
        }
    }

    #[test]
    fn the_error_of_each_address_is_reported_with_it() {
        let closed = ["127.0.0.2:1", "127.0.0.1:1"].map(|text| SocketAddress::Internet(text.parse().unwrap()));
        let target = Target { name: "localhost:1".into(), addresses: closed.to_vec(), proxy_header: None };
        let error = target.connect(Duration::from_secs(60)).unwrap_err();
        let words = "cannot connect to localhost:1: 127.0.0.2:1: Connection refused; 127.0.0.1:1: Connection refused; \
                     is the server running, and on this port?";
        assert_eq!(target.unreachable(&error).to_string(), words);
    }

    fn target(text: &str) -> Target {
        Target::resolve(&text.parse().unwrap(), protocol("length-prefix"), AddressFamily::default()).unwrap()
    }

    #[test]
    fn local_sockets_are_servers_without_a_port() {
        for text in ["unix:/run/retortd/echo.sock", "unix:@echo", "vsock:2:7"] {
            let target = target(text);
            assert_eq!((target.to_string(), target.addresses[0].to_string()), (text.into(), text.into()));
        }
        for (text, words) in [("vsock::7", "every CID"), ("unix:echo", "absolute path"), ("vsock:2", "vsock:CID:PORT")]
        {
            let error = text.parse::<ServerName>().unwrap_err();
            assert!(error.contains(words) && !error.contains("listen"), "{error}");
        }
        let ipv6 = AddressFamily { ipv4: false, ipv6: true };
        let failure = Target::resolve(&"unix:@echo".parse().unwrap(), protocol("echo"), ipv6).unwrap_err().to_string();
        assert_eq!(failure, "unix:@echo has no IPv6 address: leave out -4 and -6");
    }

    #[test]
    fn each_family_has_hints_of_its_own() {
        for (text, kind, words) in [
            ("127.0.0.1:1", ErrorKind::ConnectionRefused, "on this port?"),
            ("127.0.0.1:1", ErrorKind::TimedOut, "firewall"),
            ("unix:/run/x", ErrorKind::NotFound, "its path or name?"),
            ("unix:@x", ErrorKind::ConnectionRefused, "no process listens there"),
            ("unix:/run/x", ErrorKind::PermissionDenied, "write permission"),
            ("unix:/run/x", ErrorKind::TimedOut, "accepts no connections"),
            ("vsock:2:7", ErrorKind::ConnectionReset, "on this port?"),
            ("vsock:2:7", ErrorKind::TimedOut, "this CID?"),
            ("vsock:1:7", ErrorKind::TimedOut, "vsock_loopback for CID 1"),
            ("vsock:3:7", ErrorKind::Unsupported, "vhost_vsock for guests"),
        ] {
            let failure = target(text).unreachable(&kind.into()).to_string();
            assert!(failure.contains(words), "{failure}");
        }
    }

    #[test]
    fn further_connections_go_where_the_first_one_went() {
        let directory = tempfile::tempdir().unwrap();
        let (bound, link) = (directory.path().join("socket"), directory.path().join("link"));
        let _listener = std::os::unix::net::UnixListener::bind(&bound).unwrap();
        std::os::unix::fs::symlink(&bound, &link).unwrap();
        let name = format!("unix:{}", link.display());
        let target = target(&name);
        let connection = target.connect(Duration::from_secs(60)).unwrap();
        assert_eq!(target.address_of(&connection).unwrap().to_string(), name);
    }

    #[test]
    fn all_addresses_together_have_until_the_deadline() {
        let listeners = ["127.0.0.1:0", "127.0.0.2:0"].map(|address| TcpListener::bind(address).unwrap());
        let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let _queued = listeners.each_ref().map(|listener| {
            // a full accept queue: the kernel drops the SYNs of further clients (listen(2))
            sys::listen(listener, 0).unwrap();
            std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap()
        });
        let addresses_of_target = addresses.map(SocketAddress::Internet).to_vec();
        let target = Target { name: "localhost:7".into(), addresses: addresses_of_target, proxy_header: None };
        let deadline = Instant::now() + Duration::from_millis(20);
        let error = target.connect_before(Duration::from_secs(3600), Some(deadline)).unwrap_err();
        let words = addresses.map(|address| format!("{address}: connection timed out")).join("; ");
        assert_eq!(error.to_string(), words);
    }
}
