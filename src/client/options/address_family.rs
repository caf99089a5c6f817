//! The choice between IPv4 and IPv6.

use std::net::SocketAddr;

use clap::Args;

/// The addresses of a name that may be connected to: all of them by default.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct AddressFamily {
    /// Connect to IPv4 addresses only
    #[arg(short = '4', long, help_heading = "Connection", conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Connect to IPv6 addresses only
    #[arg(short = '6', long, help_heading = "Connection")]
    pub ipv6: bool,
}

impl AddressFamily {
    /// Whether this address may be connected to.
    #[must_use]
    pub fn allows(self, address: &SocketAddr) -> bool {
        if address.is_ipv4() { !self.ipv6 } else { !self.ipv4 }
    }

    /// The family in a message: `IPv4 `, `IPv6 `, or nothing for both.
    #[must_use]
    pub fn adjective(self) -> &'static str {
        match (self.ipv4, self.ipv6) {
            (true, _) => "IPv4 ",
            (false, true) => "IPv6 ",
            (false, false) => "",
        }
    }
}
