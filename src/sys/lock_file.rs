//! Lock files: a process has a name of the file system as long as it holds the lock (flock(2)) on the file beside it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::geteuid;

use super::file::{errno_of, file_id, id_of};

/// The permissions of a lock file: nobody else can open it, and so nobody else can lock it.
const MODE: u32 = 0o600;

/// Why a lock file cannot be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockError {
    /// Another process holds the lock.
    Held,
    /// There is a file that is no lock file of this user: it is not empty, no regular file, or belongs to another user.
    Foreign,
    /// As open(2) and flock(2).
    System(Errno),
}

/// A lock file that this process has locked. It is removed when this is dropped, unless another process has got it.
#[derive(Debug)]
pub struct LockFile {
    path: PathBuf,
    /// Always there, until this is dropped.
    file: Option<Flock<File>>,
    is_left: AtomicBool,
}

impl LockFile {
    /// Locks the file `path`, which is created unless a killed process has left it; never waits.
    ///
    /// # Errors
    /// As [`LockError`] says.
    pub fn acquire(path: PathBuf) -> Result<Self, LockError> {
        let file = open(&path)?;
        Self::lock(path, file)
    }

    /// Locks the open file of a path; succeeds if the lock belongs to that open file already (flock(2)).
    ///
    /// # Errors
    /// As [`LockError`] says.
    pub fn lock(path: PathBuf, file: File) -> Result<Self, LockError> {
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
            Errno::EAGAIN => LockError::Held,
            error => LockError::System(error),
        })?;
        let metadata = file.metadata().map_err(|error| LockError::System(errno_of(&error)))?;
        if !metadata.is_file() || metadata.len() != 0 || metadata.uid() != geteuid().as_raw() {
            return Err(LockError::Foreign);
        }
        let lock = Self { path, file: Some(file), is_left: AtomicBool::new(false) };
        if !lock.is_at_path() {
            // the process that had the lock removed the file between open(2) and flock(2): it was held a moment ago
            return Err(LockError::Held);
        }
        // a umask may have taken permissions away, without which the next process could not open what this one leaves
        lock.file()
            .set_permissions(Permissions::from_mode(MODE))
            .map_err(|error| LockError::System(errno_of(&error)))?;
        Ok(lock)
    }

    /// Another descriptor of the open file, which has the lock.
    ///
    /// # Errors
    /// As fcntl(2): EMFILE.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.file().try_clone().map(OwnedFd::from)
    }

    /// Leaves the file where it is when this is dropped; the lock is held as long as another process has a descriptor.
    pub fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    fn file(&self) -> &File {
        self.file.as_ref().expect("it is there until the drop")
    }

    /// Whether the path leads to the locked file.
    fn is_at_path(&self) -> bool {
        file_id(self.file()).is_ok_and(|id| id_of(&self.path) == Some(id))
    }
}

impl Drop for LockFile {
    /// Removes the file before the lock is released: a process that opens it in between does not find it at the path.
    fn drop(&mut self) {
        if self.is_left.load(Ordering::Relaxed) {
            // the drop of the file would release the lock of the other process, too
            mem::forget(self.file.take());
        } else if self.is_at_path() {
            // fails if the directory has become read-only: the file is used again then
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens or creates a lock file; neither follows a symbolic link nor waits for the other end of a FIFO.
fn open(path: &Path) -> Result<File, LockError> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(MODE).custom_flags(flags.bits());
    options.open(path).map_err(|error| match errno_of(&error) {
        // a symbolic link, a directory, a socket, a file of another user
        Errno::ELOOP | Errno::EISDIR | Errno::ENXIO | Errno::EACCES if id_of(path).is_some() => LockError::Foreign,
        error => LockError::System(error),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn acquire(path: &Path) -> Result<LockFile, LockError> {
        LockFile::acquire(path.into())
    }

    #[test]
    fn a_lock_is_held_by_one_process_and_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let lock = acquire(&path).expect("the lock");
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777, 0o600);
        assert_eq!(acquire(&path).map(drop), Err(LockError::Held));
        drop(lock);
        assert_eq!(id_of(&path), None, "it is removed");
        // what a killed process has left
        fs::write(&path, "").expect("write");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("chmod");
        let _lock = acquire(&path).expect("the lock");
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777, 0o600);
        let missing = directory.path().join("missing/lock");
        assert_eq!(acquire(&missing).map(drop), Err(LockError::System(Errno::ENOENT)));
    }

    #[test]
    fn a_file_that_is_no_lock_file_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, target) = (directory.path().join("lock"), directory.path().join("target"));
        fs::write(&target, "").expect("write");
        let create: [(&str, &dyn Fn()); 6] = [
            ("a symbolic link", &|| symlink(&target, &path).expect("symlink")),
            ("one that leads nowhere", &|| symlink("missing", &path).expect("symlink")),
            ("a file with contents", &|| fs::write(&path, "text").expect("write")),
            ("a FIFO", &|| mkfifo(&path, Mode::S_IRWXU).expect("mkfifo")),
            ("a socket", &|| drop(UnixListener::bind(&path).expect("bind"))),
            ("a directory", &|| fs::create_dir(&path).expect("mkdir")),
        ];
        for (what, create) in create {
            create();
            let id = id_of(&path);
            assert_eq!(acquire(&path).map(drop), Err(LockError::Foreign), "{what}");
            assert!(id.is_some() && id_of(&path) == id, "{what} is still there");
            let _ = fs::remove_file(&path);
        }
        assert_eq!(fs::read(&target).expect("it is still there"), b"");
        assert_eq!(id_of(&directory.path().join("missing")), None, "a link is not followed");
    }

    #[test]
    fn a_file_that_another_process_has_put_there_is_not_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let lock = acquire(&path).expect("the lock");
        fs::remove_file(&path).expect("remove");
        let next = acquire(&path).expect("the next lock");
        drop(lock);
        assert_eq!(acquire(&path).map(drop), Err(LockError::Held));
        drop(next);
        assert_eq!(id_of(&path), None);
    }

    #[test]
    fn a_file_that_is_removed_before_it_is_locked_is_no_lock() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let lock_opened = |file| LockFile::lock(path.clone(), file).map(drop);
        let lock = acquire(&path).expect("the lock");
        let (one, two) = (open(&path).expect("open"), open(&path).expect("open"));
        drop(lock);
        assert_eq!(lock_opened(one), Err(LockError::Held), "there is no file");
        let _next = acquire(&path).expect("the lock on a new file");
        assert_eq!(lock_opened(two), Err(LockError::Held), "there is another file");
        assert_eq!(acquire(&path).map(drop), Err(LockError::Held), "the new file is still there");
    }
}
