//! The connections of one worker, by token.
//!
//! A slot that is used again gets another generation, so an event or a piece of finished work that was meant for its
//! former owner finds nobody.

use std::net::{IpAddr, TcpStream};

use super::poller::Token;
use crate::connection::{Connection, Interest};

/// A connection and what the event loop knows of it.
pub struct Entry {
    /// Its socket.
    pub stream: TcpStream,
    /// Its state.
    pub connection: Connection,
    /// What epoll was told to watch for.
    pub interest: Interest,
    /// When it is to be looked at if nothing happens, in milliseconds.
    pub deadline: u64,
    /// Its address, where connections are counted by source.
    pub source: Option<Box<IpAddr>>,
}

enum Slot {
    /// Free; the number of the next free one.
    Free(u32),
    Taken(Entry),
}

/// The connections of one worker.
pub struct Registry {
    slots: Vec<(u32, Slot)>,
    free: u32,
    taken: usize,
}

/// No slot.
const NONE: u32 = u32::MAX;

impl Registry {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { slots: Vec::new(), free: NONE, taken: 0 }
    }

    /// How many connections there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Takes in a connection.
    pub fn insert(&mut self, entry: Entry) -> Token {
        if self.free == NONE {
            self.slots.push((0, Slot::Free(NONE)));
            self.free = (self.slots.len() - 1) as u32;
        }
        let number = self.free;
        let (generation, slot) = &mut self.slots[number as usize];
        if let Slot::Free(next) = slot {
            self.free = *next;
        }
        *slot = Slot::Taken(entry);
        self.taken += 1;
        Token::connection(number, *generation)
    }

    /// The connection with that token, if it is still there.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut Entry> {
        match self.slots.get_mut(token.slot() as usize) {
            Some((generation, Slot::Taken(entry))) if *generation == token.generation() => Some(entry),
            _ => None,
        }
    }

    /// Takes a connection out.
    pub fn remove(&mut self, token: Token) -> Option<Entry> {
        self.get_mut(token)?;
        let (generation, slot) = &mut self.slots[token.slot() as usize];
        // all bits set is kept for tokens that are no connections
        *generation = if *generation == u32::MAX - 1 { 0 } else { *generation + 1 };
        let removed = std::mem::replace(slot, Slot::Free(self.free));
        self.free = token.slot();
        self.taken -= 1;
        match removed {
            Slot::Taken(entry) => Some(entry),
            Slot::Free(_) => None,
        }
    }

    /// All tokens.
    #[must_use]
    pub fn tokens(&self) -> Vec<Token> {
        self.entries().map(|(token, _)| token).collect()
    }

    /// All connections.
    pub fn entries(&self) -> impl Iterator<Item = (Token, &Entry)> {
        self.slots.iter().enumerate().filter_map(|(number, (generation, slot))| match slot {
            Slot::Taken(entry) => Some((Token::connection(number as u32, *generation), entry)),
            Slot::Free(_) => None,
        })
    }

    /// Gives back the memory of a crowd that has left, when all have.
    pub fn shrink(&mut self) {
        if self.is_empty() && self.slots.capacity() > 1024 {
            let generation = self.slots.iter().map(|(generation, _)| *generation).max().unwrap_or(0);
            self.slots = vec![(generation, Slot::Free(NONE))];
            self.slots.shrink_to_fit();
            self.free = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::OwnedFd;

    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    /// The registry looks at no socket.
    fn entry() -> Entry {
        let stream = OwnedFd::from(File::open("/dev/null").expect("open /dev/null")).into();
        let protocol = (crate::protocol::TABLE[0].start)();
        let connection = Connection::new(protocol, None, 0);
        Entry { stream, connection, interest: Interest::default(), deadline: 0, source: None }
    }

    #[test]
    fn a_token_does_not_outlive_its_connection() {
        let mut registry = Registry::new();
        let first = registry.insert(entry());
        assert!(registry.remove(first).is_some());
        let second = registry.insert(entry());
        assert_eq!(first.slot(), second.slot());
        assert!(registry.get_mut(first).is_none());
        assert!(registry.remove(first).is_none());
        assert!(registry.get_mut(second).is_some());
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn free_slots_are_used_again() {
        let mut registry = Registry::new();
        let tokens: Vec<Token> = (0..5).map(|_| registry.insert(entry())).collect();
        for token in &tokens[1..4] {
            registry.remove(*token);
        }
        let again: Vec<u32> = (0..3).map(|_| registry.insert(entry()).slot()).collect();
        assert_eq!(again, [3, 2, 1]);
        assert_eq!((registry.len(), registry.tokens().len()), (5, 5));
    }

    #[test]
    fn the_memory_of_a_crowd_goes_with_it() {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of descriptors");
        setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("raise it");
        let mut registry = Registry::new();
        let crowd: Vec<Token> = (0..1200).map(|_| registry.insert(entry())).collect();
        registry.shrink();
        assert_eq!(registry.len(), crowd.len());
        for token in &crowd {
            assert!(registry.remove(*token).is_some());
        }
        registry.shrink();
        assert_eq!(registry.slots.capacity(), 1);
        registry.insert(entry());
        assert!(crowd.iter().all(|token| registry.get_mut(*token).is_none()), "a token outlived its connection");
    }
}
