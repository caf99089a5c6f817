//! The listeners of the predecessor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::format::{FileRecord, ListenerOrigin, ListenerRecord, numbers_of};
use crate::daemon::config::origin::{Origins, SocketOrigin};
use crate::daemon::side::{SideListener, SideServices};
use crate::server::{Listener, Server};
use crate::sys::{self, SocketFile, StreamListener};

/// The listeners of a server and of the services beside it. While one is kept, no worker can close a listener: keep it
/// only while the workers are frozen.
#[derive(Debug)]
pub struct Listening<'a> {
    served: Vec<(Arc<Listener>, &'a SocketOrigin)>,
    side: Vec<(&'a SideListener, &'a SocketOrigin)>,
}

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

impl<'a> Listening<'a> {
    /// The listeners with these origins.
    #[must_use]
    pub fn of(server: &Server, side: &'a SideServices, origins: &'a Origins) -> Self {
        let served = server.listeners().into_iter().zip(&origins.served).collect();
        Self { served, side: side.listeners().iter().zip(&origins.side).collect() }
    }

    /// Those that are handed over: the daemon's own, or all of them.
    ///
    /// # Errors
    /// EMFILE: the lock file of a Unix socket needs another descriptor.
    pub fn outgoing(&self, all: bool) -> io::Result<Vec<Outgoing<'_>>> {
        let is_wanted = |origin: &SocketOrigin| all || matches!(origin, SocketOrigin::Own(_));
        let served = self.served.iter().filter(|(_, origin)| is_wanted(origin)).map(|(listener, origin)| {
            let file = listener.with_socket_file(file_of).transpose()?;
            outgoing(&listener.socket, origin, file)
        });
        let side = self.side.iter().filter(|(_, origin)| is_wanted(origin)).map(|(listener, origin)| {
            outgoing(&listener.socket, origin, listener.file.as_ref().map(file_of).transpose()?)
        });
        served.chain(side).collect()
    }

    /// Leaves the files of Unix sockets where they are at the end of this process.
    pub fn leave_files(&self) {
        self.served.iter().for_each(|(listener, _)| listener.leave_file());
        self.side.iter().filter_map(|(listener, _)| listener.file.as_ref()).for_each(SocketFile::leave);
    }
}

fn outgoing<'a>(
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
    Ok(Outgoing { record: ListenerRecord { cookie: sys::socket_cookie(socket)?, origin, file }, socket: socket.as_fd(), lock })
}

/// What is written about a file, and a descriptor of its lock file.
fn file_of(file: &SocketFile) -> io::Result<(FileRecord, OwnedFd)> {
    let lock = file.lock_descriptor()?;
    let record = FileRecord { socket: numbers_of(file.id()), lock: numbers_of(sys::file_id(&lock)?) };
    Ok((record, lock))
}
