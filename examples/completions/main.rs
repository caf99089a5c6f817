//! Writes the shell completions of both programs: `completions DIRECTORY`.
//!
//! The build calls it (see the Makefile's `build`). For each program there is one file for bash (`NAME.bash`), one for
//! zsh (`_NAME`) and one for fish (`NAME.fish`). It is an example and not a program, so that the generator is not
//! linked into what is installed.

mod scripts;

use std::fs;
use std::io;
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let directory = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: completions DIRECTORY"))?;
    let directory = PathBuf::from(directory);
    fs::create_dir_all(&directory)?;
    for command in scripts::programs() {
        for shell in scripts::SHELLS {
            fs::write(directory.join(scripts::file_name(shell, &command)), scripts::script(shell, command.clone()))?;
        }
    }
    Ok(())
}
