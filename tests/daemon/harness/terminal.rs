//! Terminals for the programs that are tested.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};

/// A pseudoterminal, and the end that a terminal emulator has; closed on exec, unlike those of openpty(3).
pub fn terminal() -> (OwnedFd, OwnedFd) {
    let controller = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).expect("a pseudoterminal");
    grantpt(&controller).expect("grantpt");
    unlockpt(&controller).expect("unlockpt");
    let path = ptsname_r(&controller).expect("ptsname");
    let terminal = OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(path);
    (terminal.expect("open the terminal").into(), controller.into())
}

/// The text that programs write to a terminal until the last copy of their end is closed (EIO, pty(7)).
pub fn shown_on(controller: OwnedFd) -> String {
    let mut shown = Vec::new();
    let _ = File::from(controller).read_to_end(&mut shown);
    String::from_utf8(shown).expect("UTF-8 on a terminal")
}
