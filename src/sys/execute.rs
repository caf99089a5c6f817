//! execve(2): the program in place of this process, with one descriptor of its own.

#![allow(unsafe_code, reason = "calls close_range(2), which nix does not have, and dup2(2) with a number")]

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::execve;

use super::inherited::FIRST_INHERITED;

/// Executes a program in place of this process, with these `arguments` (the name of the program first) and this
/// `environment`; `descriptor` has the number 3 there ([`FIRST_INHERITED`]). Returns only if that fails: nothing has
/// changed then.
///
/// A thread of its own does it, with a copy of the table of descriptors: other threads may use the descriptor that has
/// the number 3 here. The kernel gives the id of the process to the thread that succeeds (execve(2)). The program
/// inherits the signal mask of the caller.
///
/// # Errors
/// As execve(2), `pthread_create(3)` and dup2(2); EINVAL: a path, an argument or a variable contains a zero byte; ENOSYS
/// or EPERM: neither `close_range(2)` nor unshare(2) may copy the table.
pub fn execute(
    path: &Path,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    descriptor: BorrowedFd<'_>,
) -> Errno {
    let arguments: Result<Vec<CString>, Errno> = arguments.iter().map(|argument| text(&[argument])).collect();
    let environment: Result<Vec<CString>, Errno> =
        environment.iter().map(|(name, value)| text(&[name, OsStr::new("="), value])).collect();
    let (Ok(path), Ok(arguments), Ok(environment)) = (text(&[path.as_os_str()]), arguments, environment) else {
        return Errno::EINVAL;
    };
    let execute = || replace(&path, &arguments, &environment, descriptor.as_raw_fd());
    let result = thread::scope(|scope| {
        let thread = thread::Builder::new().name("execute".into()).spawn_scoped(scope, execute);
        thread.map(|thread| thread.join().unwrap_or(Err(Errno::ENOTRECOVERABLE)))
    });
    match result {
        Ok(Ok(never)) => match never {},
        Ok(Err(error)) => error,
        Err(error) => super::file::errno_of(&error),
    }
}

fn text(parts: &[&OsStr]) -> Result<CString, Errno> {
    let bytes: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    CString::new(bytes.concat()).map_err(|_| Errno::EINVAL)
}

fn replace(
    path: &CString,
    arguments: &[CString],
    environment: &[CString],
    descriptor: RawFd,
) -> Result<Infallible, Errno> {
    copy_descriptor_table()?;
    let number = RawFd::try_from(FIRST_INHERITED).map_err(|_| Errno::EBADF)?;
    // SAFETY: the table is that of this thread alone, which uses no other descriptor any more.
    Errno::result(unsafe { if descriptor == number { 0 } else { libc::dup2(descriptor, number) } })?;
    // SAFETY: F_SETFD takes numbers and touches no memory. dup2 has no effect on the flags of a number that is kept.
    Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, 0) })?;
    execve(path, arguments, environment)
}

/// Gives the calling thread a table of descriptors of its own.
fn copy_descriptor_table() -> Result<(), Errno> {
    // closes nothing: no descriptor has this number. A filter of system calls that containers have by default allows
    // this, and unshare(2) only with CAP_SYS_ADMIN
    // SAFETY: close_range takes numbers and touches no memory.
    let result = unsafe {
        libc::syscall(libc::SYS_close_range, libc::c_uint::MAX, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE)
    };
    // before Linux 5.9
    Errno::result(result).map(drop).or_else(|_| unshare(CloneFlags::CLONE_FILES))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::{AsFd, OwnedFd};

    use super::*;
    use crate::sys::test_process::in_own_process;
    use crate::sys::{EventFd, descriptor_pair};

    #[test]
    fn a_failure_changes_nothing() {
        if !in_own_process("sys::execute::tests::a_failure_changes_nothing") {
            return;
        }
        let (_sender, receiver) = descriptor_pair().expect("a pair");
        let before: Vec<OwnedFd> = (0..3).map(|_| File::open("/dev/null").expect("open").into()).collect();
        let number_3 = std::fs::read_link("/proc/self/fd/3").ok();
        let failure = |path: &str, argument: &str| {
            execute(Path::new(path), &[argument.into()], &[("A".into(), "b".into())], receiver.as_fd())
        };
        assert_eq!(failure("/nonexistent/program", "program"), Errno::ENOENT);
        assert_eq!(failure("/dev/null", "program"), Errno::EACCES);
        assert_eq!(failure("/bin/true", "zero\0byte"), Errno::EINVAL);
        assert_eq!(std::fs::read_link("/proc/self/fd/3").ok(), number_3);
        assert!(before.iter().all(|file| file.try_clone().is_ok()));
        EventFd::new().expect("descriptors are opened as before").notify();
    }

    #[test]
    fn a_program_takes_the_place_of_the_process() {
        if !in_own_process("sys::execute::tests::a_program_takes_the_place_of_the_process") {
            return;
        }
        let (sender, receiver) = descriptor_pair().expect("a pair");
        let _other = EventFd::new().expect("an eventfd");
        let script = "test $$ = $OWN && test $1 = last && test -S /proc/$$/fd/3 && for f in /proc/$$/fd/*; do \
                      case $(readlink $f) in *eventfd*) exit 3; esac; done";
        let arguments = ["sh", "-c", script, "sh", "last"].map(OsString::from);
        let own = (OsString::from("OWN"), OsString::from(std::process::id().to_string()));
        sender.send(b"sent", &[]).expect("send");
        let error = execute(Path::new("/bin/sh"), &arguments, &[own], receiver.as_fd());
        panic!("{error}");
    }
}
