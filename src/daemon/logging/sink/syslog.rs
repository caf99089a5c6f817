//! The socket of the system log.
//!
//! The crate syslog formats the lines (RFC 3164, which journald reads, too); the socket is this program's, because that
//! of the crate blocks and never reconnects. A line that the system log does not take at once is dropped, not sent
//! later: its time stamp is that of the transmission.

use std::io;
use std::path::PathBuf;

use syslog::{Facility, Formatter3164, LogFormat};

use super::datagram::DatagramSocket;
use crate::daemon::logging::line::{NAME, Severity};

/// A connection to the system log.
pub struct SyslogSocket {
    formatter: Formatter3164,
    socket: DatagramSocket,
}

impl SyslogSocket {
    /// A socket for the system log at `path`; connects when the first line is sent.
    pub fn new(path: PathBuf) -> Self {
        let formatter = Formatter3164 {
            facility: Facility::LOG_DAEMON,
            hostname: None,
            process: NAME.into(),
            pid: std::process::id(),
        };
        Self { formatter, socket: DatagramSocket::new(path) }
    }

    /// Sends one message.
    ///
    /// # Errors
    /// `WouldBlock` if the queue of the system log is full; any other error means that there is no system log.
    pub fn send(&mut self, severity: Severity, message: &str) -> io::Result<()> {
        let severity = match severity {
            Severity::Error => syslog::Severity::LOG_ERR,
            Severity::Warning => syslog::Severity::LOG_WARNING,
            Severity::Info => syslog::Severity::LOG_INFO,
            Severity::Debug => syslog::Severity::LOG_DEBUG,
        };
        let mut datagram = Vec::new();
        self.formatter.format(&mut datagram, severity, message).map_err(io::Error::other)?;
        self.socket.send(&datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn restarted_system_log_is_connected_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let mut syslog = SyslogSocket::new(path.clone());
        assert!(syslog.send(Severity::Info, "no system log").is_err());
        for round in ["first", "second"] {
            let daemon = UnixDatagram::bind(&path).expect("bind");
            syslog.send(Severity::Warning, round).expect("send");
            let mut datagram = [0; 2000];
            let length = daemon.recv(&mut datagram).expect("recv");
            let text = String::from_utf8_lossy(&datagram[..length]);
            assert!(text.starts_with("<28>") && text.ends_with(&format!("]: {round}")), "{text}");
            std::fs::remove_file(&path).expect("remove");
        }
    }

    #[test]
    fn full_system_log_does_not_block() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let _daemon = UnixDatagram::bind(&path).expect("bind");
        let mut syslog = SyslogSocket::new(path);
        let failed = (0..10_000).find_map(|_| syslog.send(Severity::Info, "x").err());
        assert_eq!(failed.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    }
}
