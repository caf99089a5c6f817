//! Addresses of stream sockets, and how they are written: `192.0.2.1:7`, `unix:/run/echo`, `unix:@echo`, `vsock:2:7`.

use std::ffi::OsStr;
use std::fmt;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{SockaddrLike, SockaddrStorage, UnixAddr, VsockAddr};
use serde::{Deserialize, Serialize};

/// The family of a stream socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketFamily {
    /// IPv4 or IPv6: TCP.
    Internet,
    /// `AF_UNIX`, unix(7).
    Unix,
    /// `AF_VSOCK`, vsock(7): between a virtual machine and its host.
    Vsock,
}

/// The address of a stream socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketAddress {
    /// An address of IPv4 or IPv6, with its port.
    Internet(SocketAddr),
    /// An address of unix(7).
    Unix(UnixAddress),
    /// An address of vsock(7).
    Vsock(VsockAddress),
}

/// An address of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnixAddress {
    /// That of a client, as a rule.
    Unnamed,
    /// The path of a socket in the file system; not empty.
    Path(PathBuf),
    /// A name that is not in the file system, without the zero byte before it.
    Abstract(Vec<u8>),
}

/// The bytes of the longest path or abstract name. Derived: `sun_path` has 108 (unix(7)), one of them a zero.
const MAX_UNIX_NAME: usize = 107;

/// An address of a virtual machine or its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VsockAddress {
    /// The context identifier: [`VsockAddress::ANY`], [`VsockAddress::LOCAL`], 2 for the host, or that of a guest.
    pub cid: u32,
    /// The port.
    pub port: u32,
}

impl VsockAddress {
    /// Every context identifier (`VMADDR_CID_ANY`); only to listen.
    pub const ANY: u32 = libc::VMADDR_CID_ANY;
    /// This machine (`VMADDR_CID_LOCAL`).
    pub const LOCAL: u32 = libc::VMADDR_CID_LOCAL;
}

impl SocketAddress {
    /// The family.
    #[must_use]
    pub fn family(&self) -> SocketFamily {
        match self {
            Self::Internet(_) => SocketFamily::Internet,
            Self::Unix(_) => SocketFamily::Unix,
            Self::Vsock(_) => SocketFamily::Vsock,
        }
    }

    /// The address that `unix:PATH`, `unix:@NAME`, `vsock:CID:PORT` or `vsock::PORT` (every CID) mean; `None` for a
    /// text with neither prefix.
    ///
    /// # Errors
    /// What follows the prefix is no address.
    #[must_use]
    pub fn parse_local(text: &str) -> Option<Result<Self, String>> {
        if let Some(name) = text.strip_prefix("unix:") {
            return Some(UnixAddress::parse(name).map(Self::Unix));
        }
        text.strip_prefix("vsock:").map(|address| VsockAddress::parse(address).map(Self::Vsock))
    }

    /// Calls `function` with the address as the kernel takes it.
    ///
    /// # Errors
    /// ENAMETOOLONG: a path or name that is too long.
    pub(super) fn with_kernel_form<T>(&self, function: impl FnOnce(&dyn SockaddrLike) -> T) -> Result<T, Errno> {
        Ok(match self {
            Self::Internet(address) => function(&SockaddrStorage::from(*address)),
            Self::Unix(UnixAddress::Unnamed) => function(&UnixAddr::new_unnamed()),
            Self::Unix(UnixAddress::Path(path)) => function(&UnixAddr::new(path)?),
            Self::Unix(UnixAddress::Abstract(name)) => function(&UnixAddr::new_abstract(name)?),
            Self::Vsock(VsockAddress { cid, port }) => function(&VsockAddr::new(*cid, *port)),
        })
    }

    /// An address from the kernel.
    ///
    /// # Errors
    /// EAFNOSUPPORT: it is of another family.
    pub(super) fn from_kernel(address: &SockaddrStorage) -> Result<Self, Errno> {
        if let Some(address) = address.as_sockaddr_in() {
            return Ok(Self::Internet(SocketAddrV4::from(*address).into()));
        }
        if let Some(address) = address.as_sockaddr_in6() {
            return Ok(Self::Internet(SocketAddrV6::from(*address).into()));
        }
        if let Some(address) = address.as_unix_addr() {
            return Ok(Self::Unix(match (address.path(), address.as_abstract()) {
                (Some(path), _) => UnixAddress::Path(path.into()),
                (_, Some(name)) => UnixAddress::Abstract(name.into()),
                (None, None) => UnixAddress::Unnamed,
            }));
        }
        let address = address.as_vsock_addr().ok_or(Errno::EAFNOSUPPORT)?;
        Ok(Self::Vsock(VsockAddress { cid: address.cid(), port: address.port() }))
    }
}

impl UnixAddress {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, address) = match text.strip_prefix('@') {
            Some(name) => (name, Self::Abstract(name.into())),
            None => (text, Self::Path(text.into())),
        };
        if name.is_empty() {
            return Err("there is no path or @NAME after 'unix:'".into());
        }
        if name.len() > MAX_UNIX_NAME {
            return Err(format!("'{text}' is too long for a socket: at most {MAX_UNIX_NAME} bytes"));
        }
        if name.contains('\0') {
            return Err("the name of a socket cannot contain a zero byte".into());
        }
        if matches!(address, Self::Path(_)) && text.ends_with('/') {
            return Err(format!("'{text}' is a directory: the path of a socket does not end in '/'"));
        }
        match address {
            Self::Path(path) if !path.is_absolute() => {
                Err(format!("'{text}' is not an absolute path: write unix:/PATH or unix:@NAME"))
            }
            address => Ok(address),
        }
    }

    /// The path of a socket in the file system.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Unnamed | Self::Abstract(_) => None,
        }
    }
}

impl VsockAddress {
    fn parse(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse().ok()).flatten().filter(|number| *number != Self::ANY)
        };
        let parsed = text.split_once(':').and_then(|(cid, port)| {
            let cid = if cid.is_empty() { Self::ANY } else { number(cid)? };
            Some(Self { cid, port: number(port)? })
        });
        parsed.ok_or_else(|| format!("'vsock:{text}' is not an address: write vsock:CID:PORT"))
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet(address) => address.fmt(f),
            Self::Unix(address) => address.fmt(f),
            Self::Vsock(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |bytes: &[u8]| OsStr::from_bytes(bytes).to_string_lossy().escape_debug().to_string();
        match self {
            Self::Unnamed => f.write_str("unix:"),
            Self::Path(path) => write!(f, "unix:{}", escaped(path.as_os_str().as_bytes())),
            Self::Abstract(name) => write!(f, "unix:@{}", escaped(name)),
        }
    }
}

impl fmt::Display for VsockAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cid, port } = self;
        if *cid == Self::ANY { write!(f, "vsock::{port}") } else { write!(f, "vsock:{cid}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_shown_as_they_are_written() {
        for text in ["unix:/run/echo", "unix:@echo", "vsock:2:7", "vsock::8083"] {
            let address = SocketAddress::parse_local(text).expect("a prefix").expect(text);
            assert_eq!(address.to_string(), text);
        }
        assert_eq!(SocketAddress::parse_local("127.0.0.1:7"), None);
        assert_eq!(SocketAddress::parse_local("vsock"), None);
    }

    #[test]
    fn what_is_no_local_address_is_explained() {
        let long = format!("unix:/{}", "x".repeat(MAX_UNIX_NAME));
        for (text, words) in [
            ("unix:", "no path or @NAME"),
            ("unix:@", "no path or @NAME"),
            ("unix:echo", "not an absolute path"),
            (&long, "too long"),
            ("unix:@\0", "zero byte"),
            ("vsock:", "write vsock:CID:PORT"),
            ("vsock:2", "write vsock:CID:PORT"),
            ("vsock:2:", "write vsock:CID:PORT"),
            ("vsock:+2:7", "write vsock:CID:PORT"),
            ("vsock:4294967295:7", "write vsock:CID:PORT"),
            ("vsock:2:4294967296", "write vsock:CID:PORT"),
        ] {
            let error = SocketAddress::parse_local(text).expect("a prefix").expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn addresses_survive_the_kernel_form() {
        let text = ["127.0.0.1:7", "[fe80::1%2]:7"].map(|text| SocketAddress::Internet(text.parse().expect(text)));
        let local = ["unix:/run/echo", "unix:@echo", "vsock:2:7"];
        let local = local.map(|text| SocketAddress::parse_local(text).expect("a prefix").expect(text));
        for address in text.into_iter().chain(local) {
            let kernel = address.with_kernel_form(|form| {
                // SAFETY: the pointer and the length are those of one address
                #[allow(unsafe_code, reason = "there is no other way to copy an address of unknown type")]
                unsafe {
                    SockaddrStorage::from_raw(form.as_ptr(), Some(form.len()))
                }
            });
            let kernel = kernel.expect("short").expect("an address");
            assert_eq!(SocketAddress::from_kernel(&kernel), Ok(address));
        }
    }
}
