//! Child processes that are leaders of a process group: awaited without being reaped, and killed with their group.

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// Waits until a child of this process has ended, and leaves it to be reaped: its number is not used again before that.
///
/// # Errors
/// ECHILD: this process has no such child.
pub fn await_exit(child: u32) -> Result<(), Errno> {
    loop {
        match waitid(Id::Pid(pid(child)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Kills all processes of the group whose leader is a child that has not been reaped; does nothing if there are none.
pub fn kill_group(leader: u32) {
    // ESRCH: all of them have ended
    let _ = killpg(pid(leader), Signal::SIGKILL);
}

fn pid(number: u32) -> Pid {
    // the kernel has no numbers above 2^22 (PID_MAX_LIMIT)
    Pid::from_raw(i32::try_from(number).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_group_ends_with_its_descendants() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 1000 & echo started; wait"]).process_group(0).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a shell");
        let mut output = child.stdout.take().expect("a pipe");
        output.read_exact(&mut [0; 8]).expect("the shell has started its child");
        kill_group(child.id());
        await_exit(child.id()).expect("a child");
        // the child of the shell has the other end of the pipe, too
        assert_eq!(output.read(&mut [0]).expect("read"), 0);
        assert_eq!(child.wait().expect("not reaped yet").signal(), Some(9));
        assert_eq!(await_exit(child.id()), Err(Errno::ECHILD));
    }
}
