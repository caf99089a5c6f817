//! The socket of the journal, with its native protocol.
//!
//! The log thread waits while the journal takes no more, as it does on standard error: the queue of the socket has room
//! for a few hundred lines, which one burst fills. Lines are dropped when the queue in front of the log thread is full,
//! too (`queue.rs`).

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use super::datagram::DatagramSocket;
use crate::daemon::logging::format::journal::fields;
use crate::daemon::logging::line::Line;

/// A connection to the journal.
pub struct JournalSocket(DatagramSocket);

impl JournalSocket {
    /// A socket for the journal at `path`; connects when the first line is sent.
    pub fn new(path: PathBuf) -> Self {
        Self(DatagramSocket::new(path))
    }

    /// Sends one line, of which this is the message.
    ///
    /// # Errors
    /// There is no journal.
    pub fn send(&mut self, line: &Line, message: &str) -> io::Result<()> {
        let fields = fields(line, message);
        loop {
            match self.0.send(fields.as_bytes()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.0.wait(),
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::net::UnixDatagram;
    use std::thread;
    use std::time::SystemTime;

    use crate::daemon::logging::line::Severity;
    use crate::daemon::logging::message::Message;

    fn line(text: &str) -> Line {
        let message = Message::with_pairs(text, &("reason", "reset"));
        Line { time: SystemTime::UNIX_EPOCH, severity: Severity::Info, message }
    }

    fn receive(journal: &UnixDatagram) -> String {
        let mut datagram = [0; 2000];
        let length = journal.recv(&mut datagram).expect("recv");
        String::from_utf8(datagram[..length].to_vec()).expect("UTF-8")
    }

    #[test]
    fn restarted_journal_is_connected_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let mut socket = JournalSocket::new(path.clone());
        assert!(socket.send(&line("x"), "no journal").is_err());
        for round in ["first", "second"] {
            let journal = UnixDatagram::bind(&path).expect("bind");
            socket.send(&line("x"), round).expect("send");
            let expect = format!(
                "PRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=retortd\nMESSAGE={round}\nRETORTD_REASON=reset\n"
            );
            assert_eq!(receive(&journal), expect);
            fs::remove_file(&path).expect("remove");
        }
    }

    /// More lines than the queue of the socket has room for.
    #[test]
    fn slow_journal_gets_every_line_in_order() {
        const LINES: usize = 3000;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).expect("bind");
        let mut socket = JournalSocket::new(path);
        thread::scope(|scope| {
            scope.spawn(move || (0..LINES).for_each(|n| socket.send(&line("x"), &n.to_string()).expect("send")));
            for n in 0..LINES {
                let datagram = receive(&journal);
                assert!(datagram.contains(&format!("\nMESSAGE={n}\n")), "{n}: {datagram}");
            }
        });
    }

    /// A journal that is stopped for good while the log thread waits for it.
    #[test]
    fn lost_journal_ends_the_wait() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).expect("bind");
        let mut socket = JournalSocket::new(path.clone());
        socket.send(&line("x"), "x").expect("send");
        fs::remove_file(&path).expect("remove");
        thread::scope(|scope| {
            let sender = scope.spawn(move || (0..).find_map(|_| socket.send(&line("x"), "x").err()));
            receive(&journal);
            drop(journal);
            assert!(sender.join().expect("no panic").is_some());
        });
    }
}
