//! `memfd_create(2)`: a file in memory that is sealed once it is written, so that its reader can rely on its contents.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};

/// A file without these seals may still change, or get shorter while it is read.
const SEALS: SealFlag =
    SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_WRITE).union(SealFlag::F_SEAL_SEAL);

/// Creates an empty file in memory that can be written, and then sealed by [`seal`]; closed on exec. `name` is for
/// /proc/PID/fd.
///
/// # Errors
/// As `memfd_create(2)`: EMFILE, ENFILE, ENOMEM; ENOSYS or EPERM under a filter of system calls.
pub fn memory_file(name: &str) -> Result<File, Errno> {
    // since Linux 6.3 the kernel logs which program does not say whether the file may be executed
    let no_exec = MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = match memfd_create(name, flags | no_exec) {
        Err(Errno::EINVAL) => memfd_create(name, flags)?,
        result => result?,
    };
    Ok(file.into())
}

/// Makes the contents of a file in memory final (`F_ADD_SEALS`, fcntl(2)).
///
/// # Errors
/// EBUSY: it is mapped; EPERM: it is sealed, or cannot be.
pub fn seal(file: &File) -> Result<(), Errno> {
    fcntl(file, FcntlArg::F_ADD_SEALS(SEALS)).map(drop)
}

/// A file in memory whose contents are final, from its beginning.
///
/// # Errors
/// EPERM: it lacks a seal; EINVAL: it is no file in memory.
pub fn sealed_file(file: OwnedFd) -> Result<File, Errno> {
    let seals = SealFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GET_SEALS)?);
    if !seals.contains(SEALS) {
        return Err(Errno::EPERM);
    }
    let mut file = File::from(file);
    file.seek(SeekFrom::Start(0)).map_err(|error| super::file::errno_of(&error))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_sealed_file_is_read_and_never_changed() {
        let mut file = memory_file("state").expect("a file");
        file.write_all(b"contents").expect("write");
        let copy = file.try_clone().expect("a descriptor");
        assert_eq!(sealed_file(copy.into()).map(drop), Err(Errno::EPERM), "not yet");
        seal(&file).expect("seal");
        assert_eq!(file.write(b"x").expect_err("sealed").raw_os_error(), Some(Errno::EPERM as i32));
        assert_eq!(file.set_len(0).expect_err("sealed").raw_os_error(), Some(Errno::EPERM as i32));
        assert_eq!(seal(&file), Err(Errno::EPERM), "once");
        let mut text = String::new();
        sealed_file(file.into()).expect("sealed").read_to_string(&mut text).expect("read");
        assert_eq!(text, "contents");
    }

    #[test]
    fn other_files_are_not_sealed() {
        let file = tempfile::tempfile().expect("a file");
        // a file system in memory has seals, too
        assert!(matches!(sealed_file(file.into()).map(drop), Err(Errno::EPERM | Errno::EINVAL)));
        let device = File::open("/dev/null").expect("open");
        assert_eq!(sealed_file(device.into()).map(drop), Err(Errno::EINVAL));
    }
}
