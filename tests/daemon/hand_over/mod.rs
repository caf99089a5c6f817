//! The hand-over of connections to a new process: by executing the program again, and through a service manager.

mod connections;
mod impairments;
mod manager;
mod refusals;
mod settings;
mod signals;
mod sockets;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::harness::{Daemon, DaemonBuilder, Directory};

/// The program at a path of its own, where a test can replace it, as an upgrade does.
pub struct ProgramCopy(PathBuf);

impl ProgramCopy {
    pub fn in_directory(directory: &Directory) -> Self {
        let copy = Self(directory.path("retortd"));
        fs::copy(env!("CARGO_BIN_EXE_retortd"), &copy.0).expect("copy the program");
        copy
    }

    /// Executes it in place of the program that the harness names.
    pub fn run(&self, builder: DaemonBuilder) -> DaemonBuilder {
        let path = self.0.to_str().expect("a path in UTF-8");
        builder.under(&["sh", "-c", "shift; exec \"$0\" \"$@\"", path])
    }

    /// Replaces the file by a script.
    pub fn replace_by(&self, script: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).expect("write a script");
        fs::set_permissions(&new, Permissions::from_mode(0o755)).expect("make it executable");
        fs::rename(&new, &self.0).expect("replace the program");
    }

    /// Replaces the file by the program again.
    pub fn restore(&self) {
        let new = self.0.with_extension("new");
        fs::copy(env!("CARGO_BIN_EXE_retortd"), &new).expect("copy the program");
        fs::rename(&new, &self.0).expect("replace the program");
    }

    fn remove(&self) {
        fs::remove_file(&self.0).expect("remove the program");
    }
}

/// A daemon that executes its program again to hand its connections over, with this number of listeners.
pub fn without_manager(builder: DaemonBuilder, listeners: usize) -> Daemon {
    let mut daemon = builder.env("NOTIFY_SOCKET", "").spawn();
    daemon.wait_listening(listeners);
    daemon
}

/// The same, with one listener on a free port of the loopback interface.
pub fn serving(protocol: &str, arguments: &[&str]) -> Daemon {
    let listen = format!("--listen={protocol}=127.0.0.1:0");
    let builder = DaemonBuilder::new(&[&["-v", "--hand-over", listen.as_str()], arguments].concat());
    without_manager(builder, 1)
}
