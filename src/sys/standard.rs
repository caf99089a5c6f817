//! The standard descriptors: what they refer to can be replaced.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

/// Makes standard input and standard output refer to what `fd` refers to.
///
/// # Errors
/// As dup2(2).
pub fn replace_standard_input_and_output(fd: &impl AsFd) -> Result<(), Errno> {
    dup2_stdin(fd)?;
    dup2_stdout(fd)
}

/// Makes standard error refer to what `fd` refers to.
///
/// # Errors
/// As dup2(2).
pub fn replace_standard_error(fd: &impl AsFd) -> Result<(), Errno> {
    dup2_stderr(fd)
}
