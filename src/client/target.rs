//! The server: `HOST[:PORT]`, resolved and connected to.
//!
//! Guarantees: every address of a name is tried, in the resolver's order, each within the timeout. Sends nothing.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use super::connector;
use super::failure::Failure;

/// A host, with or without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: Option<u16>,
}

impl FromStr for HostPort {
    type Err = String;

    /// Parses `name`, `name:port`, `192.0.2.1:port`, `[2001:db8::1]:port`, `2001:db8::1`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = split(text)?;
        if host.is_empty() {
            return Err("no host before the port".into());
        }
        let port = port.map(|digits| digits.parse().map_err(|_| format!("not a port: {digits}"))).transpose()?;
        if port == Some(0) {
            return Err("port 0 cannot be connected to".into());
        }
        Ok(Self { host: host.to_owned(), port })
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
    addresses: Vec<SocketAddr>,
}

impl Target {
    /// Resolves all addresses of the host; without a port in `address`, `default_port` is used.
    ///
    /// # Errors
    /// The host is unknown, or there is no port.
    pub fn resolve(address: &HostPort, default_port: Option<u16>) -> Result<Self, Failure> {
        let Some(port) = address.port.or(default_port) else {
            return Err(Failure::cannot_run("this protocol has no default port: give HOST:PORT"));
        };
        let name = display_name(&address.host, port);
        let addresses: Vec<_> = (address.host.as_str(), port)
            .to_socket_addrs()
            .map_err(|error| Failure::cannot_run(format!("cannot find {}: {error}", address.host)))?
            .collect();
        if addresses.is_empty() {
            return Err(Failure::cannot_run(format!("cannot find {}: it has no address", address.host)));
        }
        Ok(Self { name, addresses })
    }

    /// Connects to the first address that accepts, with `TCP_NODELAY`; each may take `timeout`.
    ///
    /// # Errors
    /// No address accepts: the error of the last one.
    pub fn connect(&self, timeout: Duration) -> io::Result<TcpStream> {
        let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
        for address in &self.addresses {
            match connector::connect(*address, None, timeout) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Like [`Target::connect`]; the failure ends the subcommand.
    ///
    /// # Errors
    /// As [`Target::connect`].
    pub fn connect_or_fail(&self, timeout: Duration) -> Result<TcpStream, Failure> {
        self.connect(timeout).map_err(|error| self.unreachable(&error))
    }

    /// The failure that there is no connection, with a hint.
    #[must_use]
    pub fn unreachable(&self, error: &io::Error) -> Failure {
        let hint = match error.kind() {
            ErrorKind::ConnectionRefused => "; is the server running, and on this port?",
            ErrorKind::TimedOut => "; a firewall may be dropping packets",
            _ => "",
        };
        Failure::cannot_run(format!("cannot connect to {self}: {error}{hint}"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn display_name(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(IpAddr::V6(_)) => format!("[{host}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, Option<u16>) {
        let address: HostPort = text.parse().unwrap();
        (address.host, address.port)
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
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn ipv6_address_is_displayed_in_brackets() {
        let target = Target::resolve(&"::1".parse().unwrap(), Some(7)).unwrap();
        assert_eq!(target.to_string(), "[::1]:7");
    }

    #[test]
    fn missing_port_error_says_how_to_give_one() {
        let failure = Target::resolve(&"localhost".parse().unwrap(), None).unwrap_err();
        assert!(failure.to_string().contains("HOST:PORT"), "{failure}");
    }
}
