//! The files of Unix sockets: creating one in place of a leftover, and removing it (unix(7)).
//!
//! A process that is killed leaves the file of its socket behind, and bind(2) fails on it for ever. A file is a leftover
//! if connect(2) to it is refused. A process has a lock file beside its socket, `PATH.lock`, as long as it has the socket:
//! of two that find the same leftover, the slower one would remove the new socket of the other. The directory itself is
//! no lock: every user who can read it could hold that for ever.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, umask};

use super::file::{FileId, errno_of, id_of};
use super::lock_file::{LockError, LockFile};
use super::socket::{bind, listen, start_connect};
use super::socket_address::{SocketAddress, UnixAddress};

/// Why a socket cannot be bound.
#[derive(Debug, PartialEq, Eq)]
pub enum BindError {
    /// A Unix socket needs this lock file, and there is another file.
    ForeignLock(PathBuf),
    /// There is a socket to which this process may not connect.
    ForeignSocket,
    /// There is a socket to which no process listens, and this process may not remove it.
    ForeignLeftover,
    /// An error of the system.
    System(Errno),
}

impl From<Errno> for BindError {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}

/// The file of a Unix socket that this process has bound, and its lock file. They are removed when this is dropped, if
/// their paths still lead to them, and unless another process has got them.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    id: FileId,
    is_left: AtomicBool,
    /// Released after the socket has been removed.
    lock: LockFile,
}

impl SocketFile {
    /// Binds a Unix socket to `path` and makes it accept connections, with a queue of `backlog`. The file has the
    /// permissions `mode`, whatever the umask of the process, and at no moment more. A leftover is replaced.
    ///
    /// Changes the umask for a moment: no other thread may create files meanwhile.
    ///
    /// # Errors
    /// As [`BindError`] says. EADDRINUSE: a process listens there, or has the lock file; EEXIST: there is a file that is
    /// no socket; as open(2), flock(2), bind(2) and listen(2).
    pub fn bind(socket: &impl AsFd, path: &Path, mode: u32, backlog: i32) -> Result<Self, BindError> {
        let address = SocketAddress::Unix(UnixAddress::Path(path.into()));
        let mode = Mode::from_bits_truncate(mode);
        let lock = lock(path, &address)?;
        match bind_with_mode(socket, &address, mode) {
            Err(Errno::EADDRINUSE) => {
                remove_leftover(path, &address)?;
                bind_with_mode(socket, &address, mode)?;
            }
            result => result?,
        }
        let file = Self::new(path, id_of(path).ok_or(Errno::ENOENT)?, lock);
        file.ensure_mode(mode)?;
        listen(socket, backlog)?;
        Ok(file)
    }

    /// The file of a socket that another process has bound, which has left both files: `id` is that of the socket's
    /// file, `lock` the open lock file. The file gets the permissions `mode`.
    ///
    /// # Errors
    /// ENOENT: the path leads to another file, or to none; EADDRINUSE: another process has the lock; as [`BindError`]
    /// says.
    pub fn take_over(path: &Path, id: FileId, lock: OwnedFd, mode: u32) -> Result<Self, BindError> {
        let file = Self::left(path, id, lock)?;
        file.ensure_mode(Mode::from_bits_truncate(mode))?;
        Ok(file)
    }

    /// Removes the files of a socket that another process has bound, which has left both files, as
    /// [`SocketFile::take_over`] gets them. Nothing is removed if that would fail.
    pub fn remove_left(path: &Path, id: FileId, lock: OwnedFd) {
        drop(Self::left(path, id, lock));
    }

    fn left(path: &Path, id: FileId, lock: OwnedFd) -> Result<Self, BindError> {
        let address = SocketAddress::Unix(UnixAddress::Path(path.into()));
        let lock =
            LockFile::lock(lock_path(path), File::from(lock)).map_err(|error| lock_failure(error, path, &address))?;
        if id_of(path) != Some(id) {
            return Err(Errno::ENOENT.into());
        }
        Ok(Self::new(path, id, lock))
    }

    fn new(path: &Path, id: FileId, lock: LockFile) -> Self {
        Self { path: path.into(), id, is_left: AtomicBool::new(false), lock }
    }

    /// The number of the file.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.id
    }

    /// A descriptor of the lock file. The lock is held while one is open.
    ///
    /// # Errors
    /// As fcntl(2): EMFILE.
    pub fn lock_descriptor(&self) -> io::Result<OwnedFd> {
        self.lock.descriptor()
    }

    /// Leaves both files where they are when this is dropped: another process has the socket and the lock.
    pub fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
        self.lock.leave();
    }

    /// Sets the permissions where bind(2) has not: in a directory with a default access control list (acl(5)).
    fn ensure_mode(&self, mode: Mode) -> Result<(), Errno> {
        let metadata = fs::symlink_metadata(&self.path).map_err(|error| errno_of(&error))?;
        if metadata.mode() & 0o777 == mode.bits() {
            return Ok(());
        }
        // needs /proc on kernels before 6.6, to follow no symbolic link
        fchmodat(AT_FDCWD, &self.path, mode, FchmodatFlags::NoFollowSymlink)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.is_left.load(Ordering::Relaxed) && id_of(&self.path) == Some(self.id) {
            // fails if it was removed meanwhile, or the directory has become read-only
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The path of the lock file of a socket.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    name.into()
}

fn lock(path: &Path, address: &SocketAddress) -> Result<LockFile, BindError> {
    LockFile::acquire(lock_path(path)).map_err(|error| lock_failure(error, path, address))
}

fn lock_failure(error: LockError, path: &Path, address: &SocketAddress) -> BindError {
    match error {
        LockError::Held => BindError::System(Errno::EADDRINUSE),
        // that of a daemon of another user
        LockError::Foreign => match check_leftover(path, address) {
            Err(error @ (BindError::System(Errno::EADDRINUSE) | BindError::ForeignSocket)) => error,
            _ => BindError::ForeignLock(lock_path(path)),
        },
        LockError::System(error) => BindError::System(error),
    }
}

/// The kernel gives the file the permissions of the socket, less those that the umask forbids. chmod(2) afterwards would
/// follow a symbolic link that another user puts in place of the file.
fn bind_with_mode(socket: &impl AsFd, address: &SocketAddress, mode: Mode) -> Result<(), Errno> {
    fchmod(socket, mode)?;
    let previous = umask(Mode::empty());
    let result = bind(socket, address);
    umask(previous);
    result
}

fn remove_leftover(path: &Path, address: &SocketAddress) -> Result<(), BindError> {
    check_leftover(path, address)?;
    fs::remove_file(path).map_err(|error| match errno_of(&error) {
        // of a directory with the sticky bit
        Errno::EPERM => BindError::ForeignLeftover,
        error => error.into(),
    })
}

/// Checks that a file is a socket on which no process listens.
fn check_leftover(path: &Path, address: &SocketAddress) -> Result<(), BindError> {
    let metadata = fs::symlink_metadata(path).map_err(|error| errno_of(&error))?;
    if !metadata.file_type().is_socket() {
        return Err(Errno::EEXIST.into());
    }
    match start_connect(address, None).map_err(|error| errno_of(&error)) {
        Err(Errno::ECONNREFUSED) => Ok(()),
        Err(Errno::EACCES) => Err(BindError::ForeignSocket),
        // also where the queue is full (EAGAIN), or the socket is one of datagrams
        _ => Err(Errno::EADDRINUSE.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
    use std::sync::Barrier;
    use std::thread;

    use nix::fcntl::{Flock, FlockArg};

    use super::*;
    use crate::sys::stream_socket;

    /// Binds `path` with mode 0600; the socket has to live as long as it should listen.
    fn bound(path: &Path) -> Result<(std::os::fd::OwnedFd, SocketFile), BindError> {
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
        assert_eq!(id_of(&lock_path(&path)), None, "removed with it");
    }

    #[test]
    fn files_that_are_left_belong_to_the_next_process() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let (_socket, file) = bound(&path).expect("bind");
        let (id, lock) = (file.id(), file.lock_descriptor().expect("a descriptor"));
        file.leave();
        drop(file);
        assert_eq!(id_of(&path), Some(id), "it is still there");
        assert_eq!(bound(&path).map(drop), Err(Errno::EADDRINUSE.into()), "the lock is held");
        let next = SocketFile::take_over(&path, id, lock, 0o640).expect("both files");
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777, 0o640);
        drop(UnixStream::connect(&path).expect("connect"));
        drop(next);
        assert_eq!([id_of(&path), id_of(&lock_path(&path))], [None; 2]);
    }

    #[test]
    fn a_file_that_is_no_longer_there_is_not_taken_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let (_socket, file) = bound(&path).expect("bind");
        let (id, lock) = (file.id(), || file.lock_descriptor().expect("a descriptor"));
        let take_over = |lock| SocketFile::take_over(&path, id, lock, 0o600).map(drop);
        fs::rename(&path, directory.path().join("other")).expect("rename");
        assert_eq!(take_over(lock()), Err(Errno::ENOENT.into()));
        assert_eq!(id_of(&lock_path(&path)), None, "it is of no use without the socket");
        assert_eq!(take_over(lock()), Err(Errno::EADDRINUSE.into()), "the lock file is gone");
        let file = fs::File::open("/dev/null").expect("open");
        assert_eq!(take_over(file.into()), Err(BindError::ForeignLock(lock_path(&path))));
    }

    #[test]
    fn a_socket_whose_lock_is_held_is_in_use() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let (_socket, file) = bound(&path).expect("bind");
        fs::remove_file(&path).expect("remove");
        assert_eq!(bound(&path).map(drop), Err(Errno::EADDRINUSE.into()));
        drop(file);
        let _listener = UnixListener::bind(&path).expect("bind");
        assert_eq!(bound(&path).map(drop), Err(Errno::EADDRINUSE.into()), "another program listens, without a lock");
        assert_eq!(id_of(&lock_path(&path)), None, "no lock is left");
    }

    #[test]
    fn a_lock_on_the_directory_delays_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let handle = fs::File::open(directory.path()).expect("open");
        let _lock = Flock::lock(handle, FlockArg::LockExclusive).expect("the lock");
        bound(&directory.path().join("socket")).expect("bind");
    }

    #[test]
    fn a_foreign_lock_file_is_an_error_unless_the_socket_is_in_use() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        fs::write(lock_path(&path), "text").expect("write");
        assert_eq!(bound(&path).map(drop), Err(BindError::ForeignLock(lock_path(&path))));
        let listener = UnixListener::bind(&path).expect("bind");
        assert_eq!(bound(&path).map(drop), Err(Errno::EADDRINUSE.into()));
        drop(listener);
        assert_eq!(bound(&path).map(drop), Err(BindError::ForeignLock(lock_path(&path))));
        assert_eq!(fs::read_to_string(lock_path(&path)).expect("it is still there"), "text");
    }

    #[test]
    fn only_a_leftover_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        drop(UnixListener::bind(&path).expect("bind"));
        let (_socket, file) = bound(&path).expect("in place of the leftover");
        assert_eq!(bound(&path).map(drop), Err(Errno::EADDRINUSE.into()), "it is in use");
        UnixStream::connect(&path).expect("the socket that is in use is still there");
        drop(file);
        let _datagrams = UnixDatagram::bind(&path).expect("bind");
        assert_eq!(bound(&path).map(drop), Err(Errno::EADDRINUSE.into()), "a socket of another kind is in use");
        for create in [|path: &Path| fs::write(path, "text"), |path: &Path| std::os::unix::fs::symlink("missing", path)]
        {
            fs::remove_file(&path).expect("remove");
            create(&path).expect("create");
            assert_eq!(bound(&path).map(drop), Err(Errno::EEXIST.into()));
            fs::symlink_metadata(&path).expect("it is still there");
        }
        assert_eq!(bound(&directory.path().join("missing/socket")).map(drop), Err(Errno::ENOENT.into()));
    }

    /// Fault 47: a file that is replaced.
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
