//! Receives everything that is in a socket from a predecessor, within bounds.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;

use super::format::{CONNECTIONS, INHERITED, LISTENERS, STATE};
use crate::sys::{self, DescriptorReceiver, Errno, Received};

/// The most messages that are received. Derived: with 253 descriptors in each they are more than any process may open
/// (`fs.nr_open`, 1,048,576 by default).
const MAX_MESSAGES: usize = 8192;

/// What was in the socket.
#[derive(Debug)]
pub struct Contents {
    /// The state, from its beginning; or why nothing can be used.
    pub state: Result<File, String>,
    /// The descriptors of listeners.
    pub listeners: Vec<OwnedFd>,
    /// Connections, by the number that the kernel gives to their sockets.
    pub connections: HashMap<u64, OwnedFd>,
    /// Whether there are listeners that a predecessor has bound, in a state of any version.
    pub has_own_listeners: bool,
}

/// Receives all messages. The socket is empty afterwards, unless more of them keep coming. Connections that would leave
/// fewer than `reserved` descriptors, which the start needs, are closed.
#[must_use]
pub fn receive(socket: &DescriptorReceiver, reserved: u64) -> Contents {
    receive_at_most(MAX_MESSAGES, socket, reserved)
}

fn receive_at_most(most: usize, socket: &DescriptorReceiver, reserved: u64) -> Contents {
    let limit = sys::descriptor_limit().saturating_sub(reserved);
    let mut contents = Contents {
        state: socket.receive().map_err(unreceivable).and_then(state),
        listeners: Vec::new(),
        connections: HashMap::new(),
        has_own_listeners: false,
    };
    for _ in 0..most {
        match socket.receive() {
            Ok(Some(message)) => {
                contents.add(message);
                contents.keep_at_most(limit);
            }
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

impl Contents {
    /// Adds the descriptors of a message.
    fn add(&mut self, Received { payload, descriptors, .. }: Received) {
        match &*payload {
            LISTENERS | INHERITED => {
                self.has_own_listeners |= payload == LISTENERS;
                self.listeners.extend(descriptors);
            }
            CONNECTIONS => {
                let numbered = descriptors.into_iter().map(|socket| Some((sys::socket_cookie(&socket).ok()?, socket)));
                self.connections.extend(numbered.flatten());
            }
            payload => self.state = Err(format!("it has an unknown message, '{}'", payload.escape_ascii())),
        }
    }

    /// Closes connections until there are at most this many descriptors, with those of listeners.
    fn keep_at_most(&mut self, limit: u64) {
        let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(self.listeners.len());
        let excess = self.connections.len().saturating_sub(most);
        let excess: Vec<u64> = self.connections.keys().take(excess).copied().collect();
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
        assert!(receive_at_most(4, &filled(&messages), 0).state.is_ok());
        let error = receive_at_most(3, &filled(&messages), 0).state.expect_err("one more");
        assert_eq!(error, "it has more than 3 messages");
    }

    #[test]
    fn a_limit_on_descriptors_costs_connections_and_not_the_start() {
        if in_own_process(
            "daemon::hand_over::contents::tests::a_limit_on_descriptors_costs_connections_and_not_the_start",
        ) {
            leaves_descriptors(40);
        }
    }

    /// All sockets can be received, but then there would be no descriptor for anything else.
    #[test]
    fn connections_that_leave_too_few_descriptors_are_closed() {
        if in_own_process("daemon::hand_over::contents::tests::connections_that_leave_too_few_descriptors_are_closed") {
            leaves_descriptors(115);
        }
    }

    /// Receives 100 connections below this limit on descriptors, of which 20 are reserved.
    fn leaves_descriptors(limit: u64) {
        let sockets: Vec<UnixStream> =
            (0..50).flat_map(|_| <[UnixStream; 2]>::from(UnixStream::pair().expect("a pair"))).collect();
        let socket = filled(&[(CONNECTIONS, &sockets)]);
        drop(sockets);
        setrlimit(Resource::RLIMIT_NOFILE, limit, limit).expect("a limit");
        let contents = receive(&socket, 20);
        assert!(contents.state.is_ok());
        assert_eq!(contents.connections.len() as u64, limit - 20);
        let _start: Vec<File> = (0..5).map(|_| File::open("/dev/null").expect("descriptors for the start")).collect();
    }
}
