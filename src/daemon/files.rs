//! Files that the configuration names, read whole.
//!
//! Only regular files are read: a FIFO or a device would have the main thread wait, which is the one that obeys
//! signals, and may never end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::daemon::exit_status::{Failure, Kind};
use crate::sys::{self, Errno};

/// The largest file that is read, in bytes. Chosen: settings and quotes that people write are thousands of times
/// smaller. The worst, quotes of one letter, takes a second of CPU and 230 MiB.
pub const LARGEST: u64 = 16 << 20;

/// Reads a file.
///
/// # Errors
/// 78: it cannot be read, is no regular file, or is larger than [`LARGEST`]; 71: the system lacks what it takes.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    sys::open_without_waiting(path).and_then(read_regular).map_err(|error| {
        let message = format!("cannot read {}: {error}", path.display());
        Failure::of(kind(&error), message)
    })
}

fn read_regular(file: File) -> io::Result<Vec<u8>> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Errno::EISDIR.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let too_large = || io::Error::other(format!("larger than {LARGEST} bytes"));
    if metadata.len() > LARGEST {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // room for a byte more, which tells that it has grown
    bytes.try_reserve_exact(metadata.len() as usize + 1).map_err(|_| io::ErrorKind::OutOfMemory)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST { Err(too_large()) } else { Ok(bytes) }
}

/// Whether another try may succeed.
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

    /// A directory of a test's own.
    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("retortd-files-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    #[test]
    fn regular_files_are_read_whole() {
        let directory = directory("regular");
        let path = directory.join("file");
        for length in [0, 1, LARGEST as usize] {
            fs::write(&path, vec![b'x'; length]).expect("write");
            assert_eq!(read(&path).expect("a file").len(), length);
        }
        // proc(5): a regular file of no length, with something in it
        assert!(!read(Path::new("/proc/self/status")).expect("a file").is_empty());
        fs::remove_dir_all(directory).expect("remove");
    }

    #[test]
    fn everything_else_is_refused_without_waiting() {
        let directory = directory("else");
        let (fifo, large) = (directory.join("fifo"), directory.join("large"));
        nix::unistd::mkfifo(&fifo, Mode::S_IRUSR).expect("a FIFO");
        let sparse = File::create(&large).expect("a file");
        sparse.set_len(LARGEST + 1).expect("its length");
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
    fn what_may_pass_is_no_fault_of_the_configuration() {
        assert_eq!(kind(&Errno::EMFILE.into()), Kind::System);
        assert_eq!(kind(&io::ErrorKind::OutOfMemory.into()), Kind::System);
        assert_eq!(kind(&Errno::EACCES.into()), Kind::Configuration);
    }
}
