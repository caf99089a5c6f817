//! The hand-over of connections to a new process: by executing the program again, and through a service manager.

mod connections;
mod manager;
mod refusals;
mod settings;
mod signals;
mod sockets;

use crate::harness::{Daemon, DaemonBuilder};

/// A daemon that executes its program again to hand its connections over, with this number of listeners.
fn without_manager(builder: DaemonBuilder, listeners: usize) -> Daemon {
    let mut daemon = builder.env("NOTIFY_SOCKET", "").spawn();
    daemon.wait_listening(listeners);
    daemon
}

/// The same, with one listener on a free port of the loopback interface.
fn serving(protocol: &str, arguments: &[&str]) -> Daemon {
    let listen = format!("--listen={protocol}=127.0.0.1:0");
    let builder = DaemonBuilder::new(&[&["-v", "--hand-over", listen.as_str()], arguments].concat());
    without_manager(builder, 1)
}
