//! Which listeners are handed over, and what is written about each.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::format::{FileRecord, ListenerOrigin, ListenerRecord, numbers_of};
use crate::daemon::config::origin::{Origins, SocketOrigin};
use crate::daemon::side::SideListener;
use crate::server::Listener;
use crate::sys::{self, SocketFile, StreamListener};

/// A listener to hand over.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// What is written about it.
    pub record: ListenerRecord,
    /// Its socket.
    pub socket: BorrowedFd<'a>,
    /// The lock file of a Unix socket.
    pub lock: Option<OwnedFd>,
}

/// The listeners that are handed over, of those that the workers serve and those beside them, which have these origins:
/// the daemon's own, or all of them.
///
/// # Errors
/// EMFILE: the lock file of a Unix socket needs another descriptor.
pub fn outgoing<'a>(
    served: &[&'a Listener],
    side: &'a [SideListener],
    origins: &Origins,
    all: bool,
) -> io::Result<Vec<Outgoing<'a>>> {
    let served = served.iter().zip(&origins.served).map(|(listener, origin)| {
        let file = || listener.with_socket_file(file_of).transpose();
        is_wanted(origin, all).then(|| describe(&listener.socket, origin, file()?))
    });
    let side = side.iter().zip(&origins.side).map(|(listener, origin)| {
        let file = || listener.file.as_ref().map(file_of).transpose();
        is_wanted(origin, all).then(|| describe(&listener.socket, origin, file()?))
    });
    served.chain(side).flatten().collect()
}

fn is_wanted(origin: &SocketOrigin, all: bool) -> bool {
    all || matches!(origin, SocketOrigin::Own(_))
}

fn describe<'a>(
    socket: &'a StreamListener,
    origin: &SocketOrigin,
    file: Option<(FileRecord, OwnedFd)>,
) -> io::Result<Outgoing<'a>> {
    let origin = match origin {
        SocketOrigin::Own(endpoint) => ListenerOrigin::Own {
            service: endpoint.service.name().into(),
            address: endpoint.address.to_string(),
            ordinal: endpoint.ordinal,
        },
        SocketOrigin::Inherited { descriptor, .. } => ListenerOrigin::Inherited { name: descriptor.full_name.clone() },
    };
    let (file, lock) = file.unzip();
    let record = ListenerRecord { cookie: sys::socket_cookie(socket)?, origin, file };
    Ok(Outgoing { record, socket: socket.as_fd(), lock })
}

/// What is written about a file, and a descriptor of its lock file.
fn file_of(file: &SocketFile) -> io::Result<(FileRecord, OwnedFd)> {
    let lock = file.lock_descriptor()?;
    let record = FileRecord { socket: numbers_of(file.id()), lock: numbers_of(sys::file_id(&lock)?) };
    Ok((record, lock))
}
