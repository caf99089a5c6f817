//! Operations on files and on descriptors of any kind.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::fstat;
use nix::unistd;

/// Opens a file to read; does not wait for the writer of a FIFO, and does not make a terminal the controlling one
/// (open(2): `O_NONBLOCK`, `O_NOCTTY`).
///
/// # Errors
/// As open(2).
pub fn open_without_waiting(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

/// The numbers that identify an open file (inode(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    /// The device that the file is on.
    pub device: u64,
    /// The inode of the file on that device.
    pub inode: u64,
}

/// Identifies the file behind a descriptor.
///
/// # Errors
/// As fstat(2).
pub fn file_id(fd: &impl AsFd) -> Result<FileId, Errno> {
    fstat(fd).map(|stat| FileId { device: stat.st_dev, inode: stat.st_ino })
}

/// Identifies the file at a path, which may be a symbolic link; `None` if there is none.
#[must_use]
pub fn id_of(path: &Path) -> Option<FileId> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some(FileId { device: metadata.dev(), inode: metadata.ino() })
}

/// The number of an error of the system.
#[must_use]
pub fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Writes to a descriptor once, and returns the number of bytes written.
///
/// # Errors
/// As write(2), EINTR and EAGAIN included.
pub fn write(fd: &impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    unistd::write(fd, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_identified_by_its_device_and_inode() {
        let file = File::open("/dev/null").expect("open");
        let metadata = file.metadata().expect("metadata");
        let id = FileId { device: metadata.dev(), inode: metadata.ino() };
        assert_eq!((file_id(&file), id_of(Path::new("/dev/null"))), (Ok(id), Some(id)));
    }
}
