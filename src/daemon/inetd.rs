//! The socket on the standard descriptors that inetd(8), xinetd(8) and `systemd-socket-activate --inetd` pass.
//!
//! It is standard input and standard output, and with some of them standard error. A connection (`nowait`) is served
//! like that of an `Accept=yes` unit, and a listening socket (`wait`) like that of a socket unit. The standard
//! descriptors become /dev/null then: only the server's own descriptor keeps the socket open, and nothing but replies
//! reaches a client.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::activation::{Inherited, InheritedSocket, Use, use_of};
use super::config::args::{FixedSettings, LogTarget};
use super::config::descriptor::Descriptor;
use super::exit_status::Failure;
use crate::sys::{self, Errno, SocketAddress, UnixAddress};

/// If standard error is the socket, makes it /dev/null: the log goes to the system log then, which is returned. Call it
/// before anything is written.
///
/// # Errors
/// /dev/null cannot be opened: nothing may be written, not even this error.
pub fn detach_standard_error() -> io::Result<Option<LogTarget>> {
    if !is_socket_on_input(&io::stdout()) || !is_socket_on_input(&io::stderr()) {
        return Ok(None);
    }
    sys::replace_standard_error(&null()?)?;
    Ok(Some(LogTarget::Syslog))
}

/// Adds the socket on the standard descriptors, if there is one and if no other socket has to be served.
///
/// # Errors
/// 78: it is no stream socket; 71: the system lacks a resource.
pub fn adopt(inherited: Inherited, settings: &FixedSettings) -> Result<Inherited, Failure> {
    with_standard_socket(inherited, settings, detach_socket)
}

/// As [`adopt`], but leaves the standard descriptors as they are.
///
/// # Errors
/// As [`adopt`].
pub fn look(inherited: Inherited, settings: &FixedSettings) -> Result<Inherited, Failure> {
    with_standard_socket(inherited, settings, copy_socket)
}

fn with_standard_socket(
    mut inherited: Inherited,
    settings: &FixedSettings,
    take: fn() -> io::Result<OwnedFd>,
) -> Result<Inherited, Failure> {
    if !inherited.is_empty() || !settings.endpoints.is_empty() || !is_socket_on_input(&io::stdout()) {
        return Ok(inherited);
    }
    let socket = take().map_err(|error| Failure::system(format!("cannot take standard input: {error}")))?;
    match use_of(&socket, true, true) {
        Use::Listener => inherited.listeners.push(named(socket, "", settings)?),
        Use::Connection => inherited.connection = Some(named(socket, "connection", settings)?),
        Use::Stored => {}
        Use::Unusable(why) => {
            return Err(Failure::configuration(format!("cannot serve on standard input: {why}"))
                .with_hint("inetd has to pass a stream socket: stream tcp nowait"));
        }
    }
    Ok(inherited)
}

/// Whether this is a socket with an address, and the one that standard input is. The unnamed Unix sockets on the standard
/// descriptors of a process that sshd(8) or another program has started are not from inetd.
fn is_socket_on_input(descriptor: &impl AsFd) -> bool {
    let is_named = !matches!(sys::local_address(descriptor), Err(_) | Ok(SocketAddress::Unix(UnixAddress::Unnamed)));
    is_named && sys::file_id(&io::stdin()).is_ok_and(|input| sys::file_id(descriptor) == Ok(input))
}

/// The socket, on a descriptor of its own; standard input and output become /dev/null.
fn detach_socket() -> io::Result<OwnedFd> {
    let socket = copy_socket()?;
    sys::replace_standard_input_and_output(&null()?)?;
    Ok(socket)
}

/// The socket, on another descriptor.
fn copy_socket() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

fn null() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}

/// A socket, with the use of a descriptor of this name.
fn named<S: TryFrom<OwnedFd, Error = Errno>>(
    socket: OwnedFd,
    name: &str,
    settings: &FixedSettings,
) -> Result<InheritedSocket<S>, Failure> {
    let descriptor = Descriptor::of_name(name, settings.connection.as_ref()).map_err(Failure::configuration)?;
    InheritedSocket::new(socket, descriptor)
        .map_err(|error| Failure::system(format!("cannot use standard input: {}", error.desc())))
}
