//! Listeners: the service, the address and the options in a value of `--listen` (LISTENERS in retortd(8)). The grammar
//! is in [`super::listener_syntax`].

use std::fmt;
use std::str::FromStr;

use super::listen_address::ListenAddress;
use super::listener_option::ListenerOption;
use super::listener_syntax::Written;
use super::service::{Service, default_protocol, no_service};
use super::socket_mode::SocketMode;

/// The default port of the default protocol.
pub const DEFAULT_PORT: u16 = 8083;

/// A service and the address to serve it on. Changes only with a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// The service.
    pub service: Service,
    /// The address.
    pub address: ListenAddress,
    /// The permissions of the file of a Unix socket, if they are given.
    pub mode: Option<SocketMode>,
    /// The number of listeners before it with the same service and address: port 0 can be given more than once.
    pub ordinal: usize,
}

impl Endpoint {
    /// The default protocol on a port of all addresses.
    #[must_use]
    pub fn of_port(port: u16) -> Self {
        let service = Service::Protocol(default_protocol());
        Self { service, address: service.address_of_port(port), mode: None, ordinal: 0 }
    }

    /// Whether it is the same listener as another one, whatever the permissions.
    #[must_use]
    pub fn is_listener_of(&self, other: &Self) -> bool {
        self.has_address_of(other) && self.ordinal == other.ordinal
    }

    /// Whether it serves what another one does on the same address.
    #[must_use]
    pub fn has_address_of(&self, other: &Self) -> bool {
        (self.service, &self.address) == (other.service, &other.address)
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::of_port(DEFAULT_PORT)
    }
}

/// As `--listen` takes it: `echo=127.0.0.1:7007`, `frame=8083`, `frame=unix:/run/frame,mode=0600`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.service.name(), self.address)?;
        self.mode.map_or(Ok(()), |mode| write!(f, ",mode={mode}"))
    }
}

/// One listener: `echo=127.0.0.1:7007`.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// The service and the address.
    pub endpoint: Endpoint,
    /// The options, in their order.
    pub options: Vec<ListenerOption>,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut written = Written::parse(text)?;
        let name = written.name;
        let service = Service::by_name(name).ok_or_else(|| no_service(name))?;
        let address = match written.address {
            Some("") => return Err(format!("there is no address after '{name}='")),
            Some(address) => match address.parse()? {
                ListenAddress::AllAddresses(port) => service.address_of_port(port),
                address @ ListenAddress::One(_) => address,
            },
            None => {
                let port = service.port().ok_or_else(|| format!("{name} has no port of its own: write {name}=PORT"))?;
                service.address_of_port(port)
            }
        };
        let mode = SocketMode::take(&mut written)?;
        if mode.is_some() && !address.is_path() {
            return Err(format!("{name}={address} has no file, so it can have no mode: that is for unix:/PATH"));
        }
        let options = ListenerOption::parse_all(&written, service).map_err(|error| {
            if address.is_path() { format!("{error}; the path of a socket cannot contain a comma") } else { error }
        })?;
        Ok(Self { endpoint: Endpoint { service, address, mode, ordinal: 0 }, options })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::SocketAddress;

    fn listen(text: &str) -> Result<(&'static str, SocketAddress), String> {
        let listen: Listen = text.parse()?;
        assert!(listen.options.is_empty());
        Ok((listen.endpoint.service.name(), listen.endpoint.address.socket_address()))
    }

    #[test]
    fn listener_addresses_are_a_port_or_an_address_and_a_port() {
        for (text, protocol, address) in [
            ("frame", "frame", "[::]:8083"),
            ("echo", "echo", "[::]:7"),
            ("frame=8083", "frame", "[::]:8083"),
            ("frame-2021=0", "frame-2021", "[::]:0"),
            ("frame=127.0.0.1:8083", "frame", "127.0.0.1:8083"),
            ("echo=[::1]:65535", "echo", "[::1]:65535"),
            ("echo=[fe80::1%2]:7", "echo", "[fe80::1%2]:7"),
            ("echo=0.0.0.0:7", "echo", "0.0.0.0:7"),
            // beside the workers: for this machine, unless another address is written
            ("metrics", "metrics", "127.0.0.1:9383"),
            ("metrics=0", "metrics", "127.0.0.1:0"),
            ("metrics=0.0.0.0:9383", "metrics", "0.0.0.0:9383"),
            ("metrics=[::]:9383", "metrics", "[::]:9383"),
            ("agent=9384", "agent", "127.0.0.1:9384"),
        ] {
            let address = SocketAddress::Internet(address.parse().expect(address));
            assert_eq!(listen(text), Ok((protocol, address)), "{text}");
            let endpoint = text.parse::<Listen>().expect(text).endpoint;
            assert_eq!(endpoint.to_string().parse::<Listen>().expect("as it is read").endpoint, endpoint);
        }
        assert_eq!(Endpoint::default(), "frame".parse::<Listen>().expect("a listener").endpoint);
    }

    #[test]
    fn wrong_listeners_are_explained() {
        for (text, error) in [
            ("gopher=70", "there is no protocol 'gopher': retortd --list prints the protocols"),
            ("Echo", "there is no protocol 'Echo': retortd --list prints the protocols"),
            ("frame-2021", "frame-2021 has no port of its own: write frame-2021=PORT"),
            ("agent", "agent has no port of its own: write agent=PORT"),
            (
                "metrics,allow=10.0.0.0/8",
                "metrics has no option 'allow': it is served beside the workers, and has only mode, for a Unix socket",
            ),
            ("metrics,agent=1", "'agent' is a protocol and not an option of metrics: write a space between listeners"),
            ("echo=", "there is no address after 'echo='"),
            ("echo=65536", "port 65536 is out of range: 0 to 65535"),
            ("echo=99999999999999999999", "port 99999999999999999999 is out of range: 0 to 65535"),
            ("echo=1.2.3.4", "'1.2.3.4' has no port: write 1.2.3.4:PORT"),
            ("echo=::1", "'::1' has no port: write [::1]:PORT"),
            ("echo=[::1]", "'[::1]' has no port: write [::1]:PORT"),
            ("echo,echo", "'echo' is a protocol and not an option of echo: write a space between listeners"),
            ("echo=7,time=37", "'time' is a protocol and not an option of echo: write a space between listeners"),
            (
                "echo=7,fast=1",
                "echo has no option 'fast': the options are proxy, allow, deny, max-rate, max-rate-per-source, latency, jitter, rate, \
                 slice, slice-gap, stall-after, cut-after, reset-after, slow-close, refuse-first, corrupt, probability, and mode \
                 for a Unix socket",
            ),
            (
                "echo,fast,time",
                "echo has no option 'fast': the options are proxy, allow, deny, max-rate, max-rate-per-source, latency, jitter, rate, \
                 slice, slice-gap, stall-after, cut-after, reset-after, slow-close, refuse-first, corrupt, probability, and mode \
                 for a Unix socket",
            ),
        ] {
            assert_eq!(listen(text), Err(error.into()), "{text}");
        }
        for address in ["localhost:7", "*:7", "-1", "+7", "7.0", "1.2.3.4:", ":7", "[::1]:", "a=b"] {
            let error = listen(&format!("echo={address}")).expect_err(address);
            assert!(error.starts_with(&format!("'{address}' is not an address: write PORT, ")), "{error}");
        }
    }

    #[test]
    fn multicast_and_broadcast_addresses_are_explained() {
        for (address, kind) in [
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("[ff02::1]", "multicast"),
            ("[ff02::1%2]", "multicast"),
            ("[::ffff:224.0.0.1]", "multicast"),
        ] {
            let error = listen(&format!("echo={address}:7")).expect_err(address);
            assert!(error.contains(&format!("is a {kind} address, on which TCP cannot be served: write")), "{error}");
        }
        for address in ["223.255.255.255:7", "240.0.0.1:7", "127.255.255.255:7", "[fe80::1%2]:7"] {
            assert!(listen(&format!("echo={address}")).is_ok(), "{address}");
        }
    }

    #[test]
    fn local_addresses_are_unix_and_vsock_sockets() {
        for (text, mode) in [
            ("echo=unix:/run/retortd/echo.sock", None),
            ("echo=unix:/run/echo,mode=0600", Some(SocketMode(0o600))),
            ("echo=unix:@echo", None),
            ("frame=vsock::8083", None),
            ("frame=vsock:3:8083", None),
            ("metrics=unix:/run/metrics,mode=0660", Some(SocketMode(0o660))),
        ] {
            let endpoint = text.parse::<Listen>().expect(text).endpoint;
            assert_eq!((endpoint.to_string().as_str(), endpoint.mode), (text, mode));
        }
        for (text, words) in [
            ("echo=unix:echo", "not an absolute path"),
            ("echo=vsock:8083", "write vsock:CID:PORT, or vsock::PORT to listen on every CID"),
            ("echo=unix:/run/a,b", "; the path of a socket cannot contain a comma"),
            ("echo=unix:/run/echo,mode", "mode of echo has no value: mode=0660"),
            ("echo=unix:/run/echo,mode=rw", "mode=rw is not an octal number"),
            ("echo=unix:/run/echo,mode=0600,mode=0660", "echo has more than one mode"),
            ("echo=7,mode=0600", "echo=7 has no file, so it can have no mode: that is for unix:/PATH"),
            ("echo=unix:@echo,mode=0600", "echo=unix:@echo has no file"),
            ("echo,mode=0600", "echo=7 has no file"),
        ] {
            let error = text.parse::<Listen>().expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
