//! The daemon: all of it is in the library.
use std::process::ExitCode;

fn main() -> ExitCode {
    retortd::daemon::main()
}
