//! What a listener serves: a protocol, or a service beside the workers.

use std::net::{Ipv4Addr, SocketAddr};

use super::listen_address::ListenAddress;
use crate::protocol::{self, PROTOCOLS, ProtocolInfo};
use crate::sys::SocketAddress;

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Service {
    /// A protocol: the workers serve it.
    Protocol(&'static ProtocolInfo),
    /// A service beside the workers.
    Side(SideService),
}

/// A service beside the workers, for the operators of the daemon and not for its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideService {
    /// Metrics and health by HTTP.
    Metrics,
    /// The agent-check of haproxy.
    Agent,
}

impl SideService {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Metrics, Self::Agent];

    /// The name, as in `--listen NAME=ADDRESS` and `FileDescriptorName=`. No protocol has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Agent => "agent",
        }
    }

    /// The default port. Chosen: no exporter of Prometheus has 9383 by default; haproxy's agent-check has no customary
    /// port.
    #[must_use]
    pub fn port(self) -> Option<u16> {
        match self {
            Self::Metrics => Some(9383),
            Self::Agent => None,
        }
    }

    /// The service in one line.
    #[must_use]
    pub fn summary(self) -> &'static str {
        match self {
            Self::Metrics => "metrics and health by HTTP: /metrics, /livez, /readyz",
            Self::Agent => "the agent-check of haproxy: readiness and weight in one line",
        }
    }

    fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }
}

impl Service {
    /// All of them: the protocols, and then the services beside the workers.
    pub fn all() -> impl Iterator<Item = Self> {
        PROTOCOLS.iter().map(|info| Self::Protocol(info)).chain(SideService::ALL.map(Self::Side))
    }

    /// The service with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        protocol::by_name(name).map(Self::Protocol).or_else(|| SideService::by_name(name).map(Self::Side))
    }

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Protocol(info) => info.name,
            Self::Side(service) => service.name(),
        }
    }

    /// The default port.
    #[must_use]
    pub fn port(self) -> Option<u16> {
        match self {
            Self::Protocol(info) => info.port,
            Self::Side(service) => service.port(),
        }
    }

    /// The address for a port that is written without one: a protocol is for everybody, and a service beside the
    /// workers, which has no access lists, for the processes of this machine.
    #[must_use]
    pub fn address_of_port(self, port: u16) -> ListenAddress {
        match self {
            Self::Protocol(_) => ListenAddress::AllAddresses(port),
            Self::Side(_) => {
                let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
                ListenAddress::One(SocketAddress::Internet(address))
            }
        }
    }

    /// Whether it is served beside the workers.
    #[must_use]
    pub fn is_side(self) -> bool {
        matches!(self, Self::Side(_))
    }
}

/// The default protocol: `frame`, the first one in the list.
#[must_use]
pub fn default_protocol() -> &'static ProtocolInfo {
    PROTOCOLS[0]
}

/// The protocol with this name.
///
/// # Errors
/// There is none.
pub fn protocol_called(name: &str) -> Result<&'static ProtocolInfo, String> {
    match Service::by_name(name) {
        Some(Service::Protocol(info)) => Ok(info),
        Some(Service::Side(_)) => {
            Err(format!("'{name}' is for listeners, and not for connections that systemd accepts"))
        }
        None => Err(no_service(name)),
    }
}

/// The error about a name that means no service.
#[must_use]
pub fn no_service(name: &str) -> String {
    format!("there is no protocol '{name}': retortd --list prints the protocols")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn services_have_names_of_their_own() {
        let names: BTreeSet<&str> = Service::all().map(Service::name).collect();
        assert_eq!(names.len(), PROTOCOLS.len() + SideService::ALL.len());
        for service in Service::all() {
            assert_eq!(Service::by_name(service.name()), Some(service));
        }
        assert_eq!(Service::by_name("gopher"), None);
    }

    #[test]
    fn connections_are_for_protocols() {
        assert_eq!(protocol_called("echo").map(|info| info.name), Ok("echo"));
        assert!(protocol_called("metrics").expect_err("no protocol").contains("is for listeners"));
        assert!(protocol_called("gopher").expect_err("no protocol").contains("there is no protocol"));
    }
}
