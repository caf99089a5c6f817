//! Receives everything that is in a socket from a predecessor, within bounds.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;

use super::format::{CONNECTIONS, INHERITED, LISTENERS, STATE};
use crate::sys::{self, DescriptorReceiver, Errno, Received, StreamSocket};

/// The most messages that are received. Derived: with 253 descriptors in each they are more than any process may open
/// (`fs.nr_open`, 1,048,576 by default).
const MAX_MESSAGES: usize = 8192;
/// Descriptors that stay free for the successor itself. Chosen: more than `RESERVED_DESCRIPTORS` of the server's
/// configuration, with listeners and workers; where the limit is low, a quarter of it.
const KEPT_FREE: u64 = 512;

/// What was in the socket.
#[derive(Debug)]
pub struct Contents {
    /// The state, from its beginning; or why nothing can be used.
    pub state: Result<File, String>,
    /// The descriptors of listeners.
    pub listeners: Vec<OwnedFd>,
    /// Connections, by the number that the kernel gives to their sockets. They are non-blocking, as they were.
    pub connections: HashMap<u64, StreamSocket>,
    /// Whether there are listeners that a predecessor has bound, in a state of any version.
    pub has_own_listeners: bool,
}

/// Receives all messages. The socket is empty afterwards, unless more of them keep coming.
#[must_use]
pub fn receive(socket: &DescriptorReceiver) -> Contents {
    receive_at_most(MAX_MESSAGES, socket)
}

fn receive_at_most(most: usize, socket: &DescriptorReceiver) -> Contents {
    let mut contents = Contents {
        state: socket.receive().map_err(unreceivable).and_then(state),
        listeners: Vec::new(),
        connections: HashMap::new(),
        has_own_listeners: false,
    };
    for _ in 0..most {
        match socket.receive() {
            Ok(Some(message)) => contents.add(message),
            Ok(None) => return contents,
            Err(error) => {
                contents.state = Err(unreceivable(error));
                return contents;
            }
        }
    }
    contents.state = Err(format!("it has more than {most} messages"));
    contents
}

fn unreceivable(error: Errno) -> String {
    format!("it cannot be received: {}", error.desc())
}

/// The state that the first message carries.
fn state(message: Option<Received>) -> Result<File, String> {
    let Received { payload, descriptors, .. } = message.ok_or("it is empty")?;
    if payload != STATE {
        let is_version = payload.starts_with(b"state ") && payload.ends_with(b"\n");
        let what = if is_version { "is of another version" } else { "begins with an unknown message" };
        return Err(format!("it {what}, '{}'", payload.trim_ascii().escape_ascii()));
    }
    let file: Result<[OwnedFd; 1], _> = descriptors.try_into();
    let [file] = file.map_err(|_| "it has no state")?;
    sys::sealed_file(file).map_err(|error| match error {
        Errno::EPERM => "its state may still change".into(),
        error => format!("its state cannot be read: {}", error.desc()),
    })
}

/// A connection with its number; closes what is none.
fn numbered(socket: OwnedFd) -> Option<(u64, StreamSocket)> {
    Some((sys::socket_cookie(&socket).ok()?, socket.try_into().ok()?))
}

impl Contents {
    /// Adds the descriptors of a message.
    fn add(&mut self, Received { payload, descriptors, truncated }: Received) {
        match &*payload {
            LISTENERS | INHERITED => {
                self.has_own_listeners |= payload == LISTENERS;
                self.listeners.extend(descriptors);
            }
            CONNECTIONS => {
                self.connections.extend(descriptors.into_iter().filter_map(numbered));
            }
            payload => self.state = Err(format!("it has an unknown message, '{}'", payload.escape_ascii())),
        }
        if truncated {
            self.leave_descriptors_free(sys::descriptor_limit());
        }
    }

    /// Closes as many connections as needed to leave some descriptors free below a limit: the start needs them.
    fn leave_descriptors_free(&mut self, limit: u64) {
        let most = limit - KEPT_FREE.min(limit / 4);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let excess: Vec<u64> = self.connections.keys().skip(most).copied().collect();
        for cookie in excess {
            self.connections.remove(&cookie);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use nix::sys::resource::{Resource, setrlimit};

    use super::*;
    use crate::sys::test_process::in_own_process;

    /// A socket with an empty state, and with these messages.
    fn filled(messages: &[(&[u8], &[UnixStream])]) -> DescriptorReceiver {
        let (sender, receiver) = sys::descriptor_pair().expect("a pair");
        let state = sys::memory_file("test").expect("a file");
        sys::seal(&state).expect("seal");
        sender.send(STATE, &[state.as_fd()]).expect("send");
        for (payload, sockets) in messages {
            sender.send(payload, &sockets.iter().map(AsFd::as_fd).collect::<Vec<_>>()).expect("send");
        }
        receiver
    }

    #[test]
    fn messages_are_bounded() {
        let messages = [(CONNECTIONS, &[][..]); 3];
        assert!(receive_at_most(4, &filled(&messages)).state.is_ok());
        let error = receive_at_most(3, &filled(&messages)).state.expect_err("one more");
        assert_eq!(error, "it has more than 3 messages");
    }

    #[test]
    fn what_is_no_connection_is_closed() {
        let (socket, other) = UnixStream::pair().expect("a pair");
        let (sender, receiver) = sys::descriptor_pair().expect("a pair");
        sender.send(STATE, &[other.as_fd()]).expect("send");
        let file = File::open("/dev/null").expect("open");
        sender.send(CONNECTIONS, &[file.as_fd(), socket.as_fd()]).expect("send");
        let contents = receive(&receiver);
        let expected = sys::socket_cookie(&socket).expect("a cookie");
        assert_eq!(contents.connections.into_keys().collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn a_limit_on_descriptors_leaves_some_free() {
        if !in_own_process("daemon::hand_over::contents::tests::a_limit_on_descriptors_leaves_some_free") {
            return;
        }
        let sockets: Vec<UnixStream> =
            (0..50).flat_map(|_| <[UnixStream; 2]>::from(UnixStream::pair().expect("a pair"))).collect();
        let socket = filled(&[(CONNECTIONS, &sockets)]);
        drop(sockets);
        setrlimit(Resource::RLIMIT_NOFILE, 40, 40).expect("a limit");
        let contents = receive(&socket);
        assert!(contents.state.is_ok());
        assert_eq!(contents.connections.len(), 30);
        assert!(UnixStream::pair().is_ok(), "there are descriptors for the start");
    }

    #[test]
    fn a_low_limit_on_descriptors_costs_connections_and_not_the_start() {
        let socket = || UnixStream::pair().expect("a pair").0;
        let connection = |cookie| (cookie, OwnedFd::from(socket()).try_into().expect("a socket"));
        let mut contents = Contents {
            state: Err("it is not used".into()),
            listeners: Vec::new(),
            has_own_listeners: false,
            connections: (0..20).map(connection).collect(),
        };
        contents.leave_descriptors_free(1024);
        assert_eq!(contents.connections.len(), 20);
        contents.leave_descriptors_free(20);
        assert_eq!(contents.connections.len(), 15, "a quarter is free");
        contents.leave_descriptors_free(0);
        assert!(contents.connections.is_empty());
    }
}
