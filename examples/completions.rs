//! Writes the shell completions of both programs: `completions DIRECTORY`.
//!
//! The build calls it (see the Makefile's `build`). For each program there is one file for bash (`NAME.bash`), one for
//! zsh (`_NAME`) and one for fish (`NAME.fish`). It is an example and not a program, so that the generator is not
//! linked into what is installed.

use std::io;
use std::path::Path;

use clap_complete::{Shell, generate_to};

fn main() -> io::Result<()> {
    let directory = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: completions DIRECTORY"))?;
    std::fs::create_dir_all(&directory)?;
    for command in [retortd::daemon::config::args::command(), retortd::client::command()] {
        write(command, Path::new(&directory))?;
    }
    Ok(())
}

fn write(mut command: clap::Command, directory: &Path) -> io::Result<()> {
    let name = command.get_name().to_string();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command, &name, directory)?;
    }
    Ok(())
}
