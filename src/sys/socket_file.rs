//! The files of Unix sockets: creating one in place of a leftover, and removing it (unix(7)).
//!
//! A process that is killed leaves the file of its socket behind, and bind(2) fails on it for ever. A file is a leftover
//! if connect(2) to it is refused. Two processes that find the same leftover exclude each other by a lock on the
//! directory, or the slower one would remove the new socket of the other.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};

use super::file::FileId;
use super::socket::{bind, listen, start_connect};
use super::socket_address::{SocketAddress, UnixAddress};

/// The file of a Unix socket that this process has bound. It is removed when this is dropped, if the path still leads to
/// that socket.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    id: FileId,
}

impl SocketFile {
    /// Binds a Unix socket to `path` and makes it accept connections, with a queue of `backlog`. The file has the
    /// permissions `mode`, whatever the umask of the process, and at no moment more. A leftover is replaced.
    ///
    /// # Errors
    /// EADDRINUSE: a process listens there; EEXIST: there is a file that is no socket; as open(2) of the directory, bind(2)
    /// and listen(2).
    pub fn bind(socket: &impl AsFd, path: &Path, mode: u32, backlog: i32) -> Result<Self, Errno> {
        let address = SocketAddress::Unix(UnixAddress::Path(path.into()));
        let mode = Mode::from_bits_truncate(mode);
        let _lock = lock_directory(path.parent().unwrap_or(path))?;
        match bind_with_mode(socket, path, &address, mode) {
            Err(Errno::EADDRINUSE) => {
                remove_leftover(path, &address)?;
                bind_with_mode(socket, path, &address, mode)?;
            }
            result => result?,
        }
        let file = Self { path: path.into(), id: id_of(path).ok_or(Errno::ENOENT)? };
        listen(socket, backlog)?;
        Ok(file)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if id_of(&self.path) == Some(self.id) {
            // fails if it was removed meanwhile, or the directory has become read-only
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Locks a directory as flock(2) does, until the result is dropped; waits while another process has the lock.
fn lock_directory(path: &Path) -> Result<Flock<File>, Errno> {
    let directory = OpenOptions::new().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(path);
    Flock::lock(directory.map_err(errno)?, FlockArg::LockExclusive).map_err(|(_, error)| error)
}

/// The kernel gives the file the permissions of the socket, less those that the umask forbids.
fn bind_with_mode(socket: &impl AsFd, path: &Path, address: &SocketAddress, mode: Mode) -> Result<(), Errno> {
    fchmod(socket, mode)?;
    bind(socket, address)?;
    fchmodat(AT_FDCWD, path, mode, FchmodatFlags::NoFollowSymlink)
}

/// Removes the file of a socket on which no process listens.
fn remove_leftover(path: &Path, address: &SocketAddress) -> Result<(), Errno> {
    let metadata = fs::symlink_metadata(path).map_err(errno)?;
    if !metadata.file_type().is_socket() {
        return Err(Errno::EEXIST);
    }
    match start_connect(address, None).map_err(|error| error.raw_os_error()) {
        Err(Some(number)) if number == Errno::ECONNREFUSED as i32 => fs::remove_file(path).map_err(errno),
        // also where connecting is not allowed (EACCES), the queue is full (EAGAIN), or the socket is one of datagrams
        _ => Err(Errno::EADDRINUSE),
    }
}

fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Identifies the file at a path; `None` if there is none.
fn id_of(path: &Path) -> Option<FileId> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some(FileId { device: metadata.dev(), inode: metadata.ino() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::sys::stream_socket;

    /// Binds `path` with mode 0600; the socket has to live as long as it should listen.
    fn bound(path: &Path) -> Result<(std::os::fd::OwnedFd, SocketFile), Errno> {
        let socket = stream_socket(&SocketAddress::Unix(UnixAddress::Unnamed)).expect("a socket");
        let file = SocketFile::bind(&socket, path, 0o600, 10)?;
        Ok((socket, file))
    }

    #[test]
    fn a_socket_file_has_its_mode_and_is_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let (_socket, file) = bound(&path).expect("bind");
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777, 0o600);
        drop(UnixStream::connect(&path).expect("connect"));
        drop(file);
        assert_eq!(fs::metadata(&path).expect_err("removed").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn only_a_leftover_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        drop(UnixListener::bind(&path).expect("bind"));
        let (_socket, file) = bound(&path).expect("in place of the leftover");
        assert_eq!(bound(&path).map(drop), Err(Errno::EADDRINUSE), "it is in use");
        UnixStream::connect(&path).expect("the socket that is in use is still there");
        drop(file);
        let _datagrams = UnixDatagram::bind(&path).expect("bind");
        assert_eq!(bound(&path).map(drop), Err(Errno::EADDRINUSE), "a socket of another kind is in use");
        for create in [|path: &Path| fs::write(path, "text"), |path: &Path| std::os::unix::fs::symlink("missing", path)]
        {
            fs::remove_file(&path).expect("remove");
            create(&path).expect("create");
            assert_eq!(bound(&path).map(drop), Err(Errno::EEXIST));
            fs::symlink_metadata(&path).expect("it is still there");
        }
        assert_eq!(bound(&directory.path().join("missing/socket")).map(drop), Err(Errno::ENOENT));
    }

    #[test]
    fn a_file_that_another_process_has_put_there_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let (_socket, file) = bound(&path).expect("bind");
        fs::rename(&path, directory.path().join("other")).expect("rename");
        fs::write(&path, "text").expect("write");
        drop(file);
        assert_eq!(fs::read_to_string(&path).expect("it is still there"), "text");
    }

    #[test]
    fn of_many_that_find_a_leftover_one_gets_the_path() {
        const BINDERS: usize = 8;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        for _ in 0..20 {
            drop(UnixListener::bind(&path).expect("bind"));
            let (begin, end) = (Barrier::new(BINDERS), Barrier::new(BINDERS));
            let bind = || {
                begin.wait();
                let result = bound(&path);
                end.wait();
                result.is_ok()
            };
            let got = thread::scope(|scope| {
                let binders: Vec<_> = (0..BINDERS).map(|_| scope.spawn(bind)).collect();
                binders.into_iter().map(|binder| binder.join().expect("a result")).filter(|got| *got).count()
            });
            assert_eq!(got, 1);
        }
    }
}
