//! The connections of one worker, by token.
//!
//! A slot is reused for connections with other numbers, and no number is used twice: an event, a message or the result
//! of an offloaded request for a connection that has closed finds no connection, whatever has become of its slot since
//! ([`ConnectionTable::shrink`] included).

#![allow(clippy::cast_possible_truncation, reason = "slots are below 2^24, the number of slots that a token can name")]

use std::mem;

use serde::{Deserialize, Serialize};

use super::client_stream::ClientStream;
use super::listener::ListenerIndex;
use super::peer::{Peer, SourceKey};
use super::poller::{Source, Token};
use crate::connection::{Connection, Impaired, Interest};

/// A connection, and the state that the event loop keeps for it.
pub struct Session {
    /// Its socket, with what its listener impairs.
    pub stream: Impaired<ClientStream>,
    /// Its state.
    pub connection: Connection,
    /// The events that epoll watches for; `None` while it does not watch the connection.
    pub interest: Option<Interest>,
    /// The listener that accepted it.
    pub listener: ListenerIndex,
    /// The revision of the listener's impairments that apply to it.
    pub revision: u16,
    /// What is to be known about its client; `None` if it counts for no source.
    pub client: Option<Box<ClientRecord>>,
}

impl Session {
    /// The events that the connection needs now.
    #[inline]
    #[must_use]
    pub fn wanted(&self) -> Interest {
        self.stream.interest(self.connection.interest())
    }
}

/// What the server remembers about the client of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientRecord {
    /// The peer whose PROXY header is awaited. The socket cannot tell it any more once it is reset.
    Awaiting(Peer),
    /// The source that the connection counts for.
    Counted(SourceKey),
}

impl ClientRecord {
    /// The record of a client that counts for `source`.
    #[must_use]
    pub fn counted(source: Option<SourceKey>) -> Option<Box<Self>> {
        source.map(|source| Box::new(Self::Counted(source)))
    }
}

/// A place for one connection.
struct Slot {
    /// The number of its connection; of a free slot, the index of the next free one.
    number: u64,
    session: Option<Session>,
}

/// The connections of one worker.
pub struct ConnectionTable {
    slots: Vec<Slot>,
    /// The index of the first free slot.
    free: u32,
    occupied: usize,
    /// The number of the next connection.
    next_number: u64,
    /// The most connections since [`ConnectionTable::has_receded`] last returned true.
    peak: usize,
    /// Connections of the last peak are left.
    has_remainder: bool,
}

/// No slot.
const NONE: u32 = u32::MAX;
/// From this number of connections on, memory that they leave behind is given back to the system. Chosen without
/// tuning: that of fewer connections is some 100 KiB, and will be used again.
const TRIM_FROM: usize = 1024;
/// The last of a large number of connections have closed when there are no more than this. Chosen without tuning: what
/// they hold beside the memory that is charged is a MiB at most (`UNCHARGED_BYTES`).
const FEW: usize = 64;

impl ConnectionTable {
    /// An empty table; it takes no memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self { slots: Vec::new(), free: NONE, occupied: 0, next_number: 0, peak: 0, has_remainder: false }
    }

    /// The number of connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.occupied
    }

    /// Whether there are no connections.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// Adds a connection.
    ///
    /// # Errors
    /// The session, if there are [`Token::SLOTS`] connections, or no memory for one more.
    #[allow(clippy::result_large_err, reason = "a box for it would need the memory that is missing")]
    pub fn insert(&mut self, session: Session) -> Result<(Token, &mut Session), Session> {
        if self.free == NONE && !self.grow() {
            return Err(session);
        }
        let token = Token { slot: self.free, sequence: self.next_number };
        self.occupied += 1;
        self.peak = self.peak.max(self.occupied);
        self.next_number += 1;
        let slot = &mut self.slots[token.slot as usize];
        self.free = slot.number as u32;
        slot.number = token.sequence;
        Ok((token, slot.session.insert(session)))
    }

    /// Adds a free slot; false where that is impossible.
    fn grow(&mut self) -> bool {
        let index = self.slots.len() as u32;
        if index >= Token::SLOTS || self.slots.try_reserve(1).is_err() {
            return false;
        }
        self.slots.push(Slot { number: NONE.into(), session: None });
        self.free = index;
        true
    }

    /// The connection with this token, if it is open.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut Session> {
        let slot = self.slots.get_mut(token.slot as usize)?;
        slot.session.as_mut().filter(|_| slot.number == token.sequence)
    }

    /// The connection that an event is for, if it is open.
    pub fn find(&mut self, source: Source) -> Option<(Token, &mut Session)> {
        let Source::Connection(slot, _) = source else { return None };
        self.at(slot as usize).filter(|(token, _)| source.is(*token))
    }

    /// The connection in the slot with this index, if there is one.
    pub fn at(&mut self, index: usize) -> Option<(Token, &mut Session)> {
        let slot = self.slots.get_mut(index)?;
        let token = Token { slot: index as u32, sequence: slot.number };
        Some((token, slot.session.as_mut()?))
    }

    /// All connections, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().filter_map(|slot| slot.session.as_ref())
    }

    /// The number of slots: [`ConnectionTable::at`] finds every connection at an index below it.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Removes a connection, if it is open.
    pub fn remove(&mut self, token: Token) -> Option<Session> {
        self.get_mut(token)?;
        let slot = &mut self.slots[token.slot as usize];
        slot.number = self.free.into();
        self.free = token.slot;
        self.occupied -= 1;
        slot.session.take()
    }

    /// Frees the memory of a table that is empty and was large.
    pub fn shrink(&mut self) {
        if self.is_empty() && self.slots.capacity() > TRIM_FROM {
            self.slots = Vec::new();
            self.free = NONE;
        }
    }

    /// Whether memory should be given back to the system: true once when three of four connections of a large number
    /// have closed, and once more when only a few are left.
    pub fn has_receded(&mut self) -> bool {
        if self.peak > TRIM_FROM && self.occupied < self.peak / 4 {
            self.peak = self.occupied;
            self.has_remainder = true;
            return true;
        }
        self.occupied <= FEW && mem::take(&mut self.has_remainder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};
    use std::os::fd::OwnedFd;

    use proptest::prelude::*;

    use crate::connection::Millis;
    use crate::sys::{SocketFamily, StreamSocket};

    /// A session; any descriptor will do, because the table looks at no socket.
    fn session() -> Session {
        let file = OwnedFd::from(std::fs::File::open("/dev/null").expect("open /dev/null"));
        let stream = StreamSocket::new(file, SocketFamily::Internet);
        let protocol = (crate::protocol::PROTOCOLS[0].new)(&crate::protocol::ProtocolSettings::default(), &());
        let connection = Connection::new(protocol, None, Millis::ZERO);
        let stream = Impaired::new(stream.into(), None);
        Session { stream, connection, interest: None, listener: ListenerIndex(0), revision: 0, client: None }
    }

    fn insert_session(table: &mut ConnectionTable, session: Session) -> Token {
        table.insert(session).unwrap_or_else(|_| panic!("there is room")).0
    }

    fn insert(table: &mut ConnectionTable) -> Token {
        insert_session(table, session())
    }

    #[test]
    fn an_idle_connection_takes_a_slot_of_152_bytes() {
        // 16 of them for pointers to what impairs it, and to its pipe, which are null as a rule
        assert!(size_of::<Slot>() <= 152, "{} bytes", size_of::<Slot>());
    }

    #[test]
    fn a_token_does_not_outlive_its_connection() {
        let mut table = ConnectionTable::new();
        let first = insert(&mut table);
        assert!(table.remove(first).is_some());
        let second = insert(&mut table);
        assert_eq!(first.slot, second.slot);
        assert!(table.get_mut(first).is_none());
        assert!(table.remove(first).is_none());
        assert!(table.get_mut(second).is_some());
        assert_eq!(table.find(Source::connection(first)).map(|(token, _)| token), None);
        assert_eq!(table.find(Source::connection(second)).map(|(token, _)| token), Some(second));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn free_slots_are_used_again() {
        let mut table = ConnectionTable::new();
        let tokens: Vec<Token> = (0..5).map(|_| insert(&mut table)).collect();
        for token in &tokens[1..4] {
            table.remove(*token);
        }
        let again: Vec<u32> = (0..3).map(|_| insert(&mut table).slot).collect();
        assert_eq!(again, [3, 2, 1]);
        assert_eq!((table.len(), table.slots()), (5, 5));
    }

    /// An operation on a table; numbers choose among the tokens that there have been.
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

    /// The expected contents of a table: the descriptor of each connection by its token.
    #[derive(Default)]
    struct Model {
        open: HashMap<Token, i32>,
        ever: Vec<Token>,
    }

    impl Model {
        fn insert(&mut self, table: &mut ConnectionTable) {
            use std::os::fd::AsRawFd;
            let session = session();
            let fd = session.stream.get_ref().as_raw_fd();
            let token = insert_session(table, session);
            self.ever.push(token);
            assert!(self.open.insert(token, fd).is_none(), "two connections have {token:?}");
        }

        fn remove(&mut self, table: &mut ConnectionTable, token: Token) {
            assert_eq!(table.remove(token).is_some(), self.open.remove(&token).is_some());
        }

        /// A late result finds its own connection or none.
        fn look(&self, table: &mut ConnectionTable, token: Token) {
            use std::os::fd::AsRawFd;
            let found = table.get_mut(token).map(|session| session.stream.get_ref().as_raw_fd());
            assert_eq!(found, self.open.get(&token).copied());
            assert_eq!(table.find(Source::connection(token)).map(|(token, _)| token), found.map(|_| token));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// In whatever order connections open and close, no token is ever valid for two of them.
        #[test]
        fn a_late_result_never_finds_another_connection(operations in proptest::collection::vec(operation(), 1..80)) {
            let (mut table, mut model) = (ConnectionTable::new(), Model::default());
            for operation in operations {
                match operation {
                    Operation::Insert(count) => (0..count).for_each(|_| model.insert(&mut table)),
                    Operation::Remove(which) if !model.ever.is_empty() => {
                        let token = model.ever[which % model.ever.len()];
                        model.remove(&mut table, token);
                    }
                    Operation::RemoveAll => {
                        for token in model.ever.clone() {
                            model.remove(&mut table, token);
                        }
                    }
                    Operation::Shrink if table.is_empty() => {
                        // whatever the size at which a table shrinks
                        table.slots.reserve(TRIM_FROM + 1);
                        table.shrink();
                        prop_assert_eq!(table.slots.capacity(), 0);
                    }
                    Operation::LateResult(which) if !model.ever.is_empty() => {
                        let token = model.ever[which % model.ever.len()];
                        model.look(&mut table, token);
                    }
                    _ => {}
                }
                prop_assert_eq!(table.len(), model.open.len());
                prop_assert_eq!(model.ever.iter().collect::<HashSet<_>>().len(), model.ever.len());
            }
        }
    }

    #[test]
    fn a_large_number_of_connections_that_has_receded_is_reported_once() {
        let mut table = ConnectionTable::new();
        for (peak, occupied, expect) in [
            (TRIM_FROM, 1, false),
            (4 * TRIM_FROM, TRIM_FROM, false),
            (4 * TRIM_FROM, TRIM_FROM - 1, true),
            (0, FEW + 1, false),
        ] {
            (table.peak, table.occupied) = (peak, occupied);
            assert_eq!([table.has_receded(), table.has_receded()], [expect, false], "{occupied} of {peak}");
        }
        table.occupied = FEW;
        assert_eq!([table.has_receded(), table.has_receded()], [true, false]);
    }

    #[test]
    fn only_an_empty_table_shrinks() {
        let mut table = ConnectionTable::new();
        table.slots.reserve(TRIM_FROM + 1);
        let token = insert(&mut table);
        table.shrink();
        assert!(table.slots.capacity() > TRIM_FROM && table.get_mut(token).is_some());
        table.remove(token);
        table.shrink();
        assert_eq!(table.slots.capacity(), 0);
    }
}
