//! The connections of one worker, by token.
//!
//! A slot that is used again holds a connection with another number, and numbers are never used twice: an event, a
//! message or the result of offloaded work that was meant for a connection that has gone finds nobody, whatever has
//! become of its slot since ([`Registry::shrink`] included).

use std::net::{IpAddr, TcpStream};

use super::poller::{Source, Token};
use crate::connection::{Connection, Interest};

/// A connection and what the event loop knows of it.
pub struct Entry {
    /// Its socket.
    pub stream: TcpStream,
    /// Its state.
    pub connection: Connection,
    /// What epoll was told to watch for.
    pub interest: Interest,
    /// Its address, where connections are counted by source.
    pub source: Option<Box<IpAddr>>,
}

enum Slot {
    /// Free; the number of the next free one.
    Free(u32),
    /// A connection and its number.
    Taken(u64, Entry),
}

/// The connections of one worker.
pub struct Registry {
    slots: Vec<Slot>,
    free: u32,
    taken: usize,
    /// The number of the next connection.
    sequence: u64,
    /// The most connections since [`Registry::crowd_has_left`] last said so.
    peak: usize,
    /// The rest of a crowd is still there.
    has_rest: bool,
}

/// No slot.
const NONE: u32 = u32::MAX;
/// From this number of connections on, what they leave behind is given back to the system; chosen without tuning.
const CROWD: usize = 1024;

impl Registry {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { slots: Vec::new(), free: NONE, taken: 0, sequence: 0, peak: 0, has_rest: false }
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

    /// Takes in a connection; gives it back when there are as many as tokens can tell apart, or no memory for it.
    pub fn insert(&mut self, entry: Entry) -> Result<Token, Entry> {
        if self.free == NONE && !self.grow() {
            return Err(entry);
        }
        let token = Token { slot: self.free, sequence: self.sequence };
        let slot = &mut self.slots[self.free as usize];
        if let Slot::Free(next) = slot {
            self.free = *next;
        }
        *slot = Slot::Taken(token.sequence, entry);
        self.taken += 1;
        self.peak = self.peak.max(self.taken);
        self.sequence += 1;
        Ok(token)
    }

    /// Adds a free slot.
    fn grow(&mut self) -> bool {
        let number = self.slots.len() as u32;
        if number >= Token::SLOTS || self.slots.try_reserve(1).is_err() {
            return false;
        }
        self.slots.push(Slot::Free(NONE));
        self.free = number;
        true
    }

    /// The connection with that token, if it is still there.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut Entry> {
        match self.slots.get_mut(token.slot as usize) {
            Some(Slot::Taken(sequence, entry)) if *sequence == token.sequence => Some(entry),
            _ => None,
        }
    }

    /// The token of the connection that an event is for, if it is still there.
    #[must_use]
    pub fn token_of(&self, source: Source) -> Option<Token> {
        let Source::Connection(slot, _) = source else { return None };
        self.token_at(slot as usize).filter(|token| source.is(*token))
    }

    /// The token of the connection in a slot, if there is one.
    #[must_use]
    pub fn token_at(&self, slot: usize) -> Option<Token> {
        match self.slots.get(slot) {
            Some(Slot::Taken(sequence, _)) => Some(Token { slot: slot as u32, sequence: *sequence }),
            _ => None,
        }
    }

    /// The number of slots: connections are in those below it.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Takes a connection out.
    pub fn remove(&mut self, token: Token) -> Option<Entry> {
        self.get_mut(token)?;
        let removed = std::mem::replace(&mut self.slots[token.slot as usize], Slot::Free(self.free));
        self.free = token.slot;
        self.taken -= 1;
        match removed {
            Slot::Taken(_, entry) => Some(entry),
            Slot::Free(_) => None,
        }
    }

    /// Gives back the memory of a crowd that has left, when all have.
    pub fn shrink(&mut self) {
        if self.is_empty() && self.slots.capacity() > CROWD {
            self.slots = Vec::new();
            self.free = NONE;
        }
    }

    /// Whether three of four connections of a crowd have gone, or, after that, the last connection; said once each.
    pub fn crowd_has_left(&mut self) -> bool {
        if self.peak > CROWD && self.taken < self.peak / 4 {
            self.peak = self.taken;
            self.has_rest = true;
            return true;
        }
        self.is_empty() && std::mem::take(&mut self.has_rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};
    use std::os::fd::OwnedFd;

    use proptest::prelude::*;

    /// The registry looks at no socket: any descriptor will do.
    fn entry() -> Entry {
        let stream = OwnedFd::from(std::fs::File::open("/dev/null").expect("open /dev/null")).into();
        let protocol = (crate::protocol::PROTOCOLS[0].new)(&crate::protocol::ProtocolSettings::default(), &());
        let connection = Connection::new(protocol, None, 0);
        Entry { stream, connection, interest: Interest::default(), source: None }
    }

    fn insert(registry: &mut Registry) -> Token {
        registry.insert(entry()).unwrap_or_else(|_| panic!("there is room"))
    }

    #[test]
    fn a_token_does_not_outlive_its_connection() {
        let mut registry = Registry::new();
        let first = insert(&mut registry);
        assert!(registry.remove(first).is_some());
        let second = insert(&mut registry);
        assert_eq!(first.slot, second.slot);
        assert!(registry.get_mut(first).is_none());
        assert!(registry.remove(first).is_none());
        assert!(registry.get_mut(second).is_some());
        assert_eq!(registry.token_of(Source::connection(first)), None);
        assert_eq!(registry.token_of(Source::connection(second)), Some(second));
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn free_slots_are_used_again() {
        let mut registry = Registry::new();
        let tokens: Vec<Token> = (0..5).map(|_| insert(&mut registry)).collect();
        for token in &tokens[1..4] {
            registry.remove(*token);
        }
        let again: Vec<u32> = (0..3).map(|_| insert(&mut registry).slot).collect();
        assert_eq!(again, [3, 2, 1]);
        assert_eq!((registry.len(), registry.slots()), (5, 5));
    }

    /// What happens to a registry; numbers choose among the tokens there have been.
    #[derive(Clone, Debug)]
    enum Operation {
        Insert(u8),
        Remove(usize),
        RemoveAll,
        Shrink,
        LateResult(usize),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            4 => (1..8u8).prop_map(Operation::Insert),
            4 => any::<usize>().prop_map(Operation::Remove),
            1 => Just(Operation::RemoveAll),
            2 => Just(Operation::Shrink),
            4 => any::<usize>().prop_map(Operation::LateResult),
        ]
    }

    /// A registry, and what it must hold: the descriptor of each connection by its token.
    #[derive(Default)]
    struct Model {
        there: HashMap<Token, i32>,
        ever: Vec<Token>,
    }

    impl Model {
        fn insert(&mut self, registry: &mut Registry) {
            use std::os::fd::AsRawFd;
            let entry = entry();
            let fd = entry.stream.as_raw_fd();
            let token = registry.insert(entry).unwrap_or_else(|_| panic!("there is room"));
            self.ever.push(token);
            assert!(self.there.insert(token, fd).is_none(), "two connections have {token:?}");
        }

        fn remove(&mut self, registry: &mut Registry, token: Token) {
            assert_eq!(registry.remove(token).is_some(), self.there.remove(&token).is_some());
        }

        /// A late result finds its own connection or nobody.
        fn look(&self, registry: &mut Registry, token: Token) {
            use std::os::fd::AsRawFd;
            let found = registry.get_mut(token).map(|entry| entry.stream.as_raw_fd());
            assert_eq!(found, self.there.get(&token).copied());
            assert_eq!(registry.token_of(Source::connection(token)), found.map(|_| token));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Fault 35: whatever order connections come and go in, no token is ever valid for two of them.
        #[test]
        fn a_late_result_never_finds_a_stranger(operations in proptest::collection::vec(operation(), 1..80)) {
            let (mut registry, mut model) = (Registry::new(), Model::default());
            for operation in operations {
                match operation {
                    Operation::Insert(count) => (0..count).for_each(|_| model.insert(&mut registry)),
                    Operation::Remove(which) if !model.ever.is_empty() => {
                        let token = model.ever[which % model.ever.len()];
                        model.remove(&mut registry, token);
                    }
                    Operation::RemoveAll => {
                        for token in model.ever.clone() {
                            model.remove(&mut registry, token);
                        }
                    }
                    Operation::Shrink if registry.is_empty() => {
                        // whatever the size at which it would do so
                        registry.slots.reserve(CROWD + 1);
                        registry.shrink();
                        prop_assert_eq!(registry.slots.capacity(), 0);
                    }
                    Operation::LateResult(which) if !model.ever.is_empty() => {
                        let token = model.ever[which % model.ever.len()];
                        model.look(&mut registry, token);
                    }
                    _ => {}
                }
                prop_assert_eq!(registry.len(), model.there.len());
                prop_assert_eq!(model.ever.iter().collect::<HashSet<_>>().len(), model.ever.len());
            }
        }
    }

    #[test]
    fn a_crowd_that_has_left_is_noticed_once() {
        let mut registry = Registry::new();
        for (peak, taken, expect) in
            [(CROWD, 1, false), (4 * CROWD, CROWD, false), (4 * CROWD, CROWD - 1, true), (0, 1, false)]
        {
            (registry.peak, registry.taken) = (peak, taken);
            assert_eq!([registry.crowd_has_left(), registry.crowd_has_left()], [expect, false], "{taken} of {peak}");
        }
        registry.taken = 0;
        assert_eq!([registry.crowd_has_left(), registry.crowd_has_left()], [true, false]);
    }

    #[test]
    fn only_an_empty_registry_shrinks() {
        let mut registry = Registry::new();
        registry.slots.reserve(CROWD + 1);
        let token = insert(&mut registry);
        registry.shrink();
        assert!(registry.slots.capacity() > CROWD && registry.get_mut(token).is_some());
        registry.remove(token);
        registry.shrink();
        assert_eq!(registry.slots.capacity(), 0);
    }
}
