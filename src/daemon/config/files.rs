//! Reads files that the configuration names, each as a whole.
//!
//! Only regular files are read: a FIFO or a device may never end, and would block the main thread, which handles
//! signals.

#![allow(clippy::cast_possible_truncation, reason = "the length of a file has been compared with MAX_FILE")]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::daemon::exit_status::{Failure, Kind};
use crate::sys::{self, Errno};

/// The maximum size of a file, in bytes. Chosen: settings and quotes that people write are thousands of times smaller,
/// and the most expensive content, quotes of one letter, takes a second of CPU time and 230 MiB.
pub const MAX_FILE: u64 = 16 << 20;

/// Reads a regular file.
///
/// # Errors
/// 78: the file cannot be read, is not a regular file, or is larger than [`MAX_FILE`]; 71: the system lacks a resource.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    sys::open_without_waiting(path).and_then(read_regular).map_err(|error| cannot_read(path, &error))
}

/// Reads a regular file that may be missing: `None` if there is no file of that name.
///
/// # Errors
/// As [`read`] for every other error.
pub fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match sys::open_without_waiting(path).and_then(read_regular) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_read(path, &error)),
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::of(kind(error), format!("cannot read {}: {error}", path.display()))
}

fn read_regular(file: File) -> io::Result<Vec<u8>> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Errno::EISDIR.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let too_large = || io::Error::other(format!("larger than {MAX_FILE} bytes"));
    if metadata.len() > MAX_FILE {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // one byte more than the file has, so that a file that grows is noticed
    bytes.try_reserve_exact(metadata.len() as usize + 1).map_err(|_| io::ErrorKind::OutOfMemory)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE { Err(too_large()) } else { Ok(bytes) }
}

/// [`Kind::System`] if another try may succeed.
fn kind(error: &io::Error) -> Kind {
    let lacking = [Errno::ENOMEM, Errno::ENFILE, Errno::EMFILE, Errno::EIO, Errno::ENOBUFS];
    let lacks = error.raw_os_error().is_some_and(|number| lacking.contains(&Errno::from_raw(number)));
    if lacks || error.kind() == io::ErrorKind::OutOfMemory { Kind::System } else { Kind::Configuration }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use nix::sys::stat::Mode;

    use super::*;

    /// A directory for one test.
    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("retortd-files-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    #[test]
    fn regular_files_are_read_as_a_whole() {
        let directory = directory("regular");
        let path = directory.join("file");
        for length in [0, 1, MAX_FILE as usize] {
            fs::write(&path, vec![b'x'; length]).expect("write");
            assert_eq!(read(&path).expect("a file").len(), length);
        }
        // proc(5): a regular file of no length, with something in it
        assert!(!read(Path::new("/proc/self/status")).expect("a file").is_empty());
        fs::remove_dir_all(directory).expect("remove");
    }

    #[test]
    fn other_files_are_rejected_without_blocking() {
        let directory = directory("else");
        let (fifo, large) = (directory.join("fifo"), directory.join("large"));
        nix::unistd::mkfifo(&fifo, Mode::S_IRUSR).expect("a FIFO");
        let sparse = File::create(&large).expect("a file");
        sparse.set_len(MAX_FILE + 1).expect("its length");
        let why = |path: &Path| {
            let failure = read(path).expect_err("not read");
            assert_eq!(failure.kind, Kind::Configuration);
            failure.to_string().split_once(": ").expect("a reason").1.to_string()
        };
        assert_eq!(why(&fifo), "not a regular file");
        assert_eq!(why(Path::new("/dev/zero")), "not a regular file");
        assert_eq!(why(&large), "larger than 16777216 bytes");
        assert_eq!(why(&directory), "Is a directory (os error 21)");
        assert_eq!(why(&directory.join("none")), "No such file or directory (os error 2)");
        fs::remove_dir_all(directory).expect("remove");
    }

    #[test]
    fn only_a_missing_file_is_none() {
        let directory = directory("missing");
        let path = directory.join("file");
        assert_eq!(read_if_exists(&path), Ok(None));
        fs::write(&path, "x").expect("write");
        assert_eq!(read_if_exists(&path), Ok(Some(b"x".to_vec())));
        for path in [path.join("below"), directory.clone()] {
            assert_eq!(read_if_exists(&path).expect_err("not read").kind, Kind::Configuration);
        }
        fs::remove_dir_all(directory).expect("remove");
    }

    #[test]
    fn temporary_errors_are_not_configuration_errors() {
        assert_eq!(kind(&Errno::EMFILE.into()), Kind::System);
        assert_eq!(kind(&io::ErrorKind::OutOfMemory.into()), Kind::System);
        assert_eq!(kind(&Errno::EACCES.into()), Kind::Configuration);
    }
}
