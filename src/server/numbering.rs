//! The numbers of the connections of an impaired listener, from which it follows how each is impaired.

use crate::connection::Impairments;

/// The numbers from here on are those of connections that were open when the impairments of their listener changed:
/// they take none from the connections that are accepted. Chosen: no listener accepts that many.
const FIRST_OPEN: u64 = 1 << 63;

/// A connection among those of its listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerNumber {
    /// The impairments of the listener by which it is counted. Wraps around: a connection is never thousands of changes
    /// behind, because each of them visits all connections.
    pub revision: u16,
    /// Its number, counted from 1; 0 without impairments.
    pub number: u64,
}

/// Counts the connections of a listener, anew when its impairments change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbering {
    revision: u16,
    accepted: u64,
    /// Connections that were open when the impairments changed.
    open: u64,
}

impl Numbering {
    /// The impairments have changed.
    pub fn begin_revision(&mut self) {
        *self = Self { revision: self.revision.wrapping_add(1), ..Self::default() };
    }

    /// Continues after this number of connections.
    pub fn continue_from(&mut self, accepted: u64) {
        self.accepted = accepted.min(FIRST_OPEN - 1);
    }

    /// The number of times that the impairments have changed.
    #[must_use]
    pub fn revision(&self) -> u16 {
        self.revision
    }

    /// Connections that were accepted since the impairments have changed; 0 without impairments.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Counts a connection that was accepted.
    pub fn accept(&mut self, impairments: &Impairments) -> ListenerNumber {
        self.accepted += u64::from(!impairments.is_none());
        ListenerNumber { revision: self.revision, number: self.accepted }
    }

    /// Counts a connection that was open when the impairments changed.
    pub fn renew(&mut self) -> ListenerNumber {
        self.open += 1;
        ListenerNumber { revision: self.revision, number: FIRST_OPEN + self.open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Millis;

    #[test]
    fn connections_are_counted_from_each_change_of_the_impairments() {
        let impairments = Impairments { latency: Millis::new(1), ..Impairments::default() };
        let mut numbering = Numbering::default();
        assert_eq!(numbering.accept(&Impairments::default()), ListenerNumber { revision: 0, number: 0 });
        assert_eq!([1, 2].map(|_| numbering.accept(&impairments).number), [1, 2]);
        numbering.begin_revision();
        assert_eq!(numbering.renew(), ListenerNumber { revision: 1, number: FIRST_OPEN + 1 });
        assert_eq!(numbering.accept(&impairments), ListenerNumber { revision: 1, number: 1 });
        numbering.continue_from(u64::MAX);
        assert_eq!((numbering.accepted(), numbering.accept(&impairments).number), (FIRST_OPEN - 1, FIRST_OPEN));
    }
}
