//! Receives everything that is in a socket from a predecessor, within bounds.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;

use super::format::{CONNECTIONS, INHERITED, LISTENERS, STATE};
use crate::sys::{self, DescriptorReceiver, Errno, Received};

/// The most messages that are received. Derived: with 253 descriptors in each they are more than any process may open
/// (`fs.nr_open`, 1,048,576 by default).
const MAX_MESSAGES: usize = 8192;
/// Descriptors that stay free for the successor itself. Chosen: more than `RESERVED_DESCRIPTORS` of the server's
/// configuration, with listeners and workers; where the limit is low, a quarter of it.
const KEPT_FREE: u64 = 512;

/// What was in the socket.
#[derive(Debug)]
pub struct Contents {
    /// The state, from its beginning.
    pub state: File,
    /// The descriptors of listeners.
    pub listeners: Vec<OwnedFd>,
    /// Connections, by the number that the kernel gives to their sockets.
    pub connections: HashMap<u64, OwnedFd>,
}

/// Receives all messages. The socket is empty afterwards, whatever the result. `has_own_listeners` becomes true if there
/// are listeners that a predecessor has bound, also where the rest cannot be used.
///
/// # Errors
/// The reason why nothing of it can be used.
pub fn receive(socket: &DescriptorReceiver, has_own_listeners: &mut bool) -> Result<Contents, String> {
    let result = receive_all(socket, has_own_listeners);
    if result.is_err() {
        // the rest is closed
        let rest = (0..MAX_MESSAGES).map_while(|_| socket.receive().ok().flatten());
        rest.for_each(|message| *has_own_listeners |= message.payload == LISTENERS);
    }
    result
}

fn receive_all(socket: &DescriptorReceiver, has_own_listeners: &mut bool) -> Result<Contents, String> {
    let first = next(socket)?.ok_or("it is empty")?;
    let mut contents = Contents { state: state(first)?, listeners: Vec::new(), connections: HashMap::new() };
    let mut is_truncated = false;
    for _ in 0..MAX_MESSAGES {
        let Some(message) = next(socket)? else {
            if is_truncated {
                contents.leave_descriptors_free(sys::descriptor_limit());
            }
            return Ok(contents);
        };
        is_truncated |= message.truncated;
        *has_own_listeners |= message.payload == LISTENERS;
        contents.add(message)?;
    }
    Err(format!("it has more than {MAX_MESSAGES} messages"))
}

fn next(socket: &DescriptorReceiver) -> Result<Option<Received>, String> {
    socket.receive().map_err(|error| format!("it cannot be received: {}", error.desc()))
}

/// The state that the first message carries.
fn state(message: Received) -> Result<File, String> {
    let payload = message.payload;
    if payload != STATE {
        let is_version = payload.starts_with(b"state ") && payload.ends_with(b"\n");
        let what = if is_version { "is of another version" } else { "begins with an unknown message" };
        return Err(format!("it {what}, '{}'", payload.trim_ascii().escape_ascii()));
    }
    let file: Result<[OwnedFd; 1], _> = message.descriptors.try_into();
    let [file] = file.map_err(|_| "it has no state")?;
    sys::sealed_file(file).map_err(|error| match error {
        Errno::EPERM => "its state may still change".into(),
        error => format!("its state cannot be read: {}", error.desc()),
    })
}

impl Contents {
    /// Adds the descriptors of a message.
    fn add(&mut self, Received { payload, descriptors, .. }: Received) -> Result<(), String> {
        match &*payload {
            LISTENERS | INHERITED => self.listeners.extend(descriptors),
            CONNECTIONS => {
                let numbered = descriptors.into_iter().map(|socket| Some((sys::socket_cookie(&socket).ok()?, socket)));
                self.connections.extend(numbered.flatten());
            }
            payload => return Err(format!("it has an unknown message, '{}'", payload.escape_ascii())),
        }
        Ok(())
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
    use super::*;

    #[test]
    fn a_low_limit_on_descriptors_costs_connections_and_not_the_start() {
        let file = || File::open("/dev/null").expect("open").into();
        let mut contents = Contents {
            state: File::open("/dev/null").expect("open"),
            listeners: Vec::new(),
            connections: (0..20).map(|cookie| (cookie, file())).collect(),
        };
        contents.leave_descriptors_free(1024);
        assert_eq!(contents.connections.len(), 20);
        contents.leave_descriptors_free(20);
        assert_eq!(contents.connections.len(), 15, "a quarter is free");
        contents.leave_descriptors_free(0);
        assert!(contents.connections.is_empty());
    }
}
